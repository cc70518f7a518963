//! One consistent view of the read model. Queries read the part of one tenant, and reactors the parts of all.

mod agents;
mod all_tenants;
mod listings;
mod past;
mod tenant;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable};

use crate::domain::{Position, Reason, TenantId, Timestamp, TokenHash, Verdict};
use crate::log::chain;
use crate::projection::error::StoreError;
use crate::projection::fold::PARKED_CODE;
use crate::projection::keys::{self, Entity};
use crate::projection::meta::Progress;
use crate::projection::numbers::{Ordinal, TenantNumber};
use crate::projection::session_row::SessionRow;
use crate::projection::tables::ReadTables;

pub use agents::{Endings, KnownAgent};
pub use all_tenants::AllTenants;
pub use listings::{Counted, Listing, ListingPlace, PageRows, PageStart};
pub use tenant::{EventRange, Order, TenantSnapshot};

/// The public part of a stored session, copied out of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// The session.
    pub fn row(&self) -> Result<SessionRow<'_>, StoreError> {
        SessionRow::decode(&self.0)
    }
}

/// The code under which a rejected or parked event is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// Rejected for a reason.
    Rejected(Reason),
    /// Parked.
    Parked,
}

/// No event is counted under this word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no code of a rejected or parked event")]
pub struct UnknownCode;

impl RejectionCode {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        Reason::ALL
            .iter()
            .map(|reason| Self::Rejected(*reason))
            .chain([Self::Parked])
    }

    /// The code of a verdict, if it is one of a rejected or parked event.
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Rejected(reason) => Some(Self::Rejected(reason)),
            Verdict::Parked => Some(Self::Parked),
            Verdict::Applied | Verdict::Duplicate(_) => None,
        }
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

impl FromStr for RejectionCode {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Self, UnknownCode> {
        let mut codes = Self::all();
        codes.find(|code| code.as_str() == word).ok_or(UnknownCode)
    }
}

/// A consistent view.
pub struct Snapshot {
    pub(super) tables: Arc<ReadTables>,
    progress: Progress,
    /// Set if it answers as of an earlier position.
    then: Option<past::Then>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(txn: &ReadTransaction) -> Result<Self, StoreError> {
        let tables = ReadTables::open(txn)?;
        let progress = Progress::load(&tables.meta)?;
        Ok(Self {
            tables: Arc::new(tables),
            progress,
            then: None,
        })
    }

    /// The progress of the fold of the files, also if it answers as of an earlier position.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// One tenant's part of the snapshot; `None` if no event of the tenant was folded.
    pub fn of_tenant(&self, id: &TenantId) -> Result<Option<TenantSnapshot<'_>>, StoreError> {
        let number = self.tables.tenants.get(id.as_str())?;
        Ok(number.map(|number| TenantSnapshot {
            snapshot: self,
            tenant: TenantNumber::new(number.value()),
        }))
    }

    /// All tenants' parts of the snapshot, for reactors. Queries must not use it.
    pub fn of_all_tenants(&self) -> AllTenants<'_> {
        AllTenants { snapshot: self }
    }

    /// The id of the tenant with this number.
    pub(in crate::projection) fn tenant_id(
        &self,
        number: TenantNumber,
    ) -> Result<TenantId, StoreError> {
        let ids = &self.tables.tenant_ids;
        let id = ids
            .get(number.get())?
            .and_then(|id| TenantId::parse(id.value()).ok());
        id.ok_or(StoreError::Damaged("tenants"))
    }

    /// A session.
    pub(in crate::projection) fn session(&self, ordinal: Ordinal) -> Result<RowBytes, StoreError> {
        let rows = &self.tables.sessions;
        let row = rows
            .get(ordinal.get())?
            .ok_or(StoreError::Damaged("session ids"))?;
        Ok(RowBytes(self.public_session(ordinal, row.value())?))
    }

    /// A session, if its access token has this hash.
    pub(in crate::projection) fn session_with_token(
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
    pub(in crate::projection) fn history(
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

    /// The next deadlines of active sessions, earliest first.
    pub(in crate::projection) fn deadlines(
        &self,
        count: usize,
    ) -> Result<Vec<(Timestamp, Ordinal)>, StoreError> {
        let table = &self.tables.deadlines;
        let mut found = Vec::new();
        for entry in table.iter()?.take(count) {
            found.push(keys::deadline_parts(*entry?.0.value()));
        }
        Ok(found)
    }

    /// How many active sessions have a deadline after one time and up to another, counted up to `count_max`.
    pub(in crate::projection) fn deadlines_within(
        &self,
        after: Option<Timestamp>,
        by: Timestamp,
        count_max: usize,
    ) -> Result<usize, StoreError> {
        let last = |time| keys::deadline(time, Ordinal::new(u64::MAX));
        let (after, by) = (after.map(last), last(by));
        let after = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let within = (after, Bound::Included(&by));
        let deadlines = self.tables.deadlines.range::<&[u8; 16]>(within)?;
        let mut counted = deadlines.take(count_max);
        counted.try_fold(0, |count, entry| Ok(entry.map(|_| count + 1)?))
    }

    /// Digest over the name of every table and the bytes of every entry.
    pub fn digest(&self) -> Result<chain::ChainHead, StoreError> {
        self.tables.digest()
    }

    /// Digests over the entries of each table that has entries, by the name of the table.
    pub(in crate::projection) fn digests(
        &self,
    ) -> Result<BTreeMap<String, chain::ChainHead>, StoreError> {
        use sha2::{Digest, Sha256};
        let mut hashers = BTreeMap::<String, Sha256>::new();
        self.tables.visit_all(&mut |table, key, value| {
            let hasher = hashers.entry(table.to_owned()).or_default();
            for part in [key, value] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        })?;
        let digests = hashers.into_iter();
        Ok(digests
            .map(|(table, hasher)| (table, hasher.finalize().into()))
            .collect())
    }
}
