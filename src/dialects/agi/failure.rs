//! Failures in AGI's words. The text is in `detail` for its Python client, and in `message` for
//! other clients.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::Reason;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::style;
use crate::http::response::body;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A failure that the ledger reports.
    Ledger(Problem),
    /// The session is already paused.
    AlreadyPaused,
    /// The session is not paused, so it cannot resume.
    NotPaused,
    /// The session has ended, so it cannot change.
    Ended,
    /// Only a runtime of agents can serve the call, and the ledger is not one.
    Runtime,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Ledger(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, text) = match self {
            Self::Ledger(problem) => return problem.into_response(),
            Self::AlreadyPaused => (
                StatusCode::CONFLICT,
                "already_paused",
                "already_paused: the session is paused already",
            ),
            Self::NotPaused => (
                StatusCode::CONFLICT,
                "not_paused",
                "not_paused: the session is not paused",
            ),
            Self::Ended => (
                StatusCode::CONFLICT,
                "not_active",
                "the session has ended; create another one",
            ),
            Self::Runtime => (
                StatusCode::NOT_IMPLEMENTED,
                "not_implemented",
                "this server keeps the ledger of sessions and runs no agents: messages, events, \
                 models, navigation, screenshots and steps are served by the runtime of the agent",
            ),
        };
        body::json_with_status(status, &shape(code, text))
    }
}

/// Converts a problem to a status and a body.
pub(super) fn word(failure: &style::Failure<'_>) -> (StatusCode, Value) {
    let code = failure.problem.code();
    let (status, mut body) = match code {
        // An invalid id is the id of no session.
        Code::InvalidParameter | Code::Event(Reason::NotFound) => (
            StatusCode::NOT_FOUND,
            shape(Reason::NotFound.code(), "Session not found"),
        ),
        _ => (status(code), shape(code.as_str(), &failure.text())),
    };
    // Some texts refer to the request's id.
    body["request_id"] = json!(failure.request_id);
    (status, body)
}

fn status(code: Code) -> StatusCode {
    match code {
        // The event may already be on the log. After a 5xx, clients would send the request again.
        Code::Unconfirmed | Code::VerdictUnreadable => StatusCode::CONFLICT,
        Code::Event(Reason::Invalid | Reason::NotJson) => StatusCode::UNPROCESSABLE_ENTITY,
        other => other.status(),
    }
}

fn shape(code: &str, text: &str) -> Value {
    json!({"detail": text, "message": text, "code": code})
}
