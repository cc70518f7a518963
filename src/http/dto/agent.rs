//! Shapes of agents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::common::AsOf;
use super::words::{AgentStatus, CommandVerdict, Reason};

/// An agent as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Agent {
    /// The id of the agent.
    #[schema(example = "agent-7")]
    pub agent_id: String,
    /// The kind of the agent, as any text. `unknown` if only sessions have named the agent.
    pub agent_type: Option<String>,
    /// The name of the agent.
    pub display_name: Option<String>,
    /// What the agent is for.
    pub description: Option<String>,
    /// How far the agent is trusted, as any text.
    pub trust_level: Option<String>,
    /// The public key of the agent.
    pub public_key: Option<String>,
    /// The id of the public key.
    pub key_id: Option<String>,
    /// The agent from which this agent was derived.
    pub parent_agent_id: Option<String>,
    /// The person who registered the agent.
    pub created_by_user_id: Option<String>,
    /// Whether the agent may act.
    #[schema(value_type = AgentStatus, example = "active")]
    pub status: String,
    /// True if the agent was registered; false if only sessions have named it.
    pub registered: bool,
    /// How far the agent is trusted, from 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub trust_score: Option<f64>,
    /// The most that sessions of the agent may do; null sets no limit.
    pub scopes: Option<Vec<String>>,
    /// Data of the caller.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The number of its sessions, ended ones included.
    pub session_count: u64,
    /// The number of its active sessions.
    pub active_session_count: u64,
    /// When the agent expires; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When the agent was last suspended; null if it never was, or was reinstated.
    #[schema(format = DateTime)]
    pub suspended_at: Option<String>,
    /// When the agent was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// When the agent became known, by the clock of the emitter. Listings have this order, newest first.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the log stored the event by which the agent became known, by the clock of the log.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// The time of the latest event that changed the agent.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A page of agents, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// The agents of this page.
    pub agents: Vec<Agent>,
    /// The number of agents that match the filter, over all pages.
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

/// The answer to a command about an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentChanged {
    /// The agent after the command.
    pub agent: Agent,
    /// `applied`; `duplicate` for a retry; `rejected` if the agent was suspended or revoked before.
    #[schema(value_type = CommandVerdict, example = "applied")]
    pub verdict: String,
    /// Why the command changed nothing. Only with the verdict `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>, nullable = false)]
    pub reason: Option<String>,
    /// The position of the event on the log. Give it as `min_position` to read the change.
    pub position: u64,
    /// The number of sessions that the revocation ended. Only of a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_sessions: Option<u64>,
    /// Give it as `min_position` to see that no session is active. Only of a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub settled_position: Option<u64>,
}
