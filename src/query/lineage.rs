//! Lineage: which session opened which, from the root down, and where a chain of hand-offs has ended.

use crate::domain::SessionId;
use crate::domain::limits::{
    LINEAGE_ANCESTORS_MAX, LINEAGE_DEPTH_MAX, LINEAGE_HANDOFFS_MAX, LINEAGE_SKIPPED_MAX,
};
use crate::projection::{Ordinal, RowBytes, Snapshot, StoreError};
use crate::query::sight::{Shown, Sight};
use crate::query::{AsOf, QueryError, ids};

/// A page of the descendants of a session.
#[derive(Debug, Clone, Copy)]
pub struct LineageStart<'a> {
    /// The last session of the page before; the first page has none.
    pub after: Option<&'a SessionId>,
    /// The most descendants of the page.
    pub rows_max: usize,
}

/// A session, those above it, and some of those below it.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The sessions above it, from the root down. If there are too many: those that are nearest to it.
    pub ancestors: Vec<RowBytes>,
    /// Whether the first ancestor has ancestors.
    pub has_more_ancestors: bool,
    /// The session.
    pub session: RowBytes,
    /// The session that the hand-offs of this one have led to. The session itself if it was not handed off;
    /// `None` if the caller is not shown it, or if there are too many hand-offs.
    pub holder: Option<RowBytes>,
    /// Those below it: each before those that it opened, and these in the order in which they opened.
    pub descendants: Vec<Descendant>,
    /// Whether more descendants follow after the last one.
    pub has_more: bool,
    /// The state that the answer shows.
    pub as_of: AsOf,
}

/// A session below another one.
#[derive(Debug, Clone)]
pub struct Descendant {
    /// Its distance: 1 for a child.
    pub depth: usize,
    /// The session.
    pub row: RowBytes,
    /// Whether it has children that are left out, because they are too deep.
    pub is_cut: bool,
}

/// The lineage of a session; `None` if the caller is shown no session with this id.
///
/// Sessions that the caller is not shown are left out, with those that are connected only through them. Fails
/// if a page would leave out too many.
pub fn of_session(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &SessionId,
    start: LineageStart<'_>,
) -> Result<Option<Lineage>, QueryError> {
    let Some(shown) = sight.find(snapshot)? else {
        return Ok(None);
    };
    let Some(root) = ids::session(shown.tenant, id)? else {
        return Ok(None);
    };
    let Some(session) = shown.session(root)? else {
        return Ok(None);
    };
    let tree = Tree { shown, root };
    let (ancestors, has_more_ancestors) = tree.ancestors(&session)?;
    let place = match start.after {
        Some(after) => {
            let after = ids::session(shown.tenant, after)?;
            tree.place(after.ok_or(QueryError::NoDescendant)?)?
        }
        None => Place::root(root),
    };
    let (descendants, has_more) = tree.descendants(place, start.rows_max)?;
    Ok(Some(Lineage {
        ancestors,
        has_more_ancestors,
        session,
        holder: tree.holder()?,
        descendants,
        has_more,
        as_of: AsOf::of_shown(snapshot, Some(shown))?,
    }))
}

/// The sessions below one, as far as a caller is shown them.
pub(super) struct Tree<'a> {
    pub(super) shown: Shown<'a>,
    pub(super) root: Ordinal,
}

/// The path from the root to a session, both included.
struct Place {
    path: Vec<Ordinal>,
}

impl Place {
    fn root(root: Ordinal) -> Self {
        Self { path: vec![root] }
    }

    fn depth(&self) -> usize {
        self.path.len() - 1
    }
}

