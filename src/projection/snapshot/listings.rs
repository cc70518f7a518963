//! Pages and totals of the listings of sessions and agents.

use crate::domain::filter::ListedStatus;
use crate::domain::{OutcomeSet, StatusSet, TimeRange, Timestamp};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, AgentOwner, ListingOwner, Partition, SessionOwner, SortKey};
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::snapshot::past::Places;
use crate::projection::snapshot::{KnownAgent, RowBytes, Snapshot};
use crate::projection::tally::Counter;

/// The place of a session or agent in its listings. It is opaque and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListingPlace(pub(crate) SortKey);

impl ListingPlace {
    /// The place of a session that was created at this time.
    pub fn of_session(created_at: Timestamp, ordinal: Ordinal) -> Self {
        Self(keys::session_sort_key(created_at, ordinal))
    }

    /// As bytes, for a cursor.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From a cursor's bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// A part of a listing.
#[derive(Debug, Clone)]
pub struct Listing<O: ListingOwner> {
    /// The owners of the sessions or agents. No two of them own the same one.
    pub owners: Vec<O>,
    /// Whether the sessions are roots: true for only those without a parent, false for only those with one.
    pub root: Option<bool>,
    /// Their statuses.
    pub statuses: StatusSet<O::Status>,
    /// The outcomes of terminated sessions. No others are asked.
    pub outcomes: OutcomeSet,
    /// The range of their times of creation.
    pub created: TimeRange,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After this many rows of the listing.
    Offset(u64),
    /// Right after a place.
    After {
        /// The place.
        place: ListingPlace,
        /// What an earlier page of a listing that does not change has counted.
        counted: Option<Counted>,
    },
}

/// How many rows a listing that does not change has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// All.
    pub total: u64,
    /// Those that are left after a page.
    pub left: u64,
}

/// Rows of a page with their places.
#[derive(Debug, Clone)]
pub struct PageRows<R> {
    /// The rows.
    pub rows: Vec<(ListingPlace, R)>,
    /// Set if there may be more rows than the page has, although it is not full: they come after this place.
    pub cut: Option<ListingPlace>,
}

impl<O: ListingOwner> Listing<O> {
    /// All that one owner has, with these statuses.
    pub fn of(owner: O, statuses: StatusSet<O::Status>) -> Self {
        Self {
            owners: vec![owner],
            root: None,
            statuses,
            outcomes: OutcomeSet::ALL,
            created: TimeRange::default(),
        }
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        let owners = self.owners.iter();
        let classes = || keys::classes().filter(|class| self.has_class(*class));
        let partitions =
            owners.flat_map(|owner| classes().map(|class| keys::partition_of_class(*owner, class)));
        partitions.collect()
    }

    /// Whether the listing has the sessions or agents of a class.
    pub(super) fn has_class(&self, class: u8) -> bool {
        let mut statuses = self.statuses.iter();
        statuses.any(|status| keys::has_status(class, status))
            && (O::OF_SESSIONS || !keys::is_of_children(class))
            && (!O::OF_SESSIONS || keys::has_outcome(class, self.outcomes))
            && self
                .root
                .is_none_or(|root| root != keys::is_of_children(class))
    }

    /// No rows, per status.
    pub(super) fn uncounted(&self) -> Vec<(O::Status, u64)> {
        self.statuses.iter().map(|status| (status, 0)).collect()
    }
}

/// Adds to the number of rows of a class's status.
pub(super) fn add<S: ListedStatus>(counted: &mut [(S, u64)], class: u8, count: u64) {
    let mut of = counted.iter_mut();
    if let Some((_, sum)) = of.find(|(status, _)| keys::has_status(class, *status)) {
        *sum += count;
    }
}

impl Snapshot {
    /// How many rows a listing has, per status.
    pub(in crate::projection) fn totals<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<Vec<(O::Status, u64)>, StoreError> {
        if let Some(then) = &self.then {
            return then.totals(listing);
        }
        let mut counted = listing.uncounted();
        for (partition, total) in self.filled(listing)? {
            let count = if listing.created == TimeRange::default() {
                total
            } else {
                self.counted(|counter| count_one(counter, partition, listing.created))?
            };
            add(&mut counted, keys::class(partition), count);
        }
        Ok(counted)
    }

    /// The partitions of a listing that have keys, and how many.
    fn filled<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<Vec<(Partition, u64)>, StoreError> {
        let mut filled = Vec::new();
        for owner in &listing.owners {
            let (low, high) = keys::partitions(*owner);
            for entry in self.tables.totals.range::<&Partition>(&low..=&high)? {
                let (partition, total) = entry?;
                let partition = *partition.value();
                if listing.has_class(keys::class(partition)) {
                    filled.push((partition, total.value()));
                }
            }
        }
        Ok(filled)
    }

