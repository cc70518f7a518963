//! The statuses of successful answers.

use axum::http::StatusCode;

use crate::domain::{Reason, Verdict};

/// The way in which a request succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// 200: done, by this request or by an earlier attempt.
    Ok,
    /// 201: the request created a session, an agent or a key, or its event was applied.
    Created,
    /// 202: the event is on the log, and is parked or has no verdict yet.
    Accepted,
}

impl Success {
    /// The status as a number.
    pub(crate) fn as_u16(self) -> u16 {
        StatusCode::from(self).as_u16()
    }

    /// The success of an event that is on the log, or the reason why it was rejected. `None` is no
    /// verdict yet.
    pub(crate) fn of_verdict(verdict: Option<Verdict>) -> Result<Self, Reason> {
        match verdict {
            Some(Verdict::Applied) => Ok(Self::Created),
            Some(Verdict::Duplicate(_)) => Ok(Self::Ok),
            Some(Verdict::Parked) | None => Ok(Self::Accepted),
            Some(Verdict::Rejected(reason)) => Err(reason),
        }
    }
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
