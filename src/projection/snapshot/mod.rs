//! One consistent view of the read model: what a query reads.

mod agents;
mod listings;

use std::fmt;

use redb::{ReadTransaction, ReadableTable};

use crate::domain::{Position, ProjectId, Reason, SessionId, TenantId, Timestamp, TokenHash};
use crate::projection::chain;
use crate::projection::error::StoreError;
use crate::projection::fold::PARKED_CODE;
use crate::projection::keys::{self, Entity, SessionOwner};
use crate::projection::meta::Progress;
use crate::projection::numbers::{Ordinal, ProjectNumber, TenantNumber};
use crate::projection::session_row::SessionRow;
use crate::projection::tables::ReadTables;
use crate::projection::verdict_row::VerdictRow;

pub use agents::KnownAgent;
pub use listings::{Listing, ListingPlace, PageStart};

/// The public part of a stored session, copied out of the file.
#[derive(Debug, Clone)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// The session.
    pub fn row(&self) -> Result<SessionRow<'_>, StoreError> {
        SessionRow::decode(&self.0)
    }
}

/// One code's share of the rejected and parked events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCode {
    /// Rejected for a reason.
    Rejected(Reason),
    /// Waiting.
    Parked,
}

impl RejectionCode {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        Reason::ALL
            .iter()
            .map(|reason| Self::Rejected(*reason))
            .chain([Self::Parked])
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.code(),
            Self::Parked => "parked",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Rejected(reason) => reason as u8,
            Self::Parked => PARKED_CODE,
        }
    }
}

/// A consistent view.
pub struct Snapshot {
    pub(super) tables: ReadTables,
    progress: Progress,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = &self.progress;
        f.debug_struct("Snapshot")
            .field("progress", progress)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(txn: &ReadTransaction) -> Result<Self, StoreError> {
        let tables = ReadTables::open(txn)?;
        let progress = Progress::load(&tables.meta)?;
        Ok(Self { tables, progress })
    }

    /// How far the read model had come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The tenant's number, if any event of it was folded.
    pub fn tenant(&self, id: &TenantId) -> Result<Option<TenantNumber>, StoreError> {
        Ok(self
            .tables
            .tenants
            .get(id.as_str())?
            .map(|number| TenantNumber::new(number.value())))
    }

    /// The id of the tenant with this number.
    pub fn tenant_id(&self, number: TenantNumber) -> Result<TenantId, StoreError> {
        let ids = &self.tables.tenant_ids;
        let id = ids
            .get(number.get())?
            .and_then(|id| TenantId::parse(id.value()).ok());
        id.ok_or(StoreError::Damaged("tenants"))
    }

    /// The sessions of a project, if any ever was in it.
    pub fn project(
        &self,
        tenant: TenantNumber,
        id: &ProjectId,
    ) -> Result<Option<SessionOwner>, StoreError> {
        let ids = &self.tables.project_ids;
        let found = ids.get(&*keys::named(tenant, id.as_str()))?;
        Ok(found.map(|number| SessionOwner::Project(ProjectNumber::new(number.value()))))
    }

    /// The session's ordinal, if it has opened.
    pub fn ordinal(
        &self,
        tenant: TenantNumber,
        id: &SessionId,
    ) -> Result<Option<Ordinal>, StoreError> {
        let ids = &self.tables.session_ids;
        Ok(ids
            .get(&*keys::named(tenant, id.as_str()))?
            .map(|ordinal| Ordinal::new(ordinal.value())))
    }

    /// A session.
    pub fn session(&self, ordinal: Ordinal) -> Result<RowBytes, StoreError> {
        let rows = &self.tables.sessions;
        let row = rows
            .get(ordinal.get())?
            .ok_or(StoreError::Damaged("session ids"))?;
        Ok(RowBytes(SessionRow::public_part(row.value())?.to_vec()))
    }

