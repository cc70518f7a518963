//! One consistent view of the read model: what a query reads.

use redb::{ReadTransaction, ReadableTable};

use crate::domain::filter::Owner;
use crate::domain::session::Status;
use crate::domain::{
    Position, Reason, SessionId, StatusSet, TenantId, TimeRange, Timestamp, TokenHash,
};
use crate::projection::agent_row::StoredAgent;
use crate::projection::chain;
use crate::projection::error::StoreError;
use crate::projection::fold::PARKED_CODE;
use crate::projection::keys::{self, Entity, Order, Ordinal, OwnerKey, TenantNumber};
use crate::projection::meta::Progress;
use crate::projection::session_row::SessionRow;
use crate::projection::tables;
use crate::projection::tally::Counter;
use crate::projection::verdict_row::VerdictRow;

/// The public part of a stored session, copied out of the file.
#[derive(Debug, Clone)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// The session.
    pub fn row(&self) -> Result<SessionRow<'_>, StoreError> {
        SessionRow::decode(&self.0)
    }
}

/// Where a session stands in its listings: opaque, and the same for as long as there is a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListingPlace(pub(crate) Order);

impl ListingPlace {
    /// As bytes, for a cursor.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From a cursor's bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Which part of which listing.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Whose sessions.
    pub owner: OwnerKey,
    /// In which statuses.
    pub statuses: StatusSet,
    /// Created when.
    pub created: TimeRange,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After so many sessions of the listing.
    Offset(u64),
    /// Right after this place.
    After(ListingPlace),
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
#[derive(Debug)]
pub struct Snapshot {
    pub(super) txn: ReadTransaction,
    progress: Progress,
}

impl Snapshot {
    pub(crate) fn new(txn: ReadTransaction) -> Result<Self, StoreError> {
        let progress = Progress::load(&txn.open_table(tables::meta)?)?;
        Ok(Self { txn, progress })
    }

    /// How far the read model had come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The tenant's number, if any event of it was folded.
    pub fn tenant(&self, id: &TenantId) -> Result<Option<TenantNumber>, StoreError> {
        Ok(self
            .txn
            .open_table(tables::tenants)?
            .get(id.as_str())?
            .map(|number| number.value()))
    }

    /// The id of the tenant with this number.
    pub fn tenant_id(&self, number: TenantNumber) -> Result<TenantId, StoreError> {
        let ids = self.txn.open_table(tables::tenant_ids)?;
        let id = ids
            .get(number)?
            .and_then(|id| TenantId::parse(id.value()).ok());
        id.ok_or(StoreError::Damaged("tenants"))
    }

    /// The owner of a listing, if any event of it was folded.
    pub fn owner(
        &self,
        tenant: TenantNumber,
        owner: &Owner,
    ) -> Result<Option<OwnerKey>, StoreError> {
        Ok(match owner {
            Owner::Tenant => Some(OwnerKey::Tenant(tenant)),
            Owner::Agent(id) => self.agent_number(tenant, id.as_str())?.map(OwnerKey::Agent),
            Owner::Project(id) => {
                let ids = self.txn.open_table(tables::project_ids)?;
                let found = ids.get(&*keys::named(tenant, id.as_str()))?;
                found.map(|number| OwnerKey::Project(number.value()))
            }
        })
    }

    /// The agent's number, if it is known.
    pub fn agent_number(&self, tenant: TenantNumber, id: &str) -> Result<Option<u32>, StoreError> {
        let ids = self.txn.open_table(tables::agent_ids)?;
        Ok(ids
            .get(&*keys::named(tenant, id))?
            .map(|number| number.value()))
    }

    /// Whether an agent may act at this time.
    pub fn agent_may_act(&self, number: u32, time: Timestamp) -> Result<bool, StoreError> {
        let rows = self.txn.open_table(tables::agents)?;
        let row = rows.get(number)?.ok_or(StoreError::Damaged("agent ids"))?;
        let agent = StoredAgent::decode(row.value())?.agent;
        Ok(agent.check_may_act(time).is_ok())
    }

