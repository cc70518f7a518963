//! Answers in OTAS' envelope: `status` 1 with a payload, or 0, and a word that says what happened.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::is_asked_by_agents;
use crate::domain::Reason;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::style;
use crate::http::response::body;
use crate::http::response::success::Success;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A failure that the ledger reports.
    Ledger(Problem),
    /// A failure that the vendor's servers know.
    Refused(Refusal),
    /// A failure that the vendor's servers know, with a detail that only the ledger has.
    Because(Refusal, String),
}

macro_rules! refusals {
    ($($name:ident $status:ident $word:literal;)*) => {
        /// The failures that the vendor's servers know, and others in the same form.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Refusal {
            $($name,)*
        }

        impl Refusal {
            fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

refusals! {
    MissingHeaders BAD_REQUEST "missing_headers";
    InvalidToken UNAUTHORIZED "invalid_token";
    NotOfProject FORBIDDEN "user_project_mapping_invalid";
    InvalidAgentKey UNAUTHORIZED "invalid_agent_key";
    Forbidden FORBIDDEN "forbidden";
    InvalidJson BAD_REQUEST "invalid_json";
    InvalidMeta BAD_REQUEST "invalid_meta";
    AgentIdRequired BAD_REQUEST "agent_id_required";
    NoAccess FORBIDDEN "agent_not_found_or_no_access";
    AgentNotFoundOrInvalidId NOT_FOUND "agent_not_found_or_invalid_id";
    MissingAgentId BAD_REQUEST "missing_agent_id";
    AgentNotFound NOT_FOUND "agent_not_found";
    AgentCreationFailed BAD_REQUEST "agent_creation_failed";
    AgentWithoutKey CONFLICT "agent_created_without_key";
    AgentKeyIdRequired BAD_REQUEST "agent_key_id_required";
    AgentKeyNotFound NOT_FOUND "agent_key_not_found";
}

/// The answer to a call that succeeded; `name` is the member with the payload.
pub(super) fn success(status: Success, word: &str, name: &str, payload: &Value) -> Response {
    let shape = json!({"status": 1, "status_description": word, name: payload});
    body::json_with_status(status, &shape)
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Ledger(problem)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (refusal, body) = match self {
            Self::Ledger(problem) => return problem.into_response(),
            Self::Refused(refusal) => (refusal, envelope(refusal.word())),
            Self::Because(refusal, detail) => (refusal, explained(refusal.word(), &detail)),
        };
        body::json_with_status(refusal.status(), &body)
    }
}

/// Converts a problem to a status and a body.
pub(super) fn word(failure: &style::Failure<'_>) -> (StatusCode, Value) {
    let code = failure.problem.code();
    if let Some(refusal) = refusal(code, failure.path) {
        return (refusal.status(), envelope(refusal.word()));
    }
    let status = status(code);
    let word = match code {
        Code::RouteNotFound => "not_found",
        _ if status == StatusCode::INTERNAL_SERVER_ERROR => "server_error",
        other => other.as_str(),
    };
    let detail = match code {
        Code::RouteNotFound if !failure.path.ends_with('/') => {
            format!("{}; its paths end with a slash", failure.text())
        }
        _ => failure.text(),
    };
    let mut body = explained(word, &detail);
    // Some texts refer to the request's id.
    body["request_id"] = json!(failure.request_id);
    (status, body)
}

fn status(code: Code) -> StatusCode {
    match code {
        // The change may already be on the log; with `NotCaughtUp` it is. After a 5xx, clients
        // would send the request again.
        Code::Unconfirmed | Code::VerdictUnreadable | Code::NotCaughtUp => StatusCode::CONFLICT,
        other => other.status(),
    }
}

/// The failure of the vendor's servers with the same meaning, if there is one.
fn refusal(code: Code, path: &str) -> Option<Refusal> {
    let of_agents = is_asked_by_agents(path);
    match code {
        Code::CredentialRequired | Code::TenantRequired if !of_agents => {
            Some(Refusal::MissingHeaders)
        }
        Code::InvalidCredential if !of_agents => Some(Refusal::InvalidToken),
        Code::CredentialRequired | Code::TenantRequired | Code::InvalidCredential => {
            Some(Refusal::InvalidAgentKey)
        }
        Code::InvalidTenant | Code::TenantForbidden => Some(Refusal::NotOfProject),
        Code::RoleRequired => Some(Refusal::Forbidden),
        Code::Event(Reason::NotJson) => Some(Refusal::InvalidJson),
        _ => None,
    }
}

fn envelope(word: &str) -> Value {
    json!({"status": 0, "status_description": word})
}

fn explained(word: &str, detail: &str) -> Value {
    json!({"status": 0, "status_description": word, "detail": detail})
}
