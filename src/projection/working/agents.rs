//! Finds, adds, changes and writes the agents of a batch.

use redb::{ReadableTable, Table};

use crate::domain::agent::AgentProfile;
use crate::domain::{Agent, AgentId, Reason};
use crate::projection::agent_row::{AgentGroups, AgentPartitions, AgentRow, StoredAgent};
use crate::projection::error::{Rejection, StoreError};
use crate::projection::history::History;
use crate::projection::keys;
use crate::projection::meta::Progress;
use crate::projection::numbers::{AgentNumber, GroupNumber, TenantNumber};
use crate::projection::row_sum::{RowSum, RowSums};
use crate::projection::tables::Tables;
use crate::projection::tally::{self, Delta};
use crate::projection::working::Working;

/// An agent in memory, and the partitions that contain it.
pub(super) struct AgentSlot {
    pub(super) stored: StoredAgent,
    listed: AgentPartitions,
    /// Of the stored row.
    sum: RowSum,
    /// The public part of the row before the change that is made now.
    pub(super) before: Option<Vec<u8>>,
    pub(super) changed: bool,
}

impl AgentSlot {
    /// Adds the changes of the listings that contain this agent.
    pub(super) fn deltas(&self, number: AgentNumber, out: &mut Vec<Delta>) {
        let sort_key = keys::agent_sort_key(self.stored.agent.created_at, number);
        tally::moves(sort_key, self.listed, self.stored.partitions(), out);
    }
}

impl Working<'_> {
    /// The agent with this id, if it is known.
    pub(crate) fn find_agent(
        &mut self,
        tenant: TenantNumber,
        id: &AgentId,
    ) -> Result<Option<AgentNumber>, StoreError> {
        let key = keys::named(tenant, id.as_str());
        if let Some(found) = self.agent_ids.get(&key) {
            return Ok(*found);
        }
        let found = self
            .tables
            .agent_ids
            .get(&*key)?
            .map(|number| AgentNumber::new(number.value()));
        if let Some(number) = found {
            self.load_agent(number)?;
        }
        self.agent_ids.insert(key, found);
        Ok(found)
    }

    pub(super) fn load_agent(&mut self, number: AgentNumber) -> Result<(), StoreError> {
        let row = self
            .tables
            .agents
            .get(number.get())?
            .ok_or(StoreError::Damaged("agent ids"))?;
        self.loaded_bytes += row.value().len();
        let stored = StoredAgent::decode(row.value())?;
        let listed = stored.partitions();
        let sum = RowSum::of_agent(number, row.value());
        self.agents.insert(
            number,
            AgentSlot {
                stored,
                listed,
                sum,
                before: None,
                changed: false,
            },
        );
        Ok(())
    }

    /// An agent that [`Working::find_agent`] found.
    pub(crate) fn agent(&self, number: AgentNumber) -> Result<&StoredAgent, StoreError> {
        let slot = self
            .agents
            .get(&number)
            .ok_or(StoreError::Damaged("agent ids"))?;
        Ok(&slot.stored)
    }

    /// Changes an agent that [`Working::find_agent`] found, unless `change` fails. The change is written
    /// only after a call of [`Working::remember`].
    pub(crate) fn change_agent(
        &mut self,
        number: AgentNumber,
        change: impl FnOnce(&mut Agent) -> Result<(), Reason>,
    ) -> Result<(), Rejection> {
        let slot = self.agents.get_mut(&number);
        let slot = slot.ok_or(StoreError::Damaged("agent ids"))?;
        let stored = &mut slot.stored;
        slot.before = Some(AgentRow::public_part(&stored.encode())?.to_vec());
        change(&mut stored.agent)?;
        stored.groups = groups(
            &mut self.tables,
            &mut self.progress,
            stored.tenant,
            &stored.agent.profile,
        )?;
        Ok(())
    }

    /// Adds an agent that has just become known.
    pub(crate) fn add_agent(
        &mut self,
        tenant: TenantNumber,
        id: &AgentId,
        agent: Agent,
    ) -> Result<AgentNumber, StoreError> {
        let number = self.progress.next_agent.take()?;
        let key = keys::named(tenant, id.as_str());
        self.tables.agent_ids.insert(&*key, number.get())?;
        self.agent_ids.insert(key, Some(number));
        let (tables, progress) = (&mut self.tables, &mut self.progress);
        let groups = groups(tables, progress, tenant, &agent.profile)?;
        let stored = StoredAgent {
            id: id.clone(),
            tenant,
            groups,
            opened: progress.position.next(),
            agent,
            history: History::default(),
        };
        self.agents.insert(
            number,
            AgentSlot {
                stored,
                listed: [None; 4],
                sum: RowSum::EMPTY,
                before: None,
                changed: true,
            },
        );
        Ok(number)
    }
}

/// Writes rows. Returns what that adds to the sums of tenants.
pub(super) fn write(
    rows: &mut Table<'_, u32, &'static [u8]>,
    changed: &[(AgentNumber, AgentSlot)],
) -> Result<RowSums, StoreError> {
    let mut sums = RowSums::default();
    for (number, slot) in changed {
        let row = slot.stored.encode();
        rows.insert(number.get(), &*row)?;
        sums.replace(
            slot.stored.tenant,
            slot.sum,
            RowSum::of_agent(*number, &row),
        );
    }
    Ok(sums)
}

/// The groups of an agent. New groups get their numbers at each event and not at the end of the batch,
/// because the numbers must not depend on the batches.
fn groups(
    tables: &mut Tables<'_>,
    progress: &mut Progress,
    tenant: TenantNumber,
    profile: &AgentProfile,
) -> Result<AgentGroups, StoreError> {
    let mut group = |agent_type: Option<&str>, trust_level: Option<&str>| {
        let key = keys::group(tenant, agent_type, trust_level);
        if let Some(number) = tables.agent_groups.get(&*key)? {
            return Ok::<_, StoreError>(Some(GroupNumber::new(number.value())));
        }
        let number = progress.next_group.take()?;
        tables.agent_groups.insert(&*key, number.get())?;
        Ok(Some(number))
    };
    let (agent_type, trust_level) = (&profile.texts.agent_type, &profile.texts.trust_level);
    let mut groups = AgentGroups::default();
    if agent_type.is_some() {
        groups.agent_type = group(agent_type.as_deref(), None)?;
    }
    if trust_level.is_some() {
        groups.trust_level = group(None, trust_level.as_deref())?;
    }
    if agent_type.is_some() && trust_level.is_some() {
        groups.both = group(agent_type.as_deref(), trust_level.as_deref())?;
    }
    Ok(groups)
}
