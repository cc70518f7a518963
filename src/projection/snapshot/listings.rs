//! Pages and totals of listings, whatever they list.

use crate::domain::{StatusSet, TimeRange};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, AgentOwner, ListingOwner, Order, SessionOwner, Shelf};
use crate::projection::numbers::AgentNumber;
use crate::projection::session_row::SessionRow;
use crate::projection::snapshot::{KnownAgent, RowBytes, Snapshot};
use crate::projection::tally::Counter;

/// Where something stands in its listings: opaque, and the same for as long as there is a log.
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
pub struct Listing<O: ListingOwner> {
    /// Whose sessions or agents.
    pub owner: O,
    /// In which statuses.
    pub statuses: StatusSet<O::Status>,
    /// Created when.
    pub created: TimeRange,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After so many rows of the listing.
    Offset(u64),
    /// Right after this place.
    After(ListingPlace),
}

impl<O: ListingOwner> Listing<O> {
    fn shelves(&self) -> Vec<Shelf> {
        let statuses = self.statuses.iter();
        statuses
            .map(|status| keys::shelf(self.owner, status))
            .collect()
    }
}

impl Snapshot {
    /// How many rows a listing has, per status.
    pub fn totals<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<Vec<(O::Status, u64)>, StoreError> {
        self.counted(|counter| {
            let count = |status| {
                let shelf = keys::shelf(listing.owner, status);
                Ok((status, count_one(counter, shelf, listing.created)?))
            };
            listing.statuses.iter().map(count).collect()
        })
    }

    /// Some sessions of a listing, newest first, with their places.
    pub fn page(
        &self,
        listing: &Listing<SessionOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Vec<(ListingPlace, RowBytes)>, StoreError> {
        let orders = self.orders(listing, start, rows_max)?;
        let rows = &self.tables.sessions;
        let mut page = Vec::with_capacity(orders.len());
        for order in orders {
            let row = rows
                .get(keys::ordinal_of(&order).get())?
                .ok_or(StoreError::Damaged("listing"))?;
            page.push((
                ListingPlace(order),
                RowBytes(SessionRow::public_part(row.value())?.to_vec()),
            ));
        }
        Ok(page)
    }

    /// Some agents of a listing, newest first, with their places.
    pub fn agent_page(
        &self,
        listing: &Listing<AgentOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Vec<(ListingPlace, KnownAgent)>, StoreError> {
        let orders = self.orders(listing, start, rows_max)?;
        let mut page = Vec::with_capacity(orders.len());
        for order in orders {
            let number = keys::agent_of(&order).ok_or(StoreError::Damaged("listing"))?;
            page.push((ListingPlace(order), self.agent(number)?));
        }
        Ok(page)
    }

    /// An agent, if it is in a listing.
    pub fn agent_in(
        &self,
        listing: &Listing<AgentOwner>,
        number: AgentNumber,
    ) -> Result<Option<KnownAgent>, StoreError> {
        let agent = self.agent(number)?;
        let order = keys::agent_order(agent.row()?.created_at, number);
        for shelf in listing.shelves() {
            let key = keys::listing(shelf, order);
            if self.tables.listing.get(&key)?.is_some() {
                return Ok(Some(agent));
            }
        }
        Ok(None)
    }

    /// Orders of a listing from where a page starts.
    fn orders<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Vec<Order>, StoreError> {
        let shelves = listing.shelves();
        let TimeRange { after, before } = listing.created;
        let newest = before.map_or([0; 16], keys::order_before);
        let Some(start) = self.page_start(&shelves, newest, start)? else {
            return Ok(Vec::new());
        };
        let end = after.map_or([0xff; 16], keys::order_before);
        self.merge(&shelves, start..end, rows_max)
    }

    fn page_start(
        &self,
        shelves: &[Shelf],
        newest: Order,
        start: PageStart,
    ) -> Result<Option<Order>, StoreError> {
        match start {
            PageStart::After(place) => {
                Ok(keys::order_after(place.0).map(|order| order.max(newest)))
            }
            PageStart::Offset(0) => Ok(Some(newest)),
            PageStart::Offset(offset) => self.counted(|counter| {
                let mut newer = 0;
                if newest != [0; 16] {
                    for shelf in shelves {
                        newer += counter.rank(*shelf, newest)?;
                    }
                }
                newer
                    .checked_add(offset)
                    .map_or(Ok(None), |rank| counter.select(shelves, rank))
            }),
        }
    }

    /// Orders in a range, over some shelves together.
    fn merge(
        &self,
        shelves: &[Shelf],
        within: std::ops::Range<Order>,
        rows_max: usize,
    ) -> Result<Vec<Order>, StoreError> {
        let table = &self.tables.listing;
        let mut ranges = Vec::with_capacity(shelves.len());
        for shelf in shelves {
            let low = keys::listing(*shelf, within.start);
            let high = keys::listing(*shelf, within.end);
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
            listing: &self.tables.listing,
            tallies: &self.tables.tallies,
            totals: &self.tables.totals,
        })
    }
}

type ReadCounter<'a> = Counter<
    'a,
    redb::ReadOnlyTable<&'static keys::ListingKey, ()>,
    redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
    redb::ReadOnlyTable<&'static Shelf, u64>,
>;

fn count_one(
    counter: &ReadCounter<'_>,
    shelf: Shelf,
    created: TimeRange,
) -> Result<u64, StoreError> {
    let older = match created.after {
        Some(after) => counter.rank(shelf, keys::order_before(after))?,
        None => counter.total(shelf)?,
    };
    let newer = match created.before {
        Some(before) => counter.rank(shelf, keys::order_before(before))?,
        None => 0,
    };
    Ok(older.saturating_sub(newer))
}
