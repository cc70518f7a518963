//! Shapes that several answers share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which state of the ledger an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AsOf {
    /// The last log position in it; 0 is none.
    #[schema(example = 4711)]
    pub position: u64,
    /// When the log took the tenant's last record up to there; null if it has none, or the credential is
    /// bound to an agent.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Whether that was everything on the log that this server knew of.
    pub caught_up: bool,
}

/// The answer to a command that is on the log and has no verdict yet. Its tokens count if the verdict
/// turns out to be `applied`; of a `duplicate`, retry the command to be told the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandPending {
    /// The session, or the agent.
    pub id: String,
    /// Where the event stands on the log: ask there for the verdict.
    pub position: u64,
    /// `pending`.
    pub verdict: String,
    /// The access token, of a command that gives tokens out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The refresh token, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The parameter, header or member, such as `data.agent_id`; in a batch `[3].data.agent_id`.
    #[schema(example = "limit")]
    pub field: String,
    /// What is wrong and what is allowed.
    #[schema(example = "must be a whole number from 1 to 200")]
    pub message: String,
    /// In a batch: the code that the event alone would have been answered with. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// The status of the answer.
    #[schema(example = 400)]
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// The stable word to act upon.
    #[schema(example = "invalid_parameter")]
    pub code: String,
    /// The request's id, as in the header X-Request-ID and in the server's log.
    pub instance: String,
    /// What is wrong field by field. Absent if no field is to blame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Where the event stands on the log. Only if it is written and was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What became of it. Only if it is written and was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Of a command: where the session or agent stands that does not take the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present_status: Option<String>,
}

/// How a tenant's ledger stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Whose counts these are.
    pub tenant: String,
    /// Its sessions; those of the agent to which the credential is bound, if it is.
    pub sessions: Totals,
    /// Its rejected and parked events, by code; null if the credential is bound to an agent.
    pub rejections: Option<Totals>,
    /// The rules that the ledger folds by.
    pub rules_version: u32,
    /// The state that was counted.
    pub as_of: AsOf,
}

/// A total and its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// All together.
    pub total: u64,
    /// One by one.
    pub by: BTreeMap<String, u64>,
}

/// The server is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: String,
}
