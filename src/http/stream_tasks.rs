//! The tasks of streams, which end when the server stops.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks and the end of all streams of a server.
#[derive(Debug, Clone, Default)]
pub struct StreamTasks {
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl StreamTasks {
    /// Waits for the signal, and then ends all streams and their tasks.
    pub async fn end_after(self, signal: CancellationToken) {
        signal.cancelled().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
