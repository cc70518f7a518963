//! What one batch has touched: read from the tables at first use, changed in memory, written once.
//!
//! Rows, listing, tallies, deadlines and verdicts are what a batch touches most, so they are
//! written in key order when the batch ends. The rest is written as it happens.

use std::collections::{BTreeMap, HashMap, VecDeque};

use redb::ReadableTable;

use crate::domain::session::Status;
use crate::domain::{
    Agent, AgentId, EventKey, Moment, Position, ProjectId, Session, SessionId, SessionStatus,
    TenantId, Timestamp,
};
use crate::projection::agent_row::StoredAgent;
use crate::projection::error::StoreError;
use crate::projection::fold::parking;
use crate::projection::history::{Entry, History};
use crate::projection::keys::{self, Entity, ListingKey, Ordinal, OwnerKey, TenantNumber};
use crate::projection::meta::Progress;
use crate::projection::session_row::StoredSession;
use crate::projection::tables::Tables;
use crate::projection::tally::{self, Delta};
use crate::projection::verdict_row::VerdictRow;

/// A batch under way.
pub(crate) struct Working<'txn> {
    pub(crate) tables: Tables<'txn>,
    pub(crate) progress: Progress,
    /// Sessions that have opened, and whose waiting events are still to be folded.
    pub(crate) opened: VecDeque<(TenantNumber, SessionId)>,
    /// The oldest event that waits; almost always none, which saves looking.
    pub(crate) oldest_parked: Option<(Position, Timestamp)>,
    tenants: HashMap<TenantId, TenantNumber>,
    session_ids: HashMap<Vec<u8>, Option<Ordinal>>,
    sessions: HashMap<Ordinal, SessionSlot>,
    agent_ids: HashMap<Vec<u8>, Option<u32>>,
    agents: HashMap<u32, AgentSlot>,
    verdicts: BTreeMap<[u8; 12], VerdictRow>,
}

/// A session in memory, and what the indexes know of it.
struct SessionSlot {
    stored: StoredSession,
    indexed: Option<Indexed>,
    changed: bool,
}

/// What the indexes hold of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Indexed {
    status: Status,
    deadline: Option<Timestamp>,
}

struct AgentSlot {
    stored: StoredAgent,
    changed: bool,
}

impl Indexed {
    fn of(session: &Session) -> Self {
        let active = session.status == SessionStatus::Active;
        Self {
            status: session.status.kind(),
            deadline: session.expires_at.filter(|_| active),
        }
    }
}

impl<'txn> Working<'txn> {
    pub(crate) fn new(tables: Tables<'txn>) -> Result<Self, StoreError> {
        Ok(Self {
            progress: Progress::load(&tables.meta)?,
            opened: VecDeque::new(),
            oldest_parked: parking::oldest(&tables)?,
            tables,
            tenants: HashMap::new(),
            session_ids: HashMap::new(),
            sessions: HashMap::new(),
            agent_ids: HashMap::new(),
            agents: HashMap::new(),
            verdicts: BTreeMap::new(),
        })
    }

    /// The tenant's number; a new tenant gets the next one.
    pub(crate) fn tenant(&mut self, id: &TenantId) -> Result<TenantNumber, StoreError> {
        if let Some(number) = self.tenants.get(id) {
            return Ok(*number);
        }
        let found = self
            .tables
            .tenants
            .get(id.as_str())?
            .map(|number| number.value());
        let number = if let Some(number) = found {
            number
        } else {
            let number = take_number(&mut self.progress.next_tenant, "tenant")?;
            self.tables.tenants.insert(id.as_str(), number)?;
            self.tables.tenant_ids.insert(number, id.as_str())?;
            number
        };
        self.tenants.insert(id.clone(), number);
        Ok(number)
    }

    /// The project's number; a new project gets the next one.
    fn project(&mut self, tenant: TenantNumber, id: &ProjectId) -> Result<u32, StoreError> {
        let key = keys::named(tenant, id.as_str());
        if let Some(number) = self.tables.project_ids.get(&*key)? {
            return Ok(number.value());
        }
        let number = take_number(&mut self.progress.next_project, "project")?;
        self.tables.project_ids.insert(&*key, number)?;
        Ok(number)
    }

