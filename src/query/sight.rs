//! What a caller may see: the one rule for credentials that are bound to an agent.
//!
//! Every query takes a [`Sight`], so that no route can forget to narrow its answer. A bound credential
//! sees its agent and the sessions of that agent. Everything else looks as if it did not exist. A query
//! whose answer is not known for a single agent is rejected.

use crate::domain::{AgentId, TenantId};
use crate::projection::{
    AgentNumber, Ordinal, RowBytes, SessionRow, Snapshot, StoreError, TenantSnapshot, VerdictRow,
};
use crate::query::ids;

/// The data that a caller may see.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The agent, for a caller that may see only one.
    pub agent: Option<&'a AgentId>,
}

impl<'a> Sight<'a> {
    /// Everything that a tenant has.
    pub fn of_tenant(tenant: &'a TenantId) -> Self {
        let agent = None;
        Self { tenant, agent }
    }

    /// Finds that data in a snapshot; `None` if no event of the tenant was folded.
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

/// The agents that a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agents {
    All,
    One(AgentNumber),
    /// The caller may see one agent, which is not known yet.
    None,
}

impl Agents {
    /// Whether the caller may see an agent.
    pub(super) fn has(self, number: AgentNumber) -> bool {
        match self {
            Self::All => true,
            Self::One(only) => only == number,
            Self::None => false,
        }
    }

    /// Whether the caller may see an event.
    pub(super) fn concern(self, row: &VerdictRow) -> bool {
        match self {
            Self::All => true,
            Self::One(only) => row.concerns_agent(only),
            Self::None => false,
        }
    }
}

impl Shown<'_> {
    /// A session, if the caller is shown it.
    pub(super) fn session(self, ordinal: Ordinal) -> Result<Option<RowBytes>, StoreError> {
        let stored = self.tenant.session(ordinal)?;
        let is_shown = self.has(&stored.row()?)?;
        Ok(is_shown.then_some(stored))
    }

    fn has(self, row: &SessionRow<'_>) -> Result<bool, StoreError> {
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
