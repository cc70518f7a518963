//! Shapes of sessions: rows, pages, totals, and the answers to commands and introspection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::common::AsOf;
use super::words::{
    CommandVerdict, Outcome, Phase, Reason, SessionStatus, TokenType, TokensVerdict,
};

/// A session as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Session {
    /// The id of the session.
    #[schema(example = "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH")]
    pub session_id: String,
    /// The agent of the session.
    #[schema(example = "agent-7")]
    pub agent_id: String,
    /// The name of the agent, as the runtime reported it.
    pub agent_name: Option<String>,
    /// The key that the agent used.
    pub agent_key_id: Option<String>,
    /// Whether the session is active, or how it ended.
    #[schema(value_type = SessionStatus, example = "active")]
    pub status: String,
    /// What the session is doing, as the runtime last reported.
    #[schema(value_type = Option<Phase>)]
    pub phase: Option<String>,
    /// How the session ended, if the termination said so.
    #[schema(value_type = Option<Outcome>)]
    pub outcome: Option<String>,
    /// What the session may do.
    pub scopes: Vec<String>,
    /// Data of the runtime.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The deadline of the session; null is none.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// The session from which this session was created.
    pub parent_session_id: Option<String>,
    /// The agent to which the session was handed off.
    pub handed_off_to: Option<String>,
    /// The session of that agent, which the hand-off opened.
    pub handed_off_session_id: Option<String>,
    /// The project of the session. A UUID is in lower case.
    pub project_id: Option<String>,
    /// The person for whom the session runs.
    pub user_id: Option<String>,
    /// The machine on which the session runs.
    pub machine_id: Option<String>,
    /// The role of the caller, as the runtime reported it.
    pub caller_role: Option<String>,
    /// The origin of the caller.
    pub caller_origin: Option<String>,
    /// The network address of the caller.
    pub ip_address: Option<String>,
    /// The program of the caller.
    pub user_agent: Option<String>,
    /// The time of the latest refresh.
    #[schema(format = DateTime)]
    pub refreshed_at: Option<String>,
    /// The time of the termination.
    #[schema(format = DateTime)]
    pub terminated_at: Option<String>,
    /// When the session was deleted. It stays in this API, and `status` says how it ended.
    #[schema(format = DateTime)]
    pub deleted_at: Option<String>,
    /// The time of the latest activity.
    #[schema(format = DateTime)]
    pub last_activity_at: String,
    /// When the session was created, by the clock of the emitter. Listings have this order, newest first.
    #[schema(format = DateTime, example = "2026-01-31T23:59:59.000000Z")]
    pub created_at: String,
    /// When the log stored the creation, by the clock of the log.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// The time of the latest event that changed the session.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Whether the ledger corrected a time of the session, such as one too far in the future.
    pub time_adjusted: bool,
}

/// A page of sessions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The sessions of this page.
    pub sessions: Vec<Session>,
    /// The number of sessions that match the filter, over all pages.
    pub total: u64,
    /// The limit of this page.
    pub limit: u16,
    /// The offset of this page; null if the request had a cursor.
    pub offset: Option<u64>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
    /// The state that the rows and the total come from.
    pub as_of: AsOf,
}

/// The sessions above and below a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lineage {
    /// The session.
    pub session: Session,
    /// The sessions above it, from the root down; at most the 200 that are nearest to it.
    pub ancestors: Vec<Session>,
    /// Whether the first ancestor has ancestors.
    pub more_ancestors: bool,
    /// The session to which the hand-offs of this one have led; this session if it was not handed off. Null if
    /// the credential may not see it, or after 10,000 hand-offs.
    pub holder: Option<Session>,
    /// A page of the sessions below it. Each comes before those that it opened.
    pub descendants: Vec<Descendant>,
    /// The limit of this page.
    pub limit: u16,
    /// Give it as `after` to read the next page; null on the last page.
    pub next_after: Option<String>,
    /// The state that the answer shows.
    pub as_of: AsOf,
}

/// A session below another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Descendant {
    /// Steps from the session of the lineage down to this one: 1 for a child.
    #[schema(minimum = 1, maximum = 1000)]
    pub depth: u16,
    /// Whether it has opened sessions that are left out, because they are deeper than 1,000. Its own lineage has
    /// them.
    pub more_below: bool,
    /// The session.
    pub session: Session,
}

/// How many sessions match a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionCount {
    /// The number of all sessions that match.
    pub total: u64,
    /// The number of sessions for each status that the filter allows.
    pub by_status: BTreeMap<String, u64>,
    /// The state that was counted.
    pub as_of: AsOf,
}

/// The answer to the creation, refresh and hand-off of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionTokens {
    /// The session of the tokens: after a hand-off, the child.
    pub session: Session,
    /// The access token of the session. Only this answer shows it.
    pub token: String,
    /// The refresh token, which works once. Only this answer shows it.
    pub refresh_token: String,
    /// `applied`, or `duplicate` for a retry.
    #[schema(value_type = TokensVerdict, example = "applied")]
    pub verdict: String,
    /// The position of the event on the log. Give it as `min_position` to read the change.
    #[schema(example = 4711)]
    pub position: u64,
}

/// The answer to a termination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEnded {
    /// The session after the command.
    pub session: Session,
    /// `applied`; `duplicate` for a retry; `rejected` if the session was terminated before.
    #[schema(value_type = CommandVerdict, example = "applied")]
    pub verdict: String,
    /// Why the command changed nothing. Only with the verdict `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>, nullable = false)]
    pub reason: Option<String>,
    /// The position of the event on the log.
    pub position: u64,
}

/// Whether a token is active (RFC 7662). If it is not, `active` is the only member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Introspection {
    /// Whether it is the latest access token of an active session of this tenant, before the deadline of
    /// the session, and the agent may act.
    pub active: bool,
    /// The scopes of the session, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// The id of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// The person for whom the session runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
    /// Always `Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TokenType>, nullable = false)]
    pub token_type: Option<String>,
    /// The deadline of the session, in seconds since 1970, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub exp: Option<i64>,
    /// When the session was created, in seconds since 1970, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub iat: Option<i64>,
    /// The id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sub: Option<String>,
    /// The scopes of the session, as a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scopes: Option<Vec<String>>,
    /// The id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub session_id: Option<String>,
    /// The id of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub agent_id: Option<String>,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tenant_id: Option<String>,
    /// The project of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub project_id: Option<String>,
}
