//! Failures in the words of Truthlocks: what its documents and each of its SDKs read, in one body.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::domain::Reason;
use crate::http::dialects::voice;
use crate::http::error::Code;
use crate::http::problem::Problem;

/// Words a problem.
pub(super) fn word(failure: &voice::Failure<'_>) -> (StatusCode, Value) {
    let problem = failure.problem;
    let status = status(problem);
    let message = if is_of_id(problem) {
        // An id that cannot be is the id of nothing.
        Reason::NotFound.advice().to_owned()
    } else {
        failure.text()
    };
    let body = json!({
        "code": code(status),
        "message": message,
        "status": status.as_u16(),
        "http_status": status.as_u16(),
        "details": {"reason": problem.code().as_str(), "errors": problem.errors()},
        "trace_id": failure.request_id,
    });
    (status, body)
}

fn status(problem: &Problem) -> StatusCode {
    match problem.code() {
        _ if is_of_id(problem) => StatusCode::NOT_FOUND,
        Code::Event(Reason::AgentNotRegistered) => StatusCode::NOT_FOUND,
        Code::Event(Reason::AgentSuspended | Reason::AgentRevoked | Reason::AgentExpired) => {
            StatusCode::CONFLICT
        }
        Code::Event(Reason::TokenStale) => StatusCode::UNAUTHORIZED,
        // What cannot be a tenant is not the caller's.
        Code::InvalidTenant => StatusCode::FORBIDDEN,
        Code::Event(Reason::MetadataTooLarge | Reason::DeadlineNotAfterTime) => {
            StatusCode::BAD_REQUEST
        }
        // Editors would send it again, and it may be there already.
        Code::Unconfirmed | Code::VerdictUnreadable => StatusCode::CONFLICT,
        other => other.status(),
    }
}

/// Whether it is about the id in the path.
fn is_of_id(problem: &Problem) -> bool {
    let named = problem.errors().first().map(|error| &*error.field);
    problem.code() == Code::InvalidParameter && named == Some("id")
}

/// The word for a status, from the list of Truthlocks where that has one.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "INVALID_INPUT",
        StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
        StatusCode::FORBIDDEN => "FORBIDDEN",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::CONFLICT => "CONFLICT",
        StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITED",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        status if status.is_server_error() => "INTERNAL_ERROR",
        _ => "INVALID_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written_is_no_failure_after_which_it_is_sent_again() {
        for code in [Code::Unconfirmed, Code::VerdictUnreadable] {
            assert_eq!(status(&Problem::new(code)), StatusCode::CONFLICT);
        }
    }
}
