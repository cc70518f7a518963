//! The statuses of answers to requests that succeeded.

use axum::http::StatusCode;

/// How a request succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// 200: done, now or by an earlier try.
    Ok,
    /// 201: something new exists.
    Created,
    /// 202: on the log, and without a verdict yet.
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
