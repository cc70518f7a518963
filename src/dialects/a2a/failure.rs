//! Failures in A2A's words, for both bindings.
//!
//! Over HTTP+JSON a failure is a status and a `google.rpc.Status`. Over JSON-RPC it is an error of the
//! envelope, with the status 200. Failures that A2A has no error for stay failures of HTTP in both: clients
//! and proxies act on 401, 403, 429 and 503.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::Reason;
use crate::domain::session::Status;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::style::{self, text_of};
use crate::http::response::body;

/// Whose reasons A2A's errors have.
const A2A_DOMAIN: &str = "a2a-protocol.org";
/// Whose reasons other failures have.
const OWN_DOMAIN: &str = "session-ledger";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// An error that A2A has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    http: StatusCode,
    /// The code of gRPC.
    status: &'static str,
    reason: &'static str,
    /// The code of JSON-RPC.
    code: i32,
}

macro_rules! kinds {
    ($($name:ident: $http:ident $status:literal $reason:literal $code:literal;)*) => {
        impl Kind {
            $(const $name: Self = Self {
                http: StatusCode::$http,
                status: $status,
                reason: $reason,
                code: $code,
            };)*
        }
    };
}

kinds! {
    TASK_NOT_FOUND: NOT_FOUND "NOT_FOUND" "TASK_NOT_FOUND" -32001;
    NOT_CANCELABLE: BAD_REQUEST "FAILED_PRECONDITION" "TASK_NOT_CANCELABLE" -32002;
    NO_PUSH: BAD_REQUEST "FAILED_PRECONDITION" "PUSH_NOTIFICATION_NOT_SUPPORTED" -32003;
    UNSUPPORTED: BAD_REQUEST "FAILED_PRECONDITION" "UNSUPPORTED_OPERATION" -32004;
    VERSION: BAD_REQUEST "FAILED_PRECONDITION" "VERSION_NOT_SUPPORTED" -32009;
    INVALID_PARAMS: BAD_REQUEST "INVALID_ARGUMENT" "INVALID_PARAMS" -32602;
    INVALID_REQUEST: BAD_REQUEST "INVALID_ARGUMENT" "INVALID_REQUEST" -32600;
    NO_METHOD: NOT_FOUND "NOT_FOUND" "METHOD_NOT_FOUND" -32601;
    INTERNAL: INTERNAL_SERVER_ERROR "INTERNAL" "INTERNAL_ERROR" -32603;
    // Only JSON-RPC has this one.
    NOT_JSON: BAD_REQUEST "INVALID_ARGUMENT" "INVALID_REQUEST" -32700;
}

impl Kind {
    /// The error for a problem of the ledger; `None` if A2A has none.
    fn of(problem: &Problem) -> Option<Self> {
        let field = problem.errors().first().map(|error| &*error.field);
        match problem.code() {
            // An invalid id is the id of no task.
            Code::InvalidParameter if field == Some("id") => Some(Self::TASK_NOT_FOUND),
            Code::Event(Reason::NotFound) => Some(Self::TASK_NOT_FOUND),
            Code::Event(Reason::NotActive | Reason::AlreadyEnded | Reason::SessionExpired) => {
                Some(Self::NOT_CANCELABLE)
            }
            Code::UnsupportedFilter => Some(Self::UNSUPPORTED),
            Code::InvalidParameter | Code::Event(Reason::Invalid) => Some(Self::INVALID_PARAMS),
            Code::Event(Reason::NotJson) => Some(Self::INVALID_REQUEST),
            Code::RouteNotFound => Some(Self::NO_METHOD),
            // After a failure of the server, the event may be on the log: no client should send it again.
            Code::Unconfirmed
            | Code::VerdictUnreadable
            | Code::LogFailed
            | Code::RecordLost
            | Code::InternalError => Some(Self::INTERNAL),
            _ => None,
        }
    }