    /// Some sessions of a listing, newest first, with their places.
    pub(in crate::projection) fn page(
        &self,
        listing: &Listing<SessionOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<PageRows<RowBytes>, StoreError> {
        let Places { sort_keys, cut } = self.places(listing, start, rows_max)?;
        let mut rows = Vec::with_capacity(sort_keys.len());
        for sort_key in sort_keys {
            let row = self.session(keys::ordinal_of(&sort_key))?;
            rows.push((ListingPlace(sort_key), row));
        }
        Ok(PageRows { rows, cut })
    }

    /// Some agents of a listing, newest first, with their places.
    pub(in crate::projection) fn agent_page(
        &self,
        listing: &Listing<AgentOwner>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<PageRows<KnownAgent>, StoreError> {
        let Places { sort_keys, cut } = self.places(listing, start, rows_max)?;
        let mut rows = Vec::with_capacity(sort_keys.len());
        for sort_key in sort_keys {
            let number = keys::agent_of(&sort_key).ok_or(StoreError::Damaged("listing"))?;
            rows.push((ListingPlace(sort_key), self.agent(number)?));
        }
        Ok(PageRows { rows, cut })
    }

    /// An agent, if it is in a listing.
    pub(in crate::projection) fn agent_in(
        &self,
        listing: &Listing<AgentOwner>,
        number: AgentNumber,
    ) -> Result<Option<KnownAgent>, StoreError> {
        let agent = self.agent(number)?;
        if self.is_past() {
            let listed = agent.partitions()?;
            let mut partitions = listing.partitions().into_iter();
            let is_in = partitions.any(|partition| listed.contains(&Some(partition)));
            return Ok(is_in.then_some(agent));
        }
        let sort_key = keys::agent_sort_key(agent.row()?.created_at, number);
        for partition in listing.partitions() {
            let key = keys::listing(partition, sort_key);
            if self.tables.listing.get(&key)?.is_some() {
                return Ok(Some(agent));
            }
        }
        Ok(None)
    }

    fn places<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Places, StoreError> {
        if let Some(then) = &self.then {
            return then.places(listing, start, rows_max);
        }
        let sort_keys = self.sort_keys(listing, start, rows_max)?;
        let cut = None;
        Ok(Places { sort_keys, cut })
    }

    /// The sort keys of a page of the present.
    fn sort_keys<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Vec<SortKey>, StoreError> {
        let filled = self.filled(listing)?;
        let partitions: Vec<Partition> = filled.iter().map(|(partition, _)| *partition).collect();
        let TimeRange { after, before } = listing.created;
        let newest = before.map_or([0; 16], keys::sort_key_before);
        let Some(start) = self.page_start(&partitions, newest, start)? else {
            return Ok(Vec::new());
        };
        let end = after.map_or([0xff; 16], keys::sort_key_before);
        self.merge(&partitions, start..end, rows_max)
    }

    fn page_start(
        &self,
        partitions: &[Partition],
        newest: SortKey,
        start: PageStart,
    ) -> Result<Option<SortKey>, StoreError> {
        match start {
            PageStart::After { place, .. } => {
                Ok(keys::sort_key_after(place.0).map(|sort_key| sort_key.max(newest)))
            }
            PageStart::Offset(0) => Ok(Some(newest)),
            PageStart::Offset(offset) => self.counted(|counter| {
                let mut newer = 0;
                if newest != [0; 16] {
                    for partition in partitions {
                        newer += counter.rank(*partition, newest)?;
                    }
                }
                newer
                    .checked_add(offset)
                    .map_or(Ok(None), |rank| counter.select(partitions, rank))
            }),
        }
    }

    /// The first sort keys in a range, over some partitions together.
    fn merge(
        &self,
        partitions: &[Partition],
        within: std::ops::Range<SortKey>,
        rows_max: usize,
    ) -> Result<Vec<SortKey>, StoreError> {
        let table = &self.tables.listing;
        let mut ranges = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let low = keys::listing(*partition, within.start);
            let high = keys::listing(*partition, within.end);
            if high < low {
                continue;
            }
            let mut range = table.range::<&keys::ListingKey>(&low..&high)?;
            if let Some(first) = range.next() {
                ranges.push((keys::sort_key_of(first?.0.value()), range));
            }
        }
        let mut sort_keys = Vec::with_capacity(rows_max);
        while sort_keys.len() < rows_max {
            let nearest = ranges
                .iter()
                .enumerate()
                .min_by_key(|(_, (sort_key, _))| *sort_key);
            let Some((index, (sort_key, _))) = nearest else {
                break;
            };
            sort_keys.push(*sort_key);
            match ranges[index].1.next() {
                Some(next) => ranges[index].0 = keys::sort_key_of(next?.0.value()),
                None => drop(ranges.swap_remove(index)),
            }
        }
        Ok(sort_keys)
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
    redb::ReadOnlyTable<&'static Partition, u64>,
>;

fn count_one(
    counter: &ReadCounter<'_>,
    partition: Partition,
    created: TimeRange,
) -> Result<u64, StoreError> {
    let older = match created.after {
        Some(after) => counter.rank(partition, keys::sort_key_before(after))?,
        None => counter.total(partition)?,
    };
    let newer = match created.before {
        Some(before) => counter.rank(partition, keys::sort_key_before(before))?,
        None => 0,
    };
    Ok(older.saturating_sub(newer))
}
