//! The tasks of HTTP/2 connections, one per request. A timeout or the end of the server cancels a task.

use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the requests of HTTP/2 connections.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: TaskTracker,
    end: CancellationToken,
    /// How long a request may take until its answer is sent.
    at_most: Duration,
}

impl Streams {
    pub(super) fn new(at_most: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            at_most,
        }
    }

    /// Cancels the tasks that still run, and waits until they have ended.
    pub(super) async fn end(self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let timed = timeout(self.at_most, stream);
        self.tasks
            .spawn(self.end.clone().run_until_cancelled_owned(timed));
    }
}
