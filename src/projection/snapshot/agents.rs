//! Agents, and the number of sessions of each.

use redb::ReadableTable;

use crate::domain::Timestamp;
use crate::domain::session::Status;
use crate::projection::agent_row::{AgentRow, StoredAgent};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Partition, SessionOwner};
use crate::projection::numbers::AgentNumber;
use crate::projection::snapshot::Snapshot;

/// The public part of a stored agent, copied out of the file, and the number of its sessions.
#[derive(Debug, Clone)]
pub struct KnownAgent {
    row: Vec<u8>,
    /// All its sessions.
    pub sessions: u64,
    /// Its active sessions.
    pub active_sessions: u64,
}

impl KnownAgent {
    /// The agent.
    pub fn row(&self) -> Result<AgentRow<'_>, StoreError> {
        AgentRow::decode(&self.row)
    }
}

impl Snapshot {
    /// An agent.
    pub(in crate::projection) fn agent(
        &self,
        number: AgentNumber,
    ) -> Result<KnownAgent, StoreError> {
        let rows = &self.tables.agents;
        let row = rows
            .get(number.get())?
            .ok_or(StoreError::Damaged("agent ids"))?;
        let mut agent = KnownAgent {
            row: AgentRow::public_part(row.value())?.to_vec(),
            sessions: 0,
            active_sessions: 0,
        };
        let of = SessionOwner::Agent(number);
        let active = keys::partition(of, Status::Active);
        let (low, high) = keys::partitions(of);
        for entry in self.tables.totals.range::<&Partition>(&low..=&high)? {
            let (partition, total) = entry?;
            agent.sessions += total.value();
            if *partition.value() == active {
                agent.active_sessions = total.value();
            }
        }
        Ok(agent)
    }

    /// Whether an agent may act at this time.
    pub(in crate::projection) fn agent_may_act(
        &self,
        number: AgentNumber,
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        let rows = &self.tables.agents;
        let row = rows
            .get(number.get())?
            .ok_or(StoreError::Damaged("agent ids"))?;
        let agent = StoredAgent::decode(row.value())?.agent;
        Ok(agent.check_may_act(time).is_ok())
    }

    /// Some revoked agents that still have active sessions, by number.
    pub(in crate::projection) fn revoked_agents(
        &self,
        count: usize,
    ) -> Result<Vec<AgentNumber>, StoreError> {
        let revoked = &self.tables.revoked;
        let numbers = revoked.iter()?.take(count);
        numbers
            .map(|entry| Ok(AgentNumber::new(entry?.0.value())))
            .collect()
    }
}