    /// What is wrong, in the words of the ledger or, where these would be about a session, of A2A.
    fn text(self, of_the_ledger: String) -> String {
        if self == Self::TASK_NOT_FOUND {
            return "there is no such task".to_owned();
        }
        of_the_ledger
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A failure that the ledger reports.
    Ledger(Problem),
    /// The session of the task has ended.
    NotCancelable(Status),
    /// Only an agent can serve the call, and the ledger runs none.
    NoRuntime,
    /// The ledger sends no push notifications.
    NoPush,
    /// The request is in this version of the protocol.
    Version(String),
    /// The body of JSON-RPC is not JSON.
    NotJson,
    /// The body is JSON, but not a request of JSON-RPC: it lacks this.
    NotARequest(&'static str),
    /// There is no such method.
    NoMethod(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Ledger(problem)
    }
}

/// A failure for which A2A has an error.
struct Worded {
    kind: Kind,
    text: String,
    /// What the ledger calls it, and the fields that are wrong.
    problem: Option<Problem>,
}

impl Failure {
    /// The failure as an error of A2A, or as the problem that A2A has no error for.
    fn worded(self) -> Result<Worded, Problem> {
        let (kind, text) = match self {
            Self::Ledger(problem) => {
                let Some(kind) = Kind::of(&problem) else {
                    return Err(problem);
                };
                let text = kind.text(text_of(&problem));
                let problem = Some(problem);
                return Ok(Worded {
                    kind,
                    text,
                    problem,
                });
            }
            Self::NotCancelable(status) => {
                let status = status.as_str();
                let text = format!("the task has ended: its session is {status}");
                (Kind::NOT_CANCELABLE, text)
            }
            Self::NoRuntime => {
                let text = "this server keeps the ledger of sessions and runs no agents: messages and \
                            streams are served by the agent of the task";
                (Kind::UNSUPPORTED, text.to_owned())
            }
            Self::NoPush => {
                let text = "this server sends no push notifications; list the tasks again, or follow \
                            the stream of the ledger's own API";
                (Kind::NO_PUSH, text.to_owned())
            }
            Self::Version(named) => {
                let text = format!("A2A-Version {named} is not supported; send 1.0");
                (Kind::VERSION, text)
            }
            Self::NotJson => (Kind::NOT_JSON, "the body is not JSON".to_owned()),
            Self::NotARequest(lacks) => {
                let text = format!("the body is not a request of JSON-RPC 2.0: {lacks}");
                (Kind::INVALID_REQUEST, text)
            }
            Self::NoMethod(named) => {
                let text = format!("there is no method {named}; see the agent card");
                (Kind::NO_METHOD, text)
            }
        };
        let problem = None;
        Ok(Worded {
            kind,
            text,
            problem,
        })
    }

    /// The error object of JSON-RPC, or the problem that stays a failure of HTTP.
    pub(super) fn for_rpc(self) -> Result<Value, Problem> {
        let worded = self.worded()?;
        let details = details(
            A2A_DOMAIN,
            worded.kind.reason,
            worded.problem.as_ref(),
            None,
        );
        Ok(json!({
            "code": worded.kind.code,
            "message": worded.text,
            "data": details,
        }))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // A problem goes out, to `word`: only there is the id of the request known.
        if let Self::Ledger(problem) = self {
            return problem.into_response();
        }
        match self.worded() {
            Ok(Worded { kind, text, .. }) => {
                let details = details(A2A_DOMAIN, kind.reason, None, None);
                let shape = shape((kind.http, kind.status), &text, &details);
                body::json_with_status(kind.http, &shape)
            }
            Err(problem) => problem.into_response(),
        }
    }
}

/// Converts a problem to a status and a body.
pub(super) fn word(failure: &style::Failure<'_>) -> (StatusCode, Value) {
    let (problem, text) = (failure.problem, failure.text());
    let id = Some(failure.request_id);
    if let Some(kind) = Kind::of(problem) {
        let details = details(A2A_DOMAIN, kind.reason, Some(problem), id);
        let shape = shape((kind.http, kind.status), &kind.text(text), &details);
        return (kind.http, shape);
    }
    let status = problem.code().status();
    let reason = problem.code().as_str().to_ascii_uppercase();
    let details = details(OWN_DOMAIN, &reason, Some(problem), id);
    let shape = shape((status, grpc_status(status)), &text, &details);
    (status, shape)
}

/// The body of a failure over HTTP+JSON.
fn shape((http, status): (StatusCode, &str), text: &str, details: &Value) -> Value {
    json!({"error": {
        "code": http.as_u16(),
        "status": status,
        "message": text,
        "details": details,
    }})
}

/// What programs read: the reason, the ledger's own code, and the fields that are wrong.
fn details(domain: &str, reason: &str, problem: Option<&Problem>, id: Option<&str>) -> Value {
    let mut metadata = serde_json::Map::new();
    if let Some(problem) = problem {
        metadata.insert("code".to_owned(), json!(problem.code().as_str()));
    }
    if let Some(id) = id {
        metadata.insert("requestId".to_owned(), json!(id));
    }
    let info = json!({
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    });
    let errors = problem.map(Problem::errors).unwrap_or_default().iter();
    let violations: Vec<Value> = errors
        .map(|error| json!({"field": error.field, "description": error.message}))
        .collect();
    if violations.is_empty() {
        return json!([info]);
    }
    json!([info, {"@type": BAD_REQUEST, "fieldViolations": violations}])
}

/// The code of gRPC for a status that A2A has no error for.
fn grpc_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::METHOD_NOT_ALLOWED => "UNIMPLEMENTED",
        StatusCode::REQUEST_TIMEOUT => "DEADLINE_EXCEEDED",
        StatusCode::CONFLICT => "ABORTED",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        status if status.is_server_error() => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written_is_no_failure_after_which_it_is_sent_again() {
        for code in [Code::Unconfirmed, Code::VerdictUnreadable] {
            let kind = Kind::of(&Problem::new(code));
            assert_eq!(kind, Some(Kind::INTERNAL), "{code:?}");
        }
    }

    #[test]
    fn failures_of_the_caller_and_of_load_stay_failures_of_http() {
        for code in Code::all() {
            let status = code.status();
            if status == StatusCode::TOO_MANY_REQUESTS || code.rejects_caller() {
                let kept = Failure::from(Problem::new(code)).for_rpc();
                assert_eq!(kept.unwrap_err().code(), code);
            }
        }
    }
}
