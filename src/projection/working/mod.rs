//! What one batch changes: rows are read from the tables at first use, changed in memory, and written
//! once.
//!
//! Rows, listings, tallies, deadlines and verdicts are written in key order when the batch ends, because
//! a batch changes many of them. Other tables are written at once.

mod agents;
mod indexes;
mod preload;
mod sessions;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::resume_unwind;

use redb::ReadableTable;

use crate::domain::{EventKey, Metadata, Moment, Position, SessionId, TenantId, Timestamp};
use crate::projection::error::StoreError;
use crate::projection::fold::parking;
use crate::projection::history::Entry;
use crate::projection::keys::{self, Entity};
use crate::projection::meta::Progress;
use crate::projection::notices::Settlements;
use crate::projection::numbers::{AgentNumber, Ordinal, TenantNumber};
use crate::projection::prepare::Prepared;
use crate::projection::tables::Tables;
use crate::projection::tally::{self, Delta, ListingTables};
use crate::projection::tenant_chain::TenantChains;
use crate::projection::verdict_row::VerdictRow;
use agents::AgentSlot;
use sessions::SessionSlot;

/// With at least this many changed sessions, two threads write rows and indexes.
const TWO_THREADS_SESSIONS_MIN: usize = 256;

/// An open batch.
pub(crate) struct Working<'txn> {
    pub(crate) tables: Tables<'txn>,
    pub(crate) progress: Progress,
    /// Sessions that have opened, and whose parked events are still to be folded.
    pub(crate) opened: VecDeque<(TenantNumber, SessionId)>,
    /// The oldest parked event. Almost always there is none, which saves a read.
    pub(crate) oldest_parked: Option<(Position, Timestamp)>,
    /// Bytes of the rows that were read.
    pub(crate) loaded_bytes: usize,
    /// The verdicts on events that had been parked, to be published.
    pub(crate) settled: Settlements,
    tenants: HashMap<TenantId, TenantNumber>,
    session_ids: HashMap<Vec<u8>, Option<Ordinal>>,
    sessions: HashMap<Ordinal, SessionSlot>,
    agent_ids: HashMap<Vec<u8>, Option<AgentNumber>>,
    agents: HashMap<AgentNumber, AgentSlot>,
    verdicts: BTreeMap<[u8; 12], VerdictRow>,
    chains: TenantChains,
    /// What the records of these verdicts replaced of their sessions.
    replaced: HashMap<[u8; 12], Vec<u8>>,
    before_agents: BTreeMap<[u8; 12], Vec<u8>>,
    before_metadata: BTreeMap<[u8; 17], Metadata>,
}

impl<'txn> Working<'txn> {
    pub(crate) fn new(tables: Tables<'txn>) -> Result<Self, StoreError> {
        Ok(Self {
            progress: Progress::load(&tables.meta)?,
            opened: VecDeque::new(),
            oldest_parked: parking::oldest(&tables)?,
            tables,
            loaded_bytes: 0,
            settled: Settlements::default(),
            tenants: HashMap::new(),
            session_ids: HashMap::new(),
            sessions: HashMap::new(),
            agent_ids: HashMap::new(),
            agents: HashMap::new(),
            verdicts: BTreeMap::new(),
            chains: TenantChains::default(),
            replaced: HashMap::new(),
            before_agents: BTreeMap::new(),
            before_metadata: BTreeMap::new(),
        })
    }

    /// The tenant's number. A new tenant gets the next one.
    pub(crate) fn tenant(&mut self, id: &TenantId) -> Result<TenantNumber, StoreError> {
        if let Some(number) = self.known_tenant(id)? {
            return Ok(number);
        }
        let number = self.progress.next_tenant.take()?;
        self.tables.tenants.insert(id.as_str(), number.get())?;
        self.tables.tenant_ids.insert(number.get(), id.as_str())?;
        self.tenants.insert(id.clone(), number);
        Ok(number)
    }

    /// The tenant's number, if it has one.
    fn known_tenant(&mut self, id: &TenantId) -> Result<Option<TenantNumber>, StoreError> {
        if let Some(number) = self.tenants.get(id) {
            return Ok(Some(*number));
        }
        let found = self.tables.tenants.get(id.as_str())?;
        let found = found.map(|number| TenantNumber::new(number.value()));
        if let Some(number) = found {
            self.tenants.insert(id.clone(), number);
        }
        Ok(found)
    }

