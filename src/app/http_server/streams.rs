//! The tasks of HTTP/2 connections: one for each request that is not answered at once. A timeout or the end of
//! the server cancels a task.

use std::task::{Context, Waker};
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
        let mut stream = Box::pin(stream);
        // Most requests of an overloaded server are refused at once. A task for each of them would wait in
        // the queue of tasks, and reads would wait behind it.
        let mut unwoken = Context::from_waker(Waker::noop());
        if stream.as_mut().poll(&mut unwoken).is_ready() {
            return;
        }
        // The task polls the request again, so nothing is lost that the first poll could not be woken for.
        let timed = timeout(self.at_most, stream);
        self.tasks
            .spawn(self.end.clone().run_until_cancelled_owned(timed));
    }
}
