//! Shapes of the API's answers, for the document, for clients, and for what is not on the hot path.
//!
//! Every field is always present; what a thing does not have is null. Exceptions say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

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
    /// The project that it belongs to.
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
    /// Time of the latest sign of life.
    #[schema(format = DateTime)]
    pub last_activity_at: String,
    /// When it opened, by the emitter's clock. Listings are in this order, newest first.
    #[schema(format = DateTime, example = "2026-01-31T23:59:59.000000Z")]
    pub created_at: String,
    /// When its opening came onto the log, by the log's clock.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Time of the latest event that changed it.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Whether the time of its opening lay too far ahead and was replaced by the log's.
    pub time_adjusted: bool,
}

/// Which state of the ledger an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AsOf {
    /// The last log position in it; 0 is none.
    #[schema(example = 4711)]
    pub position: u64,
    /// When the log took that record; null for an empty ledger.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Whether that was everything on the log that this server knew of.
    pub caught_up: bool,
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
    /// Where the event stands on the log.
    pub position: u64,
}

/// The answer to a command about an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentChanged {
    /// The agent.
    pub agent: Agent,
    /// `applied`; `duplicate` if it is a retry; `rejected` if it was suspended or revoked already.
    #[schema(example = "applied")]
    pub verdict: String,
    /// Where the event stands on the log: give it as `min_position` to read what it did.
    pub position: u64,
}

/// The answer to a command that is on the log and has no verdict yet. Its tokens count if it is
/// applied.
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

/// An agent: the facts of the ledger so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Agent {
    /// Its id.
    #[schema(example = "agent-7")]
    pub agent_id: String,
    /// What kind of agent it is: any text; `unknown` if only sessions speak of it.
    pub agent_type: Option<String>,
    /// Its name.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// `active`, `suspended` or `revoked`.
    #[schema(example = "active")]
    pub status: String,
    /// Whether it was registered, or only sessions speak of it.
    pub registered: bool,
    /// How far it is trusted: any text.
    pub trust_level: Option<String>,
    /// How far it is trusted, from 0 to 1.
    pub trust_score: Option<f64>,
    /// What its sessions may do at most; null sets no bound.
    pub scopes: Option<Vec<String>>,
    /// The caller's own data.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// Its public key.
    pub public_key: Option<String>,
    /// The id of that key.
    pub key_id: Option<String>,
    /// The agent that it came from.
    pub parent_agent_id: Option<String>,
    /// Who registered it.
    pub created_by_user_id: Option<String>,
    /// How many sessions it has, those that ended included.
    pub session_count: u64,
    /// How many of them are active.
    pub active_session_count: u64,
    /// When it ends by itself; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Since when it is suspended, or was when it was revoked.
    #[schema(format = DateTime)]
    pub suspended_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// When it became known, by the emitter's clock. Listings are in this order, newest first.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When that came onto the log, by the log's clock.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Time of the latest event that changed it.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A page of agents, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// The page.
    pub agents: Vec<Agent>,
    /// How many agents match the filter, over all pages.
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

/// What became of an event that is on the log. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appended {
    /// Where it stands on the log: give it as `min_position` to read what it did.
    #[schema(example = 4711)]
    pub position: u64,
    /// `applied`, `duplicate`, `rejected`, `parked`, or `pending` if the fold is not there yet.
    #[schema(example = "applied")]
    pub verdict: String,
    /// The reason code of a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where the first copy of a duplicate stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u64>,
    /// What became of that first copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_verdict: Option<String>,
    /// For an event that waited for its session: where its waiting ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<u64>,
}

/// What became of one event of a batch. Members without a value are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// The status that the event alone would have been answered with.
    #[schema(example = 201)]
    pub status: u16,
    /// If it is on the log: where, and what became of it.
    #[serde(flatten)]
    pub appended: Option<Appended>,
    /// If it may not be on the log: `unavailable` (it is not) or `unconfirmed` (nobody knows;
    /// sending it again is safe).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a batch, in the order of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// One for each event.
    pub results: Vec<BatchItem>,
    /// How far the ledger had come.
    pub as_of: AsOf,
}

/// The answer to an append: for one event, or for a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AppendAnswer {
    /// For a batch.
    Batch(BatchResult),
    /// For one event.
    One(Appended),
}

/// An event with its verdict. Members without a value are absent, `event` excepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Event {
    /// Where it stands on the log.
    pub position: u64,
    /// When the log took it.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// `applied`, `duplicate`, `rejected` or `parked`.
    pub verdict: String,
    /// The reason code of a rejected event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What is wrong field by field, with an event that breaks its schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Where the first copy of a duplicate stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u64>,
    /// For an event that waited for its session: where its waiting ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<u64>,
    /// Its type; null if nobody can tell.
    pub r#type: Option<String>,
    /// The event as it came, to the byte; null if that is not JSON.
    #[schema(value_type = Option<Object>)]
    pub event: Option<Value>,
    /// The bytes of an event that is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
}

/// A page of the tenant's events, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The page. It may have fewer events than the limit and yet not be the last.
    pub events: Vec<Event>,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null if there is nothing more by now. Then `as_of.position` is where to go on
    /// later.
    pub next_after: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of a session's history, in the order in which its events took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEvents {
    /// The page.
    pub events: Vec<Event>,
    /// How many events the session has, over all pages.
    pub total: u64,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null after the last.
    pub next_after: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// A page of rejected and parked events, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rejections {
    /// The page.
    pub events: Vec<Event>,
    /// How many match the filter, over all pages.
    pub total: u64,
    /// How many there are of each code, whatever the filter.
    pub by_reason: BTreeMap<String, u64>,
    /// The limit that was used.
    pub limit: u16,
    /// Where to go on; null after the last.
    pub next_before: Option<u64>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

/// How a tenant's ledger stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Whose counts these are.
    pub tenant: String,
    /// Its sessions.
    pub sessions: Totals,
    /// Its rejected and parked events, by code.
    pub rejections: Totals,
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
