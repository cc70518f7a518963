//! Finds, adds, changes and writes the sessions of a batch.

use redb::{ReadableTable, Table};

use crate::domain::{Metadata, ProjectId, Session, SessionId, SessionStatus, Timestamp};
use crate::projection::before::SessionBefore;
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, State};
use crate::projection::numbers::{
    AgentNumber, Ordinal, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};
use crate::projection::row_sum::{RowSum, RowSums};
use crate::projection::session_row::StoredSession;
use crate::projection::tally::{self, Delta};
use crate::projection::working::Working;

/// A session in memory, and what the indexes hold of it.
pub(super) struct SessionSlot {
    pub(super) stored: StoredSession,
    pub(super) indexed: Option<IndexedSession>,
    /// Of the stored row.
    sum: RowSum,
    /// What the change that is made now replaces.
    pub(super) before: Option<(SessionBefore, Option<Metadata>)>,
    pub(super) changed: bool,
}

/// What the indexes hold of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexedSession {
    pub(super) state: State,
    pub(super) deadline: Option<Timestamp>,
}

impl IndexedSession {
    pub(super) fn of(session: &Session) -> Self {
        let active = session.status == SessionStatus::Active;
        Self {
            state: State::of(&session.status),
            deadline: session.expires_at.filter(|_| active),
        }
    }
}

impl SessionSlot {
    /// Adds the changes of the listings that contain this session. Only its status and its outcome can move it.
    pub(super) fn deltas(&self, ordinal: Ordinal, out: &mut Vec<Delta>) {
        let sort_key = keys::session_sort_key(self.stored.session.created_at, ordinal);
        let before = self.indexed.map(|indexed| indexed.state);
        let before = before.map_or([None; 5], |state| self.stored.partitions_of(state));
        let after = self.stored.partitions(&self.stored.session.status);
        tally::moves(sort_key, before, after, out);
    }
}

impl Working<'_> {
    /// The project's number. A new project gets the next one.
    fn project(
        &mut self,
        tenant: TenantNumber,
        id: &ProjectId,
    ) -> Result<ProjectNumber, StoreError> {
        let key = keys::named(tenant, id.as_str());
        if let Some(number) = self.tables.project_ids.get(&*key)? {
            return Ok(ProjectNumber::new(number.value()));
        }
        let number = self.progress.next_project.take()?;
        self.tables.project_ids.insert(&*key, number.get())?;
        Ok(number)
    }

    /// The user's number. A new user gets the next one.
    fn user(&mut self, tenant: TenantNumber, id: &str) -> Result<UserNumber, StoreError> {
        let key = keys::named(tenant, id);
        if let Some(number) = self.tables.user_ids.get(&*key)? {
            return Ok(UserNumber::new(number.value()));
        }
        let number = self.progress.next_user.take()?;
        self.tables.user_ids.insert(&*key, number.get())?;
        Ok(number)
    }

    /// The number of a session that opens another one. A session gets it with its first child.
    fn parent(&mut self, ordinal: Ordinal) -> Result<ParentNumber, StoreError> {
        if let Some(number) = self.tables.parents.get(ordinal.get())? {
            return Ok(ParentNumber::new(number.value()));
        }
        let number = self.progress.next_parent.take()?;
        self.tables.parents.insert(ordinal.get(), number.get())?;
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
            .map(|ordinal| Ordinal::new(ordinal.value()));
        if let Some(ordinal) = found {
            self.load_session(ordinal)?;
        }
        self.session_ids.insert(key, found);
        Ok(found)
    }

    pub(super) fn load_session(&mut self, ordinal: Ordinal) -> Result<(), StoreError> {
        let row = self
            .tables
            .sessions
            .get(ordinal.get())?
            .ok_or(StoreError::Damaged("session ids"))?;
        self.loaded_bytes += row.value().len();
        let stored = StoredSession::decode(row.value())?;
        let indexed = Some(IndexedSession::of(&stored.session));
        let sum = RowSum::of_session(ordinal, row.value());
        self.sessions.insert(
            ordinal,
            SessionSlot {
                stored,
                indexed,
                sum,
                before: None,
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

    /// A session that [`Working::find_session`] found, to be changed, its metadata only if that is said. The
    /// change is written only after a call of [`Working::remember`].
    pub(crate) fn session_mut(
        &mut self,
        ordinal: Ordinal,
        with_metadata: bool,
    ) -> Result<&mut StoredSession, StoreError> {
        let slot = self.sessions.get_mut(&ordinal);
        let slot = slot.ok_or(StoreError::Damaged("session ids"))?;
        let session = &slot.stored.session;
        let metadata = with_metadata.then(|| session.metadata.clone());
        slot.before = Some((SessionBefore::of(session), metadata));
        Ok(&mut slot.stored)
    }

    /// Adds a session that has just opened.
    pub(crate) fn add_session(
        &mut self,
        tenant: TenantNumber,
        id: &SessionId,
        agent: AgentNumber,
        session: Session,
    ) -> Result<Ordinal, StoreError> {
        let ordinal = self.progress.next_session.take()?;
        let project = match &session.project {
            Some(project) => Some(self.project(tenant, project)?),
            None => None,
        };
        let user = match &session.profile.user_id {
            Some(user) => Some(self.user(tenant, user)?),
            None => None,
        };
        let mut parent = None;
        if let Some(id) = &session.parent {
            let found = self.find_session(tenant, id)?;
            let found = found.ok_or(StoreError::Damaged("session ids"))?;
            let pair = keys::pair(found, ordinal);
            self.tables.children.insert(&pair, ())?;
            parent = Some(self.parent(found)?);
        }
        let history = History::default();
        let stored = StoredSession {
            id: id.clone(),
            tenant,
            agent,
            project,
            parent,
            user,
            opened: self.progress.position.next(),
            session,
            history,
        };
        self.sessions.insert(
            ordinal,
            SessionSlot {
                stored,
                indexed: None,
                sum: RowSum::EMPTY,
                before: None,
                changed: true,
            },
        );
        self.session_ids
            .insert(keys::named(tenant, id.as_str()), Some(ordinal));
        Ok(ordinal)
    }
}

/// Writes rows, and the ids of new sessions. Returns what that adds to the sums of tenants.
pub(super) fn write(
    rows: &mut Table<'_, u64, &'static [u8]>,
    ids: &mut Table<'_, &'static [u8], u64>,
    changed: &[(Ordinal, SessionSlot)],
) -> Result<RowSums, StoreError> {
    let mut sums = RowSums::default();
    for (ordinal, slot) in changed {
        let row = slot.stored.encode();
        rows.insert(ordinal.get(), &*row)?;
        let sum = RowSum::of_session(*ordinal, &row);
        sums.replace(slot.stored.tenant, slot.sum, sum);
    }
    let new = changed.iter().filter(|(_, slot)| slot.indexed.is_none());
    let key = |stored: &StoredSession| keys::named(stored.tenant, stored.id.as_str());
    let mut new: Vec<(Vec<u8>, Ordinal)> = new
        .map(|(ordinal, slot)| (key(&slot.stored), *ordinal))
        .collect();
    new.sort_unstable();
    for (key, ordinal) in new {
        ids.insert(&*key, ordinal.get())?;
    }
    Ok(sums)
}
