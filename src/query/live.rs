//! The first rows of a listing, as a client holds them that follows the listing, and how they change.

use std::sync::Arc;

use crate::domain::session::Status;
use crate::projection::{ListingPlace, RowBytes};
use crate::query::AsOf;

/// The first rows of a listing of sessions, with its totals.
#[derive(Debug, Clone)]
pub struct Window {
    /// The rows, newest first.
    pub rows: Vec<(ListingPlace, RowBytes)>,
    /// How many sessions match the filter.
    pub total: u64,
    /// The number for each status that the filter allows.
    pub by_status: Vec<(Status, u64)>,
    /// The state that the window shows.
    pub as_of: AsOf,
}

/// A row that a client holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its place in the listing, which never changes.
    pub place: ListingPlace,
    /// Differs from that of the same row at another time, if the row has changed since.
    pub version: u64,
    /// The session.
    pub id: Arc<str>,
}

/// What a client must do to get from the rows that it holds to others: first remove, then put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The sessions to remove.
    pub remove: Vec<Arc<str>>,
    /// The rows to put, by their index in the new rows, in ascending order. A client that holds another
    /// version of the row removes that one. Then it inserts the row at the index.
    pub put: Vec<usize>,
}

impl Changes {
    /// The changes from `held` to `rows`, which are both in the order of the listing.
    pub fn between<'a>(held: &[Held], rows: impl IntoIterator<Item = &'a Held>) -> Self {
        let mut changes = Self::default();
        let mut held = held.iter().peekable();
        for (index, row) in rows.into_iter().enumerate() {
            while let Some(gone) = held.next_if(|old| old.place < row.place) {
                changes.remove.push(Arc::clone(&gone.id));
            }
            let same = held.next_if(|old| old.place == row.place);
            if same.is_none_or(|old| old.version != row.version) {
                changes.put.push(index);
            }
        }
        changes.remove.extend(held.map(|gone| Arc::clone(&gone.id)));
        changes
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.put.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(rows: &[(u8, u64)]) -> Vec<Held> {
        let held = rows.iter().map(|(place, version)| Held {
            place: ListingPlace::from_bytes([*place; 16]),
            version: *version,
            id: place.to_string().into(),
        });
        held.collect()
    }

    /// Does what a client is asked to do.
    fn follow(mut held: Vec<Held>, rows: &[Held], changes: &Changes) -> Vec<Held> {
        held.retain(|row| !changes.remove.contains(&row.id));
        for index in &changes.put {
            held.retain(|row| row.id != rows[*index].id);
            held.insert(*index, rows[*index].clone());
        }
        held
    }

    prop_compose! {
        fn rows()(rows in prop::collection::btree_map(0_u8..12, 0_u64..3, 0..10)) -> Vec<Held> {
            held(&rows.into_iter().collect::<Vec<_>>())
        }
    }

    proptest! {
        #[test]
        fn a_client_that_follows_the_changes_holds_the_new_rows(old in rows(), new in rows()) {
            let changes = Changes::between(&old, &new);
            prop_assert_eq!(follow(old, &new, &changes), new);
        }

        #[test]
        fn rows_that_stay_are_not_sent_again(rows in rows()) {
            prop_assert!(Changes::between(&rows, &rows).is_empty());
        }
    }
}