    /// Adds an event that took effect to the history of its session or agent.
    pub(crate) fn remember(
        &mut self,
        entity: Entity,
        at: &Moment,
        key: EventKey,
    ) -> Result<(), StoreError> {
        let here = self.progress.position.next();
        let history = match entity {
            Entity::Session(ordinal) => {
                let slot = self.sessions.get_mut(&ordinal);
                let slot = slot.ok_or(StoreError::Damaged("session ids"))?;
                slot.changed = true;
                let stored = &mut slot.stored;
                if let Some((before, metadata)) = slot.before.take()
                    && stored.opened != here
                {
                    let verdict = keys::verdict(stored.tenant, here);
                    let earlier = self.replaced.insert(verdict, before.encode());
                    debug_assert!(earlier.is_none(), "a record replaces one state");
                    if let Some(metadata) = metadata
                        && metadata != stored.session.metadata
                    {
                        let key = keys::metadata(entity, here);
                        self.before_metadata.insert(key, metadata);
                    }
                }
                &mut stored.history
            }
            Entity::Agent(number) => {
                let slot = self.agents.get_mut(&number);
                let slot = slot.ok_or(StoreError::Damaged("agent ids"))?;
                slot.changed = true;
                if let Some(before) = slot.before.take()
                    && slot.stored.opened != here
                {
                    let key = keys::agent_change(number, here);
                    self.before_agents.insert(key, before);
                }
                &mut slot.stored.history
            }
        };
        let position = at.position;
        history.push(entity, Entry { position, key }, &mut self.tables)
    }

    /// The verdict on an earlier event.
    pub(crate) fn verdict(
        &self,
        tenant: TenantNumber,
        position: Position,
    ) -> Result<VerdictRow, StoreError> {
        let key = keys::verdict(tenant, position);
        if let Some(row) = self.verdicts.get(&key) {
            return Ok(*row);
        }
        let stored = self
            .tables
            .verdicts
            .get(&key)?
            .ok_or(StoreError::Damaged("verdicts"))?;
        VerdictRow::decode(stored.value())
    }

    /// Stores the verdict on an event.
    pub(crate) fn set_verdict(
        &mut self,
        tenant: TenantNumber,
        position: Position,
        row: VerdictRow,
    ) {
        self.verdicts.insert(keys::verdict(tenant, position), row);
    }

    /// Adds a record to the chain of its tenant.
    pub(crate) fn add_to_chain(
        &mut self,
        tenant: TenantNumber,
        prepared: &Prepared,
    ) -> Result<(), StoreError> {
        self.chains.add(tenant, prepared, &mut self.tables)
    }

    /// Writes what the batch changed. The rows of sessions cost as much as all other writes together.
    pub(crate) fn finish(mut self) -> Result<Progress, StoreError> {
        let agents = in_key_order(self.agents.drain().filter(|(_, slot)| slot.changed));
        let sessions = in_key_order(self.sessions.drain().filter(|(_, slot)| slot.changed));
        let tables = &mut self.tables;
        let mut rows = || sessions::write(&mut tables.sessions, &mut tables.session_ids, &sessions);
        let mut indexes = || -> Result<_, StoreError> {
            let sums = agents::write(&mut tables.agents, &agents)?;
            let deltas = deltas(&agents, &sessions);
            let mut listings = ListingTables {
                listing: &mut tables.listing,
                totals: &mut tables.totals,
                tallies: &mut tables.tallies,
            };
            tally::apply(&mut listings, &deltas)?;
            indexes::write_revoked(&mut tables.revoked, &tables.totals, &agents, &deltas)?;
            indexes::write_deadlines(&mut tables.deadlines, &sessions)?;
            for (key, row) in &self.verdicts {
                let mut row = row.encode();
                if let Some(replaced) = self.replaced.remove(key) {
                    row.extend(replaced);
                }
                tables.verdicts.insert(key, &*row)?;
            }
            debug_assert!(
                self.replaced.is_empty(),
                "each replaced state has a verdict"
            );
            for (key, public) in &self.before_agents {
                tables.before_agents.insert(key, &**public)?;
            }
            for (key, metadata) in &self.before_metadata {
                tables.before_metadata.insert(key, metadata.json())?;
            }
            Ok(sums)
        };
        let (of_sessions, of_agents) = if sessions.len() < TWO_THREADS_SESSIONS_MIN {
            (rows()?, indexes()?)
        } else {
            std::thread::scope(|scope| {
                let rows = scope.spawn(rows);
                let indexes = indexes();
                let rows = rows.join().unwrap_or_else(|panic| resume_unwind(panic));
                Ok::<_, StoreError>((rows?, indexes?))
            })?
        };
        of_sessions.write(&mut self.tables.row_sums)?;
        of_agents.write(&mut self.tables.row_sums)?;
        self.chains.write(&mut self.tables.chains)?;
        self.progress.save(&mut self.tables.meta)?;
        Ok(self.progress)
    }
}

/// The changes of listings, in key order.
fn deltas(agents: &[(AgentNumber, AgentSlot)], sessions: &[(Ordinal, SessionSlot)]) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for (number, slot) in agents {
        slot.deltas(*number, &mut deltas);
    }
    for (ordinal, slot) in sessions {
        slot.deltas(*ordinal, &mut deltas);
    }
    deltas.sort_unstable();
    deltas
}

fn in_key_order<K: Ord + Copy, V>(entries: impl Iterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut entries: Vec<(K, V)> = entries.collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}
