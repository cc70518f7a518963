//! Agents of a batch: found, made known, changed and written.

use redb::ReadableTable;

use crate::domain::{Agent, AgentId};
use crate::projection::agent_row::StoredAgent;
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, TenantNumber};
use crate::projection::working::{Working, take_number};

pub(super) struct AgentSlot {
    pub(super) stored: StoredAgent,
    pub(super) changed: bool,
}

impl Working<'_> {
    /// The agent with this id, if it is known.
    pub(crate) fn find_agent(
        &mut self,
        tenant: TenantNumber,
        id: &AgentId,
    ) -> Result<Option<u32>, StoreError> {
        let key = keys::named(tenant, id.as_str());
        if let Some(found) = self.agent_ids.get(&key) {
            return Ok(*found);
        }
        let found = self
            .tables
            .agent_ids
            .get(&*key)?
            .map(|number| number.value());
        if let Some(number) = found {
            let row = self
                .tables
                .agents
                .get(number)?
                .ok_or(StoreError::Damaged("agent ids"))?;
            let stored = StoredAgent::decode(row.value())?;
            self.agents.insert(
                number,
                AgentSlot {
                    stored,
                    changed: false,
                },
            );
        }
        self.agent_ids.insert(key, found);
        Ok(found)
    }

    /// An agent that [`Working::find_agent`] found.
    pub(crate) fn agent(&self, number: u32) -> Result<&StoredAgent, StoreError> {
        let slot = self
            .agents
            .get(&number)
            .ok_or(StoreError::Damaged("agent ids"))?;
        Ok(&slot.stored)
    }

    /// The same, to be changed. [`Working::remember`] what changed it, or it is not written.
    pub(crate) fn agent_mut(&mut self, number: u32) -> Result<&mut StoredAgent, StoreError> {
        let slot = self.agents.get_mut(&number);
        Ok(&mut slot.ok_or(StoreError::Damaged("agent ids"))?.stored)
    }

    /// Adds an agent that has just become known.
    pub(crate) fn add_agent(
        &mut self,
        tenant: TenantNumber,
        id: &AgentId,
        agent: Agent,
    ) -> Result<u32, StoreError> {
        let number = take_number(&mut self.progress.next_agent, "agent")?;
        let key = keys::named(tenant, id.as_str());
        self.tables.agent_ids.insert(&*key, number)?;
        self.agent_ids.insert(key, Some(number));
        let stored = StoredAgent {
            id: id.clone(),
            tenant,
            agent,
            history: History::default(),
        };
        self.agents.insert(
            number,
            AgentSlot {
                stored,
                changed: true,
            },
        );
        Ok(number)
    }

    pub(super) fn write_agents(&mut self) -> Result<(), StoreError> {
        let mut changed: Vec<_> = self
            .agents
            .drain()
            .filter(|(_, slot)| slot.changed)
            .collect();
        changed.sort_unstable_by_key(|(number, _)| *number);
        for (number, slot) in changed {
            self.tables.agents.insert(number, &*slot.stored.encode())?;
        }
        Ok(())
    }
}
