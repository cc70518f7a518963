//! Shapes of agents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::common::AsOf;

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

/// The answer to a command about an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentChanged {
    /// The agent.
    pub agent: Agent,
    /// `applied`; `duplicate` if it is a retry; `rejected` if it was suspended or revoked already.
    #[schema(example = "applied")]
    pub verdict: String,
    /// Why it changed nothing, if it is `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the event stands on the log: give it as `min_position` to read what it did.
    pub position: u64,
}
