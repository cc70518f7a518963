//! Agents, the number of sessions of each, and how those of a revoked agent ended.

use redb::ReadableTable;

use crate::domain::session::Status;
use crate::domain::{EventKey, EventType, Position, Timestamp};
use crate::projection::agent_row::{AgentPartitions, AgentRow, StoredAgent};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, Partition, SessionOwner};
use crate::projection::numbers::{AgentNumber, TenantNumber};
use crate::projection::session_row::SessionRow;
use crate::projection::snapshot::Snapshot;
use crate::projection::verdict_row::VerdictRow;

/// The public part of a stored agent, copied out of the file, and the number of its sessions.
#[derive(Debug, Clone)]
pub struct KnownAgent {
    row: Vec<u8>,
    /// All its sessions.
    pub sessions: u64,
    /// Its active sessions.
    pub active_sessions: u64,
}

/// How the sessions of a revoked agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endings {
    /// The number of sessions that the revocation ended.
    pub sessions: u64,
    /// The position of the last event that ended an active session of the agent, or of the revocation if
    /// no session was active. Later deletions do not change it.
    pub last: Position,
}

impl KnownAgent {
    /// The agent.
    pub fn row(&self) -> Result<AgentRow<'_>, StoreError> {
        AgentRow::decode(&self.row)
    }

    /// The partitions that contain it.
    pub(super) fn partitions(&self) -> Result<AgentPartitions, StoreError> {
        AgentRow::partitions(&self.row)
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
            row: self.public_agent(number, row.value())?,
            sessions: 0,
            active_sessions: 0,
        };
        let of = SessionOwner::Agent(number);
        if let Some(then) = &self.then {
            let counts = then.counts_of(of)?;
            agent.sessions = counts.count(|_class| true);
            agent.active_sessions = counts.count(|class| keys::has_status(class, Status::Active));
            return Ok(agent);
        }
        let (low, high) = keys::partitions(of);
        for entry in self.tables.totals.range::<&Partition>(&low..=&high)? {
            let (partition, total) = entry?;
            agent.sessions += total.value();
            if keys::has_status(keys::class(*partition.value()), Status::Active) {
                agent.active_sessions += total.value();
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

    /// How the sessions of a revoked agent ended so far. `key` is the one of the events by which the
    /// revocation ends them.
    ///
    /// There is no index for that, so this reads every session of the agent that has ended.
    pub(in crate::projection) fn endings(
        &self,
        number: AgentNumber,
        key: EventKey,
    ) -> Result<Endings, StoreError> {
        let agents = &self.tables.agents;
        let agent = agents
            .get(number.get())?
            .ok_or(StoreError::Damaged("agent ids"))?;
        let agent = StoredAgent::decode(agent.value())?;
        // Nothing changes an agent after its revocation.
        let revoked = agent.history.latest().next_back();
        let revoked = revoked.ok_or(StoreError::Damaged("agents"))?.position;
        let mut endings = Endings {
            sessions: 0,
            last: revoked,
        };
        let of = SessionOwner::Agent(number);
        let ended = keys::classes().filter(|class| !keys::has_status(*class, Status::Active));
        for partition in ended.map(|class| keys::partition_of_class(of, class)) {
            let low = keys::listing(partition, [0; 16]);
            let high = keys::listing(partition, [0xff; 16]);
            for entry in self
                .tables
                .listing
                .range::<&keys::ListingKey>(&low..=&high)?
            {
                let ordinal = keys::ordinal_of(&keys::sort_key_of(entry?.0.value()));
                let row = self.tables.sessions.get(ordinal.get())?;
                let row = row.ok_or(StoreError::Damaged("listing"))?;
                let history = SessionRow::history(row.value())?;
                let is_later = |last: Position| revoked < last;
                let last = history.latest().next_back().map(|entry| entry.position);
                if !last.is_some_and(is_later) {
                    continue;
                }
                let by_revocation = history.latest().find(|entry| entry.key == key);
                let ended = match by_revocation {
                    Some(entry) => {
                        endings.sessions += 1;
                        Some(entry.position)
                    }
                    None => self.first_ending(agent.tenant, &history)?,
                };
                endings.last = endings.last.max(ended.unwrap_or(revoked));
            }
        }
        Ok(endings)
    }

    /// The position of the event that ended a session. An ended session has few later events, so the
    /// ending is among the latest.
    fn first_ending(
        &self,
        tenant: TenantNumber,
        history: &History,
    ) -> Result<Option<Position>, StoreError> {
        for entry in history.latest() {
            if entry.key == EventKey::OPENING {
                continue;
            }
            let key = keys::verdict(tenant, entry.position);
            let row = self.tables.verdicts.get(&key)?;
            let row = row.ok_or(StoreError::Damaged("verdicts"))?;
            let ends = matches!(
                VerdictRow::decode(row.value())?.event_type,
                Some(
                    EventType::SessionTerminated
                        | EventType::SessionExpired
                        | EventType::SessionHandedOff
                )
            );
            if ends {
                return Ok(Some(entry.position));
            }
        }
        Ok(None)
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
