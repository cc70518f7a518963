//! Named tasks that are told to stop together and are joined: nothing runs on after shutdown.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tasks with one signal to stop. Dropping them aborts what still runs.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task. It is given the signal, and is expected to end soon after it.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.set.spawn(task(self.stop.clone()));
        self.names.insert(handle.id(), name);
    }

    /// Tells every task to stop and waits for all; those that take longer are aborted. Their names
    /// are returned.
    pub async fn stop(mut self, at_most: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let deadline = Instant::now() + at_most;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.set.join_next_with_id()).await
        {
            self.note(ended);
        }
        self.set.shutdown().await;
        let mut unfinished: Vec<_> = self.names.into_values().collect();
        unfinished.sort_unstable();
        for name in &unfinished {
            tracing::warn!(task.name = name, "the task `{name}` did not stop in time");
        }
        unfinished
    }

    fn note(&mut self, ended: Result<(Id, ()), JoinError>) {
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
    async fn tasks_are_told_to_stop_and_joined_and_the_stubborn_are_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("polite", |stop| async move { stop.cancelled().await });
        tasks.spawn("stubborn", |_stop| std::future::pending());
        assert_eq!(tasks.stop(Duration::from_secs(1)).await, ["stubborn"]);
    }
}
