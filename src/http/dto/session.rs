//! Shapes of sessions: rows, pages, totals, and what commands and introspection answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::common::AsOf;

/// A session: the facts of the ledger so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Session {
    /// Its id.
    #[schema(example = "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH")]
    pub session_id: String,
    /// The agent whose session it is.
    #[schema(example = "agent-7")]
    pub agent_id: String,
    /// The agent's name, as the runtime gave it.
    pub agent_name: Option<String>,
    /// The key that the agent used.
    pub agent_key_id: Option<String>,
    /// `active`, `terminated`, `expired` or `handed_off`.
    #[schema(example = "active")]
    pub status: String,
    /// `initializing`, `ready`, `running` or `paused`, as the runtime last said.
    pub phase: Option<String>,
    /// `completed`, `error`, `deleted` or `revoked`, if the ending said so.
    pub outcome: Option<String>,
    /// What the session may do.
    pub scopes: Vec<String>,
    /// The runtime's own data.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// When it ends by itself; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// The session that it came from.
    pub parent_session_id: Option<String>,
    /// The agent that took over.
    pub handed_off_to: Option<String>,
    /// The session in which that agent goes on.
    pub handed_off_session_id: Option<String>,
    /// The project that it belongs to; a UUID in lower case, however it was emitted.
    pub project_id: Option<String>,
    /// The person behind it.
    pub user_id: Option<String>,
    /// The machine that it runs on.
    pub machine_id: Option<String>,
    /// The caller's role.
    pub caller_role: Option<String>,
    /// Where the caller came from.
    pub caller_origin: Option<String>,
    /// The caller's address.
    pub ip_address: Option<String>,
    /// The caller's program.
    pub user_agent: Option<String>,
    /// Time of the latest refresh.
    #[schema(format = DateTime)]
    pub refreshed_at: Option<String>,
    /// Time of the termination.
    #[schema(format = DateTime)]
    pub terminated_at: Option<String>,
    /// When it was deleted. APIs that know deletion show it no more; here it stays, and `status` says
    /// how it ended.
    #[schema(format = DateTime)]
    pub deleted_at: Option<String>,
    /// Time of the latest sign of life.
    #[schema(format = DateTime)]
    pub last_activity_at: String,
    /// When it opened, by the emitter's clock. Listings are in this order, newest first.
    #[schema(format = DateTime, example = "2026-01-31T23:59:59.000000Z")]
    pub created_at: String,
    /// When its opening came onto the log, by the log's clock.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Time of the latest event that changed it, but for a deletion after its end.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Whether the time of its opening lay too far ahead and was replaced by the log's.
    pub time_adjusted: bool,
}

/// A page of sessions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The page.
    pub sessions: Vec<Session>,
    /// How many sessions match the filter, over all pages.
    pub total: u64,
    /// The limit that was used.
    pub limit: u16,
    /// The offset that was used; null with a cursor.
    pub offset: Option<u64>,
    /// Where the next page starts; null after the last.
    pub next_cursor: Option<String>,
    /// The state that rows and total come from.
    pub as_of: AsOf,
}

/// How many sessions match a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionCount {
    /// All together.
    pub total: u64,
    /// The same for each status that the filter allows.
    pub by_status: BTreeMap<String, u64>,
    /// The state that was counted.
    pub as_of: AsOf,
}

/// The answer to create, refresh and handoff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionTokens {
    /// The session that the tokens are for: after a handoff, the child.
    pub session: Session,
    /// The access token. Shown this once; whoever has it acts in the session.
    pub token: String,
    /// Lets its bearer refresh the session, once. Shown this once.
    pub refresh_token: String,
    /// `applied`, or `duplicate` if it is a retry.
    #[schema(example = "applied")]
    pub verdict: String,
    /// Where the event stands on the log: give it as `min_position` to read what it did.
    #[schema(example = 4711)]
    pub position: u64,
}

/// The answer to a termination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEnded {
    /// The session.
    pub session: Session,
    /// `applied`; `duplicate` if it is a retry; `rejected` if the session had been terminated before.
    #[schema(example = "applied")]
    pub verdict: String,
    /// Why it changed nothing, if it is `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the event stands on the log.
    pub position: u64,
}

/// What a token is good for (RFC 7662). Of one that is good for nothing, only `active` is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Introspection {
    /// Whether it is an access token of this tenant, the latest of a session that is open and not
    /// past its deadline, and whose agent may act.
    pub active: bool,
    /// The session's scopes, separated by spaces. `scopes` has them as a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The person behind the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// When the session ends by itself, in seconds since 1970, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When the session opened, in seconds since 1970, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The session's scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The project that the session belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}