    /// The session's ordinal, if it has opened.
    pub fn ordinal(
        &self,
        tenant: TenantNumber,
        id: &SessionId,
    ) -> Result<Option<Ordinal>, StoreError> {
        let ids = self.txn.open_table(tables::session_ids)?;
        Ok(ids
            .get(&*keys::named(tenant, id.as_str()))?
            .map(|ordinal| ordinal.value()))
    }

    /// A session.
    pub fn session(&self, ordinal: Ordinal) -> Result<RowBytes, StoreError> {
        let rows = self.txn.open_table(tables::sessions)?;
        let row = rows
            .get(ordinal)?
            .ok_or(StoreError::Damaged("session ids"))?;
        Ok(RowBytes(SessionRow::public_part(row.value())?.to_vec()))
    }

    /// Whether a session's access token has this hash.
    pub fn has_access_token(&self, ordinal: Ordinal, hash: &TokenHash) -> Result<bool, StoreError> {
        let rows = self.txn.open_table(tables::sessions)?;
        let row = rows
            .get(ordinal)?
            .ok_or(StoreError::Damaged("session ids"))?;
        let tokens = SessionRow::tokens(row.value())?;
        Ok(tokens.is_some_and(|tokens| tokens.access == *hash))
    }

    /// How many sessions a listing has, per status.
    pub fn totals(&self, listing: &Listing) -> Result<Vec<(Status, u64)>, StoreError> {
        self.counted(|counter| {
            let count = |status| Ok((status, count_one(counter, listing, status)?));
            listing.statuses.iter().map(count).collect()
        })
    }

