//! Named tasks that stop together and are joined, so that none outlives a shutdown.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tasks with a common stop signal. Dropping it aborts the tasks that still run.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task. The task gets the stop signal, and must end soon after the signal.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.set.spawn(task(self.stop.clone()));
        self.names.insert(handle.id(), name);
    }

    /// Signals every task to stop, and waits for all of them. Aborts those that take longer than
    /// `at_most`, and returns their names.
    pub async fn stop(mut self, at_most: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let deadline = Instant::now() + at_most;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.set.join_next_with_id()).await
        {
            self.remove(ended);
        }
        self.set.shutdown().await;
        let mut unfinished: Vec<_> = self.names.into_values().collect();
        unfinished.sort_unstable();
        for name in &unfinished {
            tracing::warn!(task.name = name, "the task `{name}` did not stop in time");
        }
        unfinished
    }

    /// Removes the name of a task that has ended, and logs a panic.
    fn remove(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), true),
        };
        if let Some(name) = self.names.remove(&id)
            && panicked
        {
            tracing::error!(task.name = name, "the task `{name}` panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_joins_tasks_and_names_those_that_do_not_end() {
        let mut tasks = Tasks::default();
        tasks.spawn("polite", |stop| async move { stop.cancelled().await });
        tasks.spawn("stubborn", |_stop| std::future::pending());
        assert_eq!(tasks.stop(Duration::from_secs(1)).await, ["stubborn"]);
    }
}
