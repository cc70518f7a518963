//! Failures in the words of Truthlocks. One body has the members that its documents and its SDKs
//! name.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::PREFIXES;
use crate::domain::Reason;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::style;

/// The text for an agent past its deadline. The ledger's own text says to move the deadline, but no
/// call of this API does that.
const AGENT_EXPIRED: &str = "the agent's expires_at has passed, and no call of this API moves it: \
                             register another agent, or move it with the ledger's own API";

/// Converts a problem to a status and a body.
pub(super) fn word(failure: &style::Failure<'_>) -> (StatusCode, Value) {
    let problem = failure.problem;
    let status = status(problem);
    let message = match problem.code() {
        // An invalid id is the id of no session or agent.
        _ if is_of_id(problem) => missing(failure.path).to_owned(),
        Code::Event(Reason::NotFound) => missing(failure.path).to_owned(),
        Code::Event(Reason::AgentExpired) => AGENT_EXPIRED.to_owned(),
        _ => failure.text(),
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
        // An invalid tenant cannot be the caller's.
        Code::InvalidTenant => StatusCode::FORBIDDEN,
        Code::Event(Reason::MetadataTooLarge | Reason::DeadlineNotAfterTime) => {
            StatusCode::BAD_REQUEST
        }
        // The event may already be on the log. After a 5xx, editors would send the request again.
        Code::Unconfirmed | Code::VerdictUnreadable => StatusCode::CONFLICT,
        other => other.status(),
    }
}

/// The kind of thing that was not found, by the path of the request.
fn missing(path: &str) -> &'static str {
    let of_agents = PREFIXES.iter().any(|prefix| {
        let rest = path.strip_prefix(prefix).unwrap_or_default();
        rest.starts_with("/agents/") || rest.starts_with("/trust/")
    });
    if of_agents {
        "there is no such agent"
    } else {
        "there is no such session"
    }
}

/// Whether a problem is about the id in the path.
fn is_of_id(problem: &Problem) -> bool {
    let named = problem.errors().first().map(|error| &*error.field);
    problem.code() == Code::InvalidParameter && named == Some("id")
}

/// The code for a status; from the list of Truthlocks, if that has one.
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
