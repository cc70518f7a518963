//! Pages of the listings of sessions and agents.

use crate::projection::ListingPlace;
use crate::query::{AsOf, Cursor};

/// A page of a listing, newest first.
#[derive(Debug, Clone)]
pub struct Page<R> {
    /// The rows.
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

    /// A page of at most `rows_max` of these rows. The caller reads one row more than that: if there is
    /// one, there is a next page.
    pub(super) fn new(
        mut rows: Vec<(ListingPlace, R)>,
        rows_max: usize,
        total: u64,
        cursor: impl FnOnce(ListingPlace) -> Cursor,
        as_of: AsOf,
    ) -> Self {
        let more = rows_max < rows.len();
        rows.truncate(rows_max);
        let last = rows.last().filter(|_| more).map(|(place, _)| *place);
        Self {
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            total,
            next: last.map(cursor),
            as_of,
        }
    }
}
