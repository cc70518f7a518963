//! An agent in OTAS' words. This API shows only agents that may act.

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Failure, Refusal};
use super::words::iso;
use crate::domain::{AgentId, AgentStatus, Timestamp};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::state::App;
use crate::projection::AgentRow;
use crate::query::{self, Sight};

/// The member of the metadata that holds the provider of an agent.
pub(super) const PROVIDER: &str = "provider";

/// An agent. Texts that the ledger does not know are empty.
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) provider: String,
    pub(super) created_by: String,
    pub(super) created_at: Timestamp,
}

impl Agent {
    /// Reads an agent from its row. `None` if the agent may not act at this time.
    pub(super) fn of(row: &AgentRow<'_>, now: Timestamp) -> Result<Option<Self>, Problem> {
        let has_expired = row.expires_at.is_some_and(|at| at <= now);
        if row.status != AgentStatus::Active || has_expired {
            return Ok(None);
        }
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Some(Self {
            id: AgentId::parse(row.agent_id)
                .map_err(|_damaged| Problem::new(Code::InternalError))?,
            name: row.texts.display_name.unwrap_or(row.agent_id).to_owned(),
            description: owned(row.texts.description),
            provider: row.metadata.and_then(provider).unwrap_or_default(),
            created_by: owned(row.texts.created_by_user_id),
            created_at: row.created_at,
        }))
    }

    /// The members that every answer about an agent has.
    pub(super) fn shape(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "provider": self.provider,
            "created_by": self.created_by,
            "created_at": iso(self.created_at),
        })
    }
}

/// Finds an agent by its id. `None` if the caller may not see the agent, or the agent may not act.
pub(super) fn find(app: &App, sight: Sight<'_>, id: &str) -> Result<Option<Agent>, Problem> {
    let now = app.now();
    let Ok(id) = AgentId::parse(id) else {
        return Ok(None);
    };
    app.read(|snapshot| match query::agents::get(snapshot, sight, &id)? {
        Some(known) => Agent::of(&known.row()?, now),
        None => Ok(None),
    })
}

/// The agent of the caller's key. Fails if the key is bound to no agent that may act.
pub(super) fn of_key(app: &App, sight: Sight<'_>) -> Result<Agent, Failure> {
    let id = sight.agent.ok_or(Refusal::InvalidAgentKey)?;
    let agent = find(app, sight, id.as_str())?;
    Ok(agent.ok_or(Refusal::InvalidAgentKey)?)
}

fn provider(metadata: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Kept {
        provider: Value,
    }
    if !metadata.contains(PROVIDER) {
        return None;
    }
    let kept: Kept = serde_json::from_str(metadata).ok()?;
    kept.provider.as_str().map(ToOwned::to_owned)
}