    /// The session with this id, if it has opened.
    pub(crate) fn find_session(
        &mut self,
        tenant: TenantNumber,
        id: &SessionId,
    ) -> Result<Option<Ordinal>, StoreError> {
        let key = keys::named(tenant, id.as_str());
        if let Some(found) = self.session_ids.get(&key) {
            return Ok(*found);
        }
        let found = self
            .tables
            .session_ids
            .get(&*key)?
            .map(|ordinal| ordinal.value());
        if let Some(ordinal) = found {
            self.load_session(ordinal)?;
        }
        self.session_ids.insert(key, found);
        Ok(found)
    }

    fn load_session(&mut self, ordinal: Ordinal) -> Result<(), StoreError> {
        let row = self
            .tables
            .sessions
            .get(ordinal)?
            .ok_or(StoreError::Damaged("session ids"))?;
        let stored = StoredSession::decode(row.value())?;
        let indexed = Some(Indexed::of(&stored.session));
        self.sessions.insert(
            ordinal,
            SessionSlot {
                stored,
                indexed,
                changed: false,
            },
        );
        Ok(())
    }

    /// A session that [`Working::find_session`] found.
    pub(crate) fn session(&self, ordinal: Ordinal) -> Result<&StoredSession, StoreError> {
        let slot = self
            .sessions
            .get(&ordinal)
            .ok_or(StoreError::Damaged("session ids"))?;
        Ok(&slot.stored)
    }

    /// The same, to be changed. [`Working::remember`] what changed it, or it is not written.
    pub(crate) fn session_mut(
        &mut self,
        ordinal: Ordinal,
    ) -> Result<&mut StoredSession, StoreError> {
        let slot = self.sessions.get_mut(&ordinal);
        Ok(&mut slot.ok_or(StoreError::Damaged("session ids"))?.stored)
    }

    /// Adds a session that has just opened.
    pub(crate) fn add_session(
        &mut self,
        tenant: TenantNumber,
        id: &SessionId,
        agent: u32,
        session: Session,
    ) -> Result<Ordinal, StoreError> {
        let ordinal = self.progress.next_session;
        self.progress.next_session = ordinal
            .checked_add(1)
            .ok_or(StoreError::Exhausted("session"))?;
        let project = match &session.project {
            Some(project) => Some(self.project(tenant, project)?),
            None => None,
        };
        if let Some(parent) = &session.parent
            && let Some(parent) = self.find_session(tenant, parent)?
        {
            self.tables
                .children
                .insert(&keys::pair(parent, ordinal), ())?;
        }
        let history = History::default();
        let stored = StoredSession {
            id: id.clone(),
            tenant,
            agent,
            project,
            session,
            history,
        };
        self.sessions.insert(
            ordinal,
            SessionSlot {
                stored,
                indexed: None,
                changed: true,
            },
        );
        self.session_ids
            .insert(keys::named(tenant, id.as_str()), Some(ordinal));
        Ok(ordinal)
    }

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

