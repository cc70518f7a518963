//! Pages of the listings of sessions and agents.

use crate::projection::{Counted, ListingPlace, PageRows, PageStart, Snapshot, StoreError};
use crate::query::{AsOf, Cursor};

/// A page of a listing, newest first.
#[derive(Debug, Clone)]
pub struct Page<R> {
    /// The rows. A page of a past position can have fewer rows than it may have, although others follow.
    pub rows: Vec<R>,
    /// How many rows match the filter, over all pages.
    pub total: u64,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Cursor>,
    /// The state that the page shows.
    pub as_of: AsOf,
}

impl<R> Page<R> {
    pub(super) fn empty(as_of: AsOf) -> Self {
        Self {
            rows: Vec::new(),
            total: 0,
            next: None,
            as_of,
        }
    }
}

/// The part of a listing that a page shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    start: PageStart,
    rows_max: usize,
    /// How many rows the listing has.
    total: u64,
}

impl Part {
    /// The part of a listing from a start on. Counts the rows, unless an earlier page has.
    pub(super) fn new<S>(
        start: PageStart,
        rows_max: usize,
        count: impl FnOnce() -> Result<Vec<(S, u64)>, StoreError>,
    ) -> Result<Self, StoreError> {
        let total = match start {
            PageStart::After {
                counted: Some(counted),
                ..
            } => counted.total,
            PageStart::Offset(_) | PageStart::After { .. } => {
                count()?.iter().map(|(_, total)| total).sum()
            }
        };
        Ok(Self {
            start,
            rows_max,
            total,
        })
    }

    /// How many rows to read: one more than the page may have, which shows whether another page follows, but
    /// no more than there are. A search at a past position for one more would read to the end of the listing.
    pub(super) fn to_read(self) -> usize {
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        left.min(self.rows_max.saturating_add(1))
    }

    /// How many rows there are from the start of the page on; the largest number if that is not known.
    fn left(self) -> u64 {
        match self.start {
            PageStart::Offset(offset) => self.total.saturating_sub(offset),
            PageStart::After { counted, .. } => counted.map_or(u64::MAX, |counted| counted.left),
        }
    }

    /// The page with the rows that were read from a snapshot. `cursor` makes the cursor after a row.
    pub(super) fn page<R>(
        self,
        snapshot: &Snapshot,
        PageRows { mut rows, cut }: PageRows<R>,
        as_of: AsOf,
        cursor: impl FnOnce(ListingPlace) -> Cursor,
    ) -> Page<R> {
        let more = self.rows_max < rows.len();
        rows.truncate(self.rows_max);
        let last = rows.last().filter(|_| more).map(|(place, _)| *place);
        let mut next = last.or(cut).map(cursor);
        if snapshot.is_past() {
            let counted = Counted {
                total: self.total,
                left: self.left().saturating_sub(rows.len() as u64),
            };
            next = next.map(|next| next.at(snapshot.position(), counted));
        }
        Page {
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            total: self.total,
            next,
            as_of,
        }
    }
}