impl Tree<'_> {
    fn ancestors(&self, of: &RowBytes) -> Result<(Vec<RowBytes>, bool), StoreError> {
        let tenant = self.shown.tenant;
        let (mut ancestors, mut above) = (Vec::new(), tenant.parent(&of.row()?)?);
        while let Some(ordinal) = above {
            let Some(stored) = self.shown.session(ordinal)? else {
                break;
            };
            if ancestors.len() == LINEAGE_ANCESTORS_MAX {
                ancestors.reverse();
                return Ok((ancestors, true));
            }
            above = tenant.parent(&stored.row()?)?;
            ancestors.push(stored);
        }
        ancestors.reverse();
        Ok((ancestors, false))
    }

    /// Follows the hand-offs of the root to their end.
    fn holder(&self) -> Result<Option<RowBytes>, StoreError> {
        let mut at = self.root;
        for _ in 0..=LINEAGE_HANDOFFS_MAX {
            let Some(stored) = self.shown.session(at)? else {
                return Ok(None);
            };
            match self.shown.tenant.successor(&stored.row()?)? {
                Some(next) => at = next,
                None => return Ok(Some(stored)),
            }
        }
        Ok(None)
    }

    /// The place of a session below the root, if the caller is shown it and all that lie between.
    fn place(&self, ordinal: Ordinal) -> Result<Place, QueryError> {
        let (mut path, mut at) = (Vec::new(), ordinal);
        while path.len() < LINEAGE_DEPTH_MAX {
            let stored = self.shown.session(at)?.ok_or(QueryError::NoDescendant)?;
            path.push(at);
            let parent = self.shown.tenant.parent(&stored.row()?)?;
            at = parent.ok_or(QueryError::NoDescendant)?;
            if at == self.root {
                path.push(at);
                path.reverse();
                return Ok(Place { path });
            }
        }
        Err(QueryError::NoDescendant)
    }

    /// All sessions below the root; `None` if they are more than `rows_max`, which is less than
    /// [`LINEAGE_DEPTH_MAX`]: then no path is cut off.
    pub(super) fn all(
        &self,
        rows_max: usize,
    ) -> Result<Option<Vec<(Ordinal, RowBytes)>>, QueryError> {
        let (mut found, mut skipped) = (Vec::new(), 0);
        let mut place = Place::root(self.root);
        while let Some(next) = self.advance(&mut place, &mut skipped)? {
            if found.len() == rows_max {
                return Ok(None);
            }
            found.push(next);
        }
        Ok(Some(found))
    }

    /// At most `rows_max` sessions after a place, and whether there are more.
    fn descendants(
        &self,
        mut place: Place,
        rows_max: usize,
    ) -> Result<(Vec<Descendant>, bool), QueryError> {
        let (mut found, mut skipped) = (Vec::new(), 0);
        while let Some((ordinal, row)) = self.advance(&mut place, &mut skipped)? {
            if found.len() == rows_max {
                return Ok((found, true));
            }
            let depth = place.depth();
            let is_cut =
                depth == LINEAGE_DEPTH_MAX && self.child(ordinal, None, &mut skipped)?.is_some();
            found.push(Descendant { depth, row, is_cut });
        }
        Ok((found, false))
    }

    /// Moves a place to the next session that the caller is shown: down if that is possible, else to the next
    /// child of the nearest session above.
    fn advance(
        &self,
        place: &mut Place,
        skipped: &mut usize,
    ) -> Result<Option<(Ordinal, RowBytes)>, QueryError> {
        let mut after = None;
        while let Some(parent) = place.path.last().copied() {
            let child = if place.depth() < LINEAGE_DEPTH_MAX {
                self.child(parent, after, skipped)?
            } else {
                None
            };
            if let Some((ordinal, row)) = child {
                place.path.push(ordinal);
                return Ok(Some((ordinal, row)));
            }
            after = place.path.pop();
        }
        Ok(None)
    }

    /// The first child that the caller is shown, or the first after another one. Counts those that it skips.
    fn child(
        &self,
        parent: Ordinal,
        mut after: Option<Ordinal>,
        skipped: &mut usize,
    ) -> Result<Option<(Ordinal, RowBytes)>, QueryError> {
        while let Some(child) = self.shown.tenant.next_child(parent, after)? {
            if let Some(row) = self.shown.session(child)? {
                return Ok(Some((child, row)));
            }
            *skipped += 1;
            if LINEAGE_SKIPPED_MAX < *skipped {
                return Err(QueryError::OneAgent);
            }
            after = Some(child);
        }
        Ok(None)
    }
}