    /// Some sessions of a listing, newest first, with their places.
    pub fn page(
        &self,
        listing: &Listing,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Vec<(ListingPlace, RowBytes)>, StoreError> {
        let Some(start) = self.page_start(listing, start)? else {
            return Ok(Vec::new());
        };
        let end = listing.created.after.map(keys::order_before);
        let orders = self.merge(listing, start, end, rows_max)?;
        let rows = self.txn.open_table(tables::sessions)?;
        let mut page = Vec::with_capacity(orders.len());
        for order in orders {
            let row = rows
                .get(keys::ordinal_of(&order))?
                .ok_or(StoreError::Damaged("listing"))?;
            page.push((
                ListingPlace(order),
                RowBytes(SessionRow::public_part(row.value())?.to_vec()),
            ));
        }
        Ok(page)
    }

    fn page_start(&self, listing: &Listing, start: PageStart) -> Result<Option<Order>, StoreError> {
        let newest = listing.created.before.map_or([0; 16], keys::order_before);
        match start {
            PageStart::After(place) => {
                Ok(keys::order_after(place.0).map(|order| order.max(newest)))
            }
            PageStart::Offset(0) => Ok(Some(newest)),
            PageStart::Offset(offset) => self.counted(|counter| {
                let mut shelves = Vec::with_capacity(4);
                let mut newer = 0;
                for status in listing.statuses.iter() {
                    let shelf = keys::shelf(listing.owner, status);
                    shelves.push(shelf);
                    newer += match listing.created.before {
                        Some(_) => counter.rank(shelf, newest)?,
                        None => 0,
                    };
                }
                newer
                    .checked_add(offset)
                    .map_or(Ok(None), |rank| counter.select(&shelves, rank))
            }),
        }
    }

    /// Orders of a listing from `start` to before `end`, over its statuses together.
    fn merge(
        &self,
        listing: &Listing,
        start: Order,
        end: Option<Order>,
        rows_max: usize,
    ) -> Result<Vec<Order>, StoreError> {
        let table = self.txn.open_table(tables::listing)?;
        let mut ranges = Vec::with_capacity(4);
        for status in listing.statuses.iter() {
            let shelf = keys::shelf(listing.owner, status);
            let low = keys::listing(shelf, start);
            let high = keys::listing(shelf, end.unwrap_or([0xff; 16]));
            if high < low {
                continue;
            }
            let mut range = table.range::<&keys::ListingKey>(&low..&high)?;
            if let Some(first) = range.next() {
                ranges.push((keys::order_of(first?.0.value()), range));
            }
        }
        let mut orders = Vec::with_capacity(rows_max);
        while orders.len() < rows_max {
            let nearest = ranges
                .iter()
                .enumerate()
                .min_by_key(|(_, (order, _))| *order);
            let Some((index, (order, _))) = nearest else {
                break;
            };
            orders.push(*order);
            match ranges[index].1.next() {
                Some(next) => ranges[index].0 = keys::order_of(next?.0.value()),
                None => drop(ranges.swap_remove(index)),
            }
        }
        Ok(orders)
    }

    fn counted<R>(
        &self,
        read: impl FnOnce(&ReadCounter<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        read(&Counter {
            listing: &self.txn.open_table(tables::listing)?,
            tallies: &self.txn.open_table(tables::tallies)?,
            totals: &self.txn.open_table(tables::totals)?,
        })
    }

    /// At most `count` positions of a session's events from number `from` on, in the order in which
    /// they took effect, and how many there are.
    pub fn history(
        &self,
        ordinal: Ordinal,
        from: u64,
        count: usize,
    ) -> Result<(Vec<Position>, u64), StoreError> {
        let rows = self.txn.open_table(tables::sessions)?;
        let row = rows
            .get(ordinal)?
            .ok_or(StoreError::Damaged("session ids"))?;
        let history = SessionRow::history(row.value())?;
        let moved = self.txn.open_table(tables::history)?;
        let page = history.page(Entity::Session(ordinal), (from, count), &moved)?;
        Ok((page, history.len()))
    }

    /// What became of the tenant's event at a position; `None` if there is none.
    pub fn verdict(
        &self,
        tenant: TenantNumber,
        position: Position,
    ) -> Result<Option<VerdictRow>, StoreError> {
        let verdicts = self.txn.open_table(tables::verdicts)?;
        let found = verdicts.get(&keys::verdict(tenant, position))?;
        found.map(|row| VerdictRow::decode(row.value())).transpose()
    }

    /// What became of the tenant's events after a position, oldest first. `visit` says when it has
    /// enough.
    pub fn verdicts(
        &self,
        tenant: TenantNumber,
        after: Position,
        mut visit: impl FnMut(Position, VerdictRow) -> bool,
    ) -> Result<(), StoreError> {
        let verdicts = self.txn.open_table(tables::verdicts)?;
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
        let totals = self.txn.open_table(tables::rejection_totals)?;
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
        let table = self.txn.open_table(tables::rejections)?;
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
        let table = self.txn.open_table(tables::deadlines)?;
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
        tables::visit_all(&self.txn, &mut |table, key, value| {
            for part in [table.as_bytes(), key, value] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        })?;
        Ok(hasher.finalize().into())
    }
}

type ReadCounter<'a> = Counter<
    'a,
    redb::ReadOnlyTable<&'static keys::ListingKey, ()>,
    redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
    redb::ReadOnlyTable<&'static keys::Shelf, u64>,
>;

fn count_one(
    counter: &ReadCounter<'_>,
    listing: &Listing,
    status: Status,
) -> Result<u64, StoreError> {
    let shelf = keys::shelf(listing.owner, status);
    let TimeRange { after, before } = listing.created;
    let older = match after {
        Some(after) => counter.rank(shelf, keys::order_before(after))?,
        None => counter.total(shelf)?,
    };
    let newer = match before {
        Some(before) => counter.rank(shelf, keys::order_before(before))?,
        None => 0,
    };
    Ok(older.saturating_sub(newer))
}
