//! What a caller is shown: the one rule for credentials that are bound to an agent.
//!
//! Every question says on whose behalf it is asked, so that no route can forget to narrow its answer.
//! A bound credential sees its agent and the sessions of it. Everything else looks as if it were not
//! there, and what cannot be told of one agent alone is refused.

use crate::domain::{AgentId, TenantId};
use crate::projection::{
    AgentNumber, SessionRow, Snapshot, StoreError, TenantSnapshot, VerdictRow,
};
use crate::query::ids;

/// Whose data a caller is shown.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The tenant's.
    pub tenant: &'a TenantId,
    /// Of it only what is this agent's, if there is one.
    pub agent: Option<&'a AgentId>,
}

impl<'a> Sight<'a> {
    /// Everything that a tenant has.
    pub fn of_tenant(tenant: &'a TenantId) -> Self {
        let agent = None;
        Self { tenant, agent }
    }

    /// Finds the numbers of what is shown; `None` if no event of the tenant was folded.
    pub(super) fn find(self, snapshot: &Snapshot) -> Result<Option<Shown<'_>>, StoreError> {
        let Some(tenant) = snapshot.of_tenant(self.tenant)? else {
            return Ok(None);
        };
        let agents = match self.agent {
            None => Agents::All,
            Some(id) => ids::agent(tenant, id)?.map_or(Agents::None, Agents::One),
        };
        Ok(Some(Shown { tenant, agents }))
    }
}

/// The part of a snapshot that a caller is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) tenant: TenantSnapshot<'a>,
    pub(super) agents: Agents,
}

/// Of which agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agents {
    All,
    One(AgentNumber),
    /// The only one is not known yet.
    None,
}

impl Agents {
    /// Whether an agent is one of them.
    pub(super) fn has(self, number: AgentNumber) -> bool {
        match self {
            Self::All => true,
            Self::One(only) => only == number,
            Self::None => false,
        }
    }

    /// Whether an event concerns one of them.
    pub(super) fn concern(self, row: &VerdictRow) -> bool {
        match self {
            Self::All => true,
            Self::One(only) => row.concerns_agent(only),
            Self::None => false,
        }
    }
}

impl Shown<'_> {
    /// Whether the caller is shown a session.
    pub(super) fn has(self, row: &SessionRow<'_>) -> Result<bool, StoreError> {
        if self.agents == Agents::All {
            return Ok(true);
        }
        let agent = match AgentId::parse(row.agent_id) {
            Ok(id) => self.tenant.agent_number(&id)?,
            Err(_not_an_id) => None,
        };
        Ok(agent.is_some_and(|number| self.agents.has(number)))
    }
}
