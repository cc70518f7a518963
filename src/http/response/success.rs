//! The statuses of successful answers.

use axum::http::StatusCode;

/// The way in which a request succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// 200: done, by this request or by an earlier attempt.
    Ok,
    /// 201: the request created a session, an agent or a key.
    Created,
    /// 202: the event is on the log and has no verdict yet.
    Accepted,
}

impl From<Success> for StatusCode {
    fn from(success: Success) -> Self {
        match success {
            Success::Ok => Self::OK,
            Success::Created => Self::CREATED,
            Success::Accepted => Self::ACCEPTED,
        }
    }
}