    /// Adds an event that took effect to the history of what it changed.
    pub(crate) fn remember(
        &mut self,
        entity: Entity,
        at: &Moment,
        key: EventKey,
    ) -> Result<(), StoreError> {
        let history = match entity {
            Entity::Session(ordinal) => {
                let slot = self.sessions.get_mut(&ordinal);
                let slot = slot.ok_or(StoreError::Damaged("session ids"))?;
                slot.changed = true;
                &mut slot.stored.history
            }
            Entity::Agent(number) => {
                let slot = self.agents.get_mut(&number);
                let slot = slot.ok_or(StoreError::Damaged("agent ids"))?;
                slot.changed = true;
                &mut slot.stored.history
            }
        };
        let position = at.position;
        history.push(entity, Entry { position, key }, &mut self.tables)
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

    /// What became of an earlier event.
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

    /// Notes what became of an event.
    pub(crate) fn set_verdict(
        &mut self,
        tenant: TenantNumber,
        position: Position,
        row: VerdictRow,
    ) {
        self.verdicts.insert(keys::verdict(tenant, position), row);
    }

    /// Writes what the batch changed.
    pub(crate) fn finish(mut self) -> Result<Progress, StoreError> {
        self.write_agents()?;
        let mut changed: Vec<(Ordinal, SessionSlot)> = self
            .sessions
            .drain()
            .filter(|(_, slot)| slot.changed)
            .collect();
        changed.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        for (ordinal, slot) in &changed {
            self.tables
                .sessions
                .insert(ordinal, &*slot.stored.encode())?;
        }
        self.write_new_ids(&changed)?;
        self.write_listing(&changed)?;
        self.write_deadlines(&changed)?;
        for (key, row) in &self.verdicts {
            self.tables.verdicts.insert(key, &*row.encode())?;
        }
        self.progress.save(&mut self.tables.meta)?;
        Ok(self.progress)
    }

    fn write_agents(&mut self) -> Result<(), StoreError> {
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

    fn write_new_ids(&mut self, changed: &[(Ordinal, SessionSlot)]) -> Result<(), StoreError> {
        let new = changed.iter().filter(|(_, slot)| slot.indexed.is_none());
        let mut ids: Vec<(Vec<u8>, Ordinal)> = new
            .map(|(ordinal, slot)| {
                (
                    keys::named(slot.stored.tenant, slot.stored.id.as_str()),
                    *ordinal,
                )
            })
            .collect();
        ids.sort_unstable();
        for (key, ordinal) in ids {
            self.tables.session_ids.insert(&*key, ordinal)?;
        }
        Ok(())
    }

    fn write_listing(&mut self, changed: &[(Ordinal, SessionSlot)]) -> Result<(), StoreError> {
        let mut deltas = Vec::new();
        for (ordinal, slot) in changed {
            let (before, after) = (slot.indexed, Indexed::of(&slot.stored.session));
            if before.is_some_and(|before| before.status == after.status) {
                continue;
            }
            if let Some(before) = before {
                slot.deltas(*ordinal, before.status, -1, &mut deltas);
            }
            slot.deltas(*ordinal, after.status, 1, &mut deltas);
        }
        deltas.sort_unstable();
        for Delta { key, change } in &deltas {
            if 0 < *change {
                self.tables.listing.insert(key, ())?;
            } else {
                self.tables.listing.remove(key)?;
            }
        }
        tally::apply(&mut self.tables, &deltas)
    }

    fn write_deadlines(&mut self, changed: &[(Ordinal, SessionSlot)]) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (ordinal, slot) in changed {
            let before = slot.indexed.and_then(|indexed| indexed.deadline);
            let after = Indexed::of(&slot.stored.session).deadline;
            if before != after {
                let key = |time: Timestamp| keys::deadline(time, *ordinal);
                writes.extend(before.map(|time| (key(time), false)));
                writes.extend(after.map(|time| (key(time), true)));
            }
        }
        writes.sort_unstable();
        for (key, insert) in writes {
            if insert {
                self.tables.deadlines.insert(&key, ())?;
            } else {
                self.tables.deadlines.remove(&key)?;
            }
        }
        Ok(())
    }
}

impl SessionSlot {
    /// The changes in every listing that has this session.
    fn deltas(&self, ordinal: Ordinal, status: Status, change: i64, out: &mut Vec<Delta>) {
        let order = keys::order(self.stored.session.created_at, ordinal);
        let owners = [
            Some(OwnerKey::Tenant(self.stored.tenant)),
            Some(OwnerKey::Agent(self.stored.agent)),
            self.stored.project.map(OwnerKey::Project),
        ];
        out.extend(owners.into_iter().flatten().map(|owner| {
            let key: ListingKey = keys::listing(keys::shelf(owner, status), order);
            Delta { key, change }
        }));
    }
}

fn take_number(next: &mut u32, what: &'static str) -> Result<u32, StoreError> {
    let number = *next;
    *next = number.checked_add(1).ok_or(StoreError::Exhausted(what))?;
    Ok(number)
}
