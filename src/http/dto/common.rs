//! Shapes that several answers share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};

use super::words::{CurrentStatus, HealthStatus, Role, Verdict, VerdictSoFar};

/// The state of the ledger that an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AsOf {
    /// The last position on the log that the state includes; 0 is none.
    #[schema(example = 4711)]
    pub position: u64,
    /// When the log stored the last record of the tenant up to that position. Null if there is no such
    /// record, or if the credential is bound to an agent.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Whether the state includes everything on the log that this server knew of.
    pub caught_up: bool,
}

/// The answer to a command that is on the log and not done yet.
///
/// Its tokens are valid if the verdict becomes `applied`. If the verdict becomes `duplicate`, send the command again to get the first tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandPending {
    /// The id of the session or agent.
    pub id: String,
    /// The position of the event on the log. Read the verdict there.
    pub position: u64,
    /// `pending`. If an agent is revoked and has active sessions: the verdict on the revocation.
    #[schema(value_type = VerdictSoFar)]
    pub verdict: String,
    /// The access token. Only for commands that give out tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// The refresh token. Only for commands that give out tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The parameter, header or member, such as `data.agent_id`; in a batch `[3].data.agent_id`.
    #[schema(example = "limit")]
    pub field: String,
    /// What is wrong, and what is allowed.
    #[schema(example = "must be a whole number from 1 to 200")]
    pub message: String,
    /// The code of the problem that the event would get in a request of its own. Only in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = problem_code)]
    pub code: Option<String>,
}

/// What went wrong (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:session-ledger:problem:` and the code.
    #[schema(example = "urn:session-ledger:problem:invalid_parameter")]
    pub r#type: String,
    /// The code as words.
    #[schema(example = "Invalid parameter")]
    pub title: String,
    /// The HTTP status of the answer.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong and what to do.
    #[schema(example = "`limit` must be a whole number from 1 to 200")]
    pub detail: String,
    /// The stable code to act on.
    #[schema(schema_with = problem_code)]
    pub code: String,
    /// The id of the request, as in the header X-Request-ID and in the log of the server.
    pub instance: String,
    /// What is wrong field by field. Absent if the problem is not about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The position of the event on the log. Only if the event was written and rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub position: Option<u64>,
    /// The verdict on the event. Only if the event was written and rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Verdict>, nullable = false)]
    pub verdict: Option<String>,
    /// The status of the session or agent that does not allow the step. Only for commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CurrentStatus>, nullable = false)]
    pub current_status: Option<String>,
    /// The value of `current_status` under its old name. The next version leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CurrentStatus>, nullable = false, deprecated)]
    pub present_status: Option<String>,
}

/// The codes are those of `problem`, which stands above this module.
fn problem_code() -> RefOr<Schema> {
    Ref::from_schema_name("ProblemCode").into()
}

/// The counts of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The tenant.
    pub tenant: String,
    /// Its sessions by status. If the credential is bound to an agent, only sessions of that agent.
    pub sessions: Totals,
    /// Its rejected and parked events by code. Null if the credential is bound to an agent.
    pub rejections: Option<Totals>,
    /// A digest of the rows of its sessions and agents: 32 hexadecimal digits. Two servers of a ledger that
    /// run one build and have equal `as_of.position` must have equal digests. Null if the credential is
    /// bound to an agent.
    pub digest: Option<String>,
    /// The number of its events, with any verdict. Null if the credential is bound to an agent.
    pub events: Option<u64>,
    /// The hash chain over these events, in hexadecimal digits. Null if the credential is bound to an agent.
    pub chain: Option<String>,
    /// The version of the rules by which the ledger decides verdicts.
    pub rules_version: u32,
    /// What the caller may do.
    pub caller: StatusCaller,
    /// The URL of a trace, with `{trace_id}` in the place of its id. Null if the server knows none.
    #[serde(default)]
    #[schema(example = "https://traces.example/trace/{trace_id}")]
    pub trace_url: Option<String>,
    /// The state that was counted.
    pub as_of: AsOf,
}

/// What the caller of a request may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCaller {
    /// The roles of the credential. No role includes another.
    #[schema(value_type = Vec<Role>, example = json!(["read", "audit"]))]
    pub roles: Vec<String>,
    /// The agent to which the credential is bound; null if it is not bound.
    pub agent_id: Option<String>,
}

/// What a tenant has up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportEnd {
    /// The tenant.
    pub tenant: String,
    /// The position. For a time, that of the tenant's last event before or at it.
    pub until: u64,
    /// The number of the tenant's events up to it, with any verdict.
    pub events: u64,
    /// The position of the last of them; 0 if there is none.
    pub last_position: u64,
    /// The hash chain over them, in hexadecimal digits.
    pub chain: String,
    /// The state of the server.
    pub as_of: AsOf,
}

/// The ends of both logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEnds {
    /// The log of events.
    pub events: LogEnd,
    /// The log of keys.
    pub keys: LogEnd,
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEnd {
    /// The last position.
    pub position: u64,
    /// The hash chain there, in hexadecimal digits.
    pub chain: String,
}

/// A total and its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// The sum of all parts.
    pub total: u64,
    /// The count for each word.
    pub by: BTreeMap<String, u64>,
}

/// The server is alive, or ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(value_type = HealthStatus)]
    pub status: String,
}