    /// A session, if its access token has this hash.
    pub fn session_with_token(
        &self,
        ordinal: Ordinal,
        hash: &TokenHash,
    ) -> Result<Option<RowBytes>, StoreError> {
        let rows = &self.tables.sessions;
        let row = rows
            .get(ordinal.get())?
            .ok_or(StoreError::Damaged("session ids"))?;
        match SessionRow::tokens(row.value())? {
            Some(tokens) if tokens.access == *hash => {
                let public = SessionRow::public_part(row.value())?;
                Ok(Some(RowBytes(public.to_vec())))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// At most `count` positions of a session's events from number `from` on, in the order in which
    /// they took effect, and how many there are.
    pub fn history(
        &self,
        ordinal: Ordinal,
        from: u64,
        count: usize,
    ) -> Result<(Vec<Position>, u64), StoreError> {
        let rows = &self.tables.sessions;
        let row = rows
            .get(ordinal.get())?
            .ok_or(StoreError::Damaged("session ids"))?;
        let history = SessionRow::history(row.value())?;
        let moved = &self.tables.history;
        let page = history.page(Entity::Session(ordinal), (from, count), moved)?;
        Ok((page, history.len()))
    }

    /// What became of the tenant's event at a position; `None` if there is none.
    pub fn verdict(
        &self,
        tenant: TenantNumber,
        position: Position,
    ) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = &self.tables.verdicts;
        let found = verdicts.get(&keys::verdict(tenant, position))?;
        found.map(|row| VerdictRow::decode(row.value())).transpose()
    }

    /// What became of the tenant's last event; `None` if it has none.
    pub fn last_verdict(&self, tenant: TenantNumber) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = &self.tables.verdicts;
        let low = keys::verdict(tenant, Position::ZERO);
        let high = keys::verdict(tenant, Position::new(u64::MAX));
        let last = verdicts.range::<&[u8; 12]>(&low..=&high)?.next_back();
        last.map(|entry| VerdictRow::decode(entry?.1.value()))
            .transpose()
    }

    /// What became of the tenant's events after a position, oldest first. `visit` says when it has
    /// enough.
    pub fn verdicts(
        &self,
        tenant: TenantNumber,
        after: Position,
        mut visit: impl FnMut(Position, VerdictRow) -> bool,
    ) -> Result<(), StoreError> {
        let verdicts = &self.tables.verdicts;
        let low = keys::verdict(tenant, after.next());
        let high = keys::verdict(tenant, Position::new(u64::MAX));
        for entry in verdicts.range::<&[u8; 12]>(&low..=&high)? {
            let (key, row) = entry?;
            let (_, position) = keys::verdict_parts(*key.value());
            if !visit(position, VerdictRow::decode(row.value())?) {
                break;
            }
        }
        Ok(())
    }

    /// How many of the tenant's events were rejected or are parked, by code.
    pub fn rejection_totals(
        &self,
        tenant: TenantNumber,
    ) -> Result<Vec<(RejectionCode, u64)>, StoreError> {
        let totals = &self.tables.rejection_totals;
        let mut found = Vec::new();
        for code in RejectionCode::all() {
            let key = keys::rejection_count(tenant, code.number());
            if let Some(total) = totals.get(&key)? {
                found.push((code, total.value()));
            }
        }
        Ok(found)
    }

    /// The tenant's rejected or parked events before a position, newest first.
    pub fn rejections(
        &self,
        tenant: TenantNumber,
        codes: &[RejectionCode],
        before: Position,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let table = &self.tables.rejections;
        let mut positions = Vec::new();
        for code in codes {
            let low = keys::rejection(tenant, code.number(), 0);
            let high = keys::rejection(tenant, code.number(), before.get());
            // Each code gives at most one page, so the sort below is bounded.
            for entry in table.range::<&[u8; 13]>(&low..&high)?.rev().take(count) {
                positions.push(Position::new(keys::rejection_position(*entry?.0.value())));
            }
        }
        positions.sort_unstable_by(|a, b| b.cmp(a));
        positions.truncate(count);
        Ok(positions)
    }

    /// The next deadlines of active sessions, earliest first.
    pub fn deadlines(&self, count: usize) -> Result<Vec<(Timestamp, Ordinal)>, StoreError> {
        let table = &self.tables.deadlines;
        let mut found = Vec::new();
        for entry in table.iter()?.take(count) {
            found.push(keys::deadline_parts(*entry?.0.value()));
        }
        Ok(found)
    }

    /// Digest over every byte of every table but the one that says how far the fold has come, which
    /// is part of it as the chain's head and position.
    pub fn digest(&self) -> Result<chain::ChainHead, StoreError> {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        self.tables.visit_all(&mut |table, key, value| {
            for part in [table.as_bytes(), key, value] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        })?;
        Ok(hasher.finalize().into())
    }
}
