//! How long the server waits for its clients.

use std::time::Duration;

use crate::domain::limits::{
    ANSWER_WAIT_MS, CONNECTION_IDLE_MS, HEAD_WAIT_MS, REQUEST_BODY_WAIT_MS, SHUTDOWN_ARRIVAL_MS,
    SHUTDOWN_WAIT_MS, WRITE_WAIT_MS,
};

/// How long the server waits for its clients.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From a connection's start until its first request's head is complete.
    pub head: Duration,
    /// From one answer until the next request's head is complete.
    pub idle: Duration,
    /// For a request's body.
    pub body: Duration,
    /// For a client that reads nothing of its answers.
    pub write: Duration,
    /// For a client that reads one answer.
    pub answer: Duration,
    /// While stopping, for requests that have not arrived to their end.
    pub arrival: Duration,
    /// While stopping, for all requests under way.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_millis(HEAD_WAIT_MS),
            idle: Duration::from_millis(CONNECTION_IDLE_MS),
            body: Duration::from_millis(REQUEST_BODY_WAIT_MS),
            write: Duration::from_millis(WRITE_WAIT_MS),
            answer: Duration::from_millis(ANSWER_WAIT_MS),
            arrival: Duration::from_millis(SHUTDOWN_ARRIVAL_MS),
            finish: Duration::from_millis(SHUTDOWN_WAIT_MS),
        }
    }
}

impl Patience {
    /// How often connections are looked at, so that none gets much more time than it should.
    pub(super) fn look(&self) -> Duration {
        let eighth = self.write.min(self.answer) / 8;
        eighth.clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}
