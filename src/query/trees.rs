//! Trees: a session without a parent (the root) and all sessions below it, as one listing.
//!
//! There is no index of trees. So the root of a session is found by its parents, and a tree is read whole:
//! both are bounded, and a tree that is too large has no listing.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::limits::{LINEAGE_DEPTH_MAX, TREE_SESSIONS_MAX};
use crate::domain::session::Status;
use crate::domain::{OutcomeSet, SessionId, StatusSet, Timestamp};
use crate::projection::{ListingPlace, Ordinal, RowBytes, SessionRow, Snapshot, StoreError};
use crate::query::lineage::Tree;
use crate::query::page::Page;
use crate::query::sight::{Shown, Sight};
use crate::query::{AsOf, Cursor, Paged, QueryError, ids};

/// The most sessions below a root.
const BELOW_MAX: usize = TREE_SESSIONS_MAX - 1;
const _: () = assert!(BELOW_MAX < LINEAGE_DEPTH_MAX, "paths would be cut off");

/// The sessions of a tree that a listing contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFilter {
    /// The root of the tree.
    pub root: SessionId,
    /// Their statuses.
    pub statuses: StatusSet,
    /// The outcomes of those that were terminated.
    pub outcomes: OutcomeSet,
    /// Only those that have had their status since this time or later.
    pub since: Option<Timestamp>,
}

impl TreeFilter {
    fn has(&self, row: &SessionRow<'_>) -> bool {
        let terminated = row.status == Status::Terminated;
        self.statuses.has(row.status)
            && (!terminated || self.outcomes.has(row.outcome))
            && self
                .since
                .is_none_or(|since| since <= row.in_status_since(row.status))
    }
}

impl Paged for TreeFilter {
    fn identity(&self) -> Vec<u8> {
        let since = self.since.map_or(i64::MIN, Timestamp::micros);
        [
            &[6, self.statuses.bits(), self.outcomes.bits()][..],
            &since.to_be_bytes(),
            self.root.as_str().as_bytes(),
        ]
        .concat()
    }
}

/// A page of the present sessions of a tree that a caller is shown, newest first. The page is empty if the
/// caller is shown no root with this id.
pub fn list(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    filter: &TreeFilter,
    after: Option<Cursor>,
    rows_max: usize,
) -> Result<Page<RowBytes>, QueryError> {
    let shown = sight.find(snapshot)?;
    let as_of = AsOf::of_shown(snapshot, shown)?;
    let mut rows = match shown {
        Some(shown) => whole(shown, filter)?,
        None => Vec::new(),
    };
    rows.sort_unstable_by_key(|(place, _)| *place);
    let total = rows.len() as u64;
    rows.retain(|(place, _)| after.is_none_or(|after| after.place() < *place));
    let has_more = rows_max < rows.len();
    rows.truncate(rows_max);
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|(place, _)| Cursor::new(sight.tenant, filter, *place));
    Ok(Page {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        total,
        next,
        as_of,
    })
}

/// All sessions of a tree that match a filter, in no order.
fn whole(
    shown: Shown<'_>,
    filter: &TreeFilter,
) -> Result<Vec<(ListingPlace, RowBytes)>, QueryError> {
    let Some(root) = ids::session(shown.tenant, &filter.root)? else {
        return Ok(Vec::new());
    };
    let Some(stored) = shown.session(root)? else {
        return Ok(Vec::new());
    };
    if stored.row()?.parent_session_id.is_some() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut add = |ordinal: Ordinal, stored: RowBytes| {
        let row = stored.row()?;
        if filter.has(&row) {
            let place = ListingPlace::of_session(row.created_at, ordinal);
            found.push((place, stored));
        }
        Ok::<_, StoreError>(())
    };
    add(root, stored)?;
    let below = Tree { shown, root }.all(BELOW_MAX)?;
    for (ordinal, stored) in below.ok_or(QueryError::TreeTooLarge)? {
        add(ordinal, stored)?;
    }
    Ok(found)
}

/// The ids of the roots of some sessions. An id is `None` if the caller is not shown all sessions from there
/// down, or if there are too many.
pub fn roots(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    sessions: &[RowBytes],
) -> Result<Vec<Option<Arc<str>>>, StoreError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(vec![None; sessions.len()]);
    };
    let known = HashMap::new();
    let mut roots = Roots { shown, known };
    let of = |stored: &RowBytes| roots.of(stored);
    sessions.iter().map(of).collect()
}

/// Finds roots, and remembers those of the sessions on the way.
struct Roots<'a> {
    shown: Shown<'a>,
    known: HashMap<Ordinal, Option<Root>>,
}

/// The id of a root, and how many sessions are above the one whose root it is.
type Root = (Arc<str>, usize);

impl Roots<'_> {
    fn of(&mut self, stored: &RowBytes) -> Result<Option<Arc<str>>, StoreError> {
        let mut path = Vec::new();
        let root = self.climb(stored, &mut path)?;
        for (index, ordinal) in path.into_iter().enumerate() {
            let of_it = root
                .as_ref()
                .map(|(id, above)| (Arc::clone(id), above - index - 1));
            self.known.insert(ordinal, of_it);
        }
        Ok(root.map(|(id, _above)| id))
    }

    /// Goes up to the root. Adds each session above the given one to the path.
    fn climb(
        &self,
        stored: &RowBytes,
        path: &mut Vec<Ordinal>,
    ) -> Result<Option<Root>, StoreError> {
        let Some(mut above) = self.shown.tenant.parent(&stored.row()?)? else {
            return Ok(Some((stored.row()?.session_id.into(), 0)));
        };
        while path.len() < BELOW_MAX {
            if let Some(known) = self.known.get(&above) {
                let found = known.clone().map(|(id, more)| (id, path.len() + 1 + more));
                if found.as_ref().is_some_and(|(_, all)| BELOW_MAX < *all) {
                    break;
                }
                return Ok(found);
            }
            let Some(stored) = self.shown.session(above)? else {
                return Ok(None);
            };
            path.push(above);
            let row = stored.row()?;
            match self.shown.tenant.parent(&row)? {
                Some(parent) => above = parent,
                None => return Ok(Some((row.session_id.into(), path.len()))),
            }
        }
        path.clear();
        Ok(None)
    }
}
