//! The timeouts of the HTTP server.

use std::time::Duration;

use crate::domain::limits::{
    ANSWER_WAIT_MS, CONNECTION_BUFFERS_MS, CONNECTION_IDLE_MS, HEAD_WAIT_MS, REQUEST_BODY_WAIT_MS,
    SHUTDOWN_ARRIVAL_MS, SHUTDOWN_WAIT_MS, WRITE_WAIT_MS,
};

/// How long the server waits for its clients.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the start of a connection until the head of its first request is complete.
    pub head: Duration,
    /// From an answer until the head of the next request is complete.
    pub idle: Duration,
    /// How long a connection of HTTP/1 keeps its buffers after an answer.
    pub buffers: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// How long a client may read nothing of its answers.
    pub write: Duration,
    /// How long a client may take to read one answer.
    pub answer: Duration,
    /// During a shutdown: how long requests may take to arrive completely.
    pub arrival: Duration,
    /// During a shutdown: how long all requests under way may take.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_millis(HEAD_WAIT_MS),
            idle: Duration::from_millis(CONNECTION_IDLE_MS),
            buffers: Duration::from_millis(CONNECTION_BUFFERS_MS),
            body: Duration::from_millis(REQUEST_BODY_WAIT_MS),
            write: Duration::from_millis(WRITE_WAIT_MS),
            answer: Duration::from_millis(ANSWER_WAIT_MS),
            arrival: Duration::from_millis(SHUTDOWN_ARRIVAL_MS),
            finish: Duration::from_millis(SHUTDOWN_WAIT_MS),
        }
    }
}

impl Patience {
    /// The interval of checks for slow connections: an eighth of the shortest timeout, at most a
    /// second.
    pub(super) fn look(&self) -> Duration {
        let eighth = self.write.min(self.answer) / 8;
        eighth.clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}
