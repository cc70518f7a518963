//! A snapshot as of an earlier position.
//!
//! The history file knows what was listed where. A row is the present one, with what later changes replaced
//! put back. Both files may have come further than the position, and need not have come equally far.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::{Position, TimeRange};
use crate::projection::agent_row::AgentRow;
use crate::projection::before::{self, SessionBefore};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, Entity, ListingOwner, Partition, SortKey};
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::past::{Counts, Found, PastSnapshot, Scan};
use crate::projection::session_row::{SessionRow, StoredSession};
use crate::projection::snapshot::{Listing, ListingPlace, PageStart, Snapshot, listings};
use crate::projection::verdict_row::VerdictRow;

/// A past position, and the history file that says what was listed there.
pub(super) struct Then {
    past: Arc<PastSnapshot>,
    pub(super) at: Position,
}

/// Where in a listing some rows are.
pub(super) struct Places {
    pub(super) sort_keys: Vec<SortKey>,
    /// Set if the search ended early: the rest begins after this place.
    pub(super) cut: Option<ListingPlace>,
}

impl Snapshot {
    /// This read model as of an earlier position, which both files must have reached.
    pub fn at(&self, past: Arc<PastSnapshot>, at: Position) -> Result<Self, StoreError> {
        if self.position().min(past.position()) < at {
            // The file of one of them was opened or made again.
            return Err(StoreError::Mending.of_history());
        }
        Ok(Self {
            tables: Arc::clone(&self.tables),
            progress: self.progress,
            then: Some(Then { past, at }),
        })
    }

    /// The last position whose record it includes.
    pub fn position(&self) -> Position {
        let now = self.progress.position;
        self.then.as_ref().map_or(now, |then| then.at)
    }

    /// Whether it answers as of an earlier position.
    pub fn is_past(&self) -> bool {
        self.then.is_some()
    }

    /// Whether a session that has a number had opened.
    pub(super) fn has_session(&self, ordinal: Ordinal) -> Result<bool, StoreError> {
        let Some(then) = &self.then else {
            return Ok(true);
        };
        let row = self.tables.sessions.get(ordinal.get())?;
        let row = row.ok_or(StoreError::Damaged("session ids"))?;
        Ok(SessionRow::opened(row.value())? <= then.at)
    }

    /// Whether an agent that has a number was known.
    pub(super) fn has_agent(&self, number: AgentNumber) -> Result<bool, StoreError> {
        let Some(then) = &self.then else {
            return Ok(true);
        };
        let row = self.tables.agents.get(number.get())?;
        let row = row.ok_or(StoreError::Damaged("agent ids"))?;
        Ok(AgentRow::opened(row.value())? <= then.at)
    }

    /// The public part of a stored session.
    pub(super) fn public_session(
        &self,
        ordinal: Ordinal,
        stored: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let Some(then) = &self.then else {
            return Ok(SessionRow::public_part(stored)?.to_vec());
        };
        let entity = Entity::Session(ordinal);
        let (tenant, history) = SessionRow::tenant_and_history(stored)?;
        let Some(change) = self.change_after(entity, &history, then.at)? else {
            return Ok(SessionRow::public_part(stored)?.to_vec());
        };
        let verdict = self.tables.verdicts.get(&keys::verdict(tenant, change))?;
        let verdict = verdict.ok_or(StoreError::Damaged("verdicts"))?;
        let mut session = StoredSession::decode(stored)?;
        SessionBefore::decode(VerdictRow::replaced(verdict.value())?)?
            .restore(&mut session.session);
        let metadata = &mut session.session.metadata;
        before::restore_metadata(&self.tables.before_metadata, entity, then.at, metadata)?;
        Ok(SessionRow::public_part(&session.encode())?.to_vec())
    }

    /// The public part of a stored agent.
    pub(super) fn public_agent(
        &self,
        number: AgentNumber,
        stored: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(then) = &self.then {
            let history = AgentRow::history(stored)?;
            if let Some(change) = self.change_after(Entity::Agent(number), &history, then.at)? {
                let key = keys::agent_change(number, change);
                let public = self.tables.before_agents.get(&key)?;
                let public = public.ok_or(StoreError::Damaged("replaced states"))?;
                return Ok(public.value().to_vec());
            }
        }
        Ok(AgentRow::public_part(stored)?.to_vec())
    }

    /// The first change of an entity after a position; `None` if it has not changed since.
    fn change_after(
        &self,
        entity: Entity,
        history: &History,
        at: Position,
    ) -> Result<Option<Position>, StoreError> {
        let moved = &self.tables.history;
        let number = history.number_after(entity, at, moved)?;
        let change = history.page(entity, (number, 1), moved)?;
        Ok(change.first().copied())
    }
}

impl Then {
    /// How many sessions or agents an owner had.
    pub(super) fn counts_of(&self, owner: impl ListingOwner) -> Result<Counts, StoreError> {
        let counts = self.past.counts(owner, self.at);
        counts.map_err(StoreError::of_history)
    }

    /// How many rows a listing had, per status.
    pub(super) fn totals<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<Vec<(O::Status, u64)>, StoreError> {
        if listing.created == TimeRange::default() {
            let mut counted = listing.uncounted();
            for owner in &listing.owners {
                for (class, count) in self.counts_of(*owner)?.classes() {
                    if listing.has_class(class) {
                        listings::add(&mut counted, class, count);
                    }
                }
            }
            return Ok(counted);
        }
        let mut counted = listing.uncounted();
        let entries_max = self.past.bounds().count;
        let (partitions, within) = self.within(listing)?;
        let mut scan = self.scan(&partitions, within, entries_max)?;
        loop {
            match scan.next().map_err(StoreError::of_history)? {
                Found::Entry(partition, _) => {
                    listings::add(&mut counted, keys::class(partition), 1);
                }
                Found::Cut(_) => return Err(StoreError::TooManyEntries(entries_max)),
                Found::End => return Ok(counted),
            }
        }
    }

    /// The sort keys of a page.
    pub(super) fn places<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
        start: PageStart,
        rows_max: usize,
    ) -> Result<Places, StoreError> {
        let mut found = Places {
            sort_keys: Vec::with_capacity(rows_max),
            cut: None,
        };
        let (partitions, mut within) = self.within(listing)?;
        let mut skip = 0;
        match start {
            PageStart::Offset(offset) => skip = offset,
            PageStart::After { place, .. } => match keys::sort_key_after(place.0) {
                Some(next) => within.start = within.start.max(next),
                None => return Ok(found),
            },
        }
        let bounds = self.past.bounds();
        let entries_max = if skip == 0 { bounds.page } else { bounds.count };
        let mut scan = self.scan(&partitions, within, entries_max)?;
        while found.sort_keys.len() < rows_max {
            match scan.next().map_err(StoreError::of_history)? {
                Found::Entry(..) if 0 < skip => skip -= 1,
                Found::Entry(_, sort_key) => found.sort_keys.push(sort_key),
                Found::Cut(_) if 0 < skip => return Err(StoreError::TooManyEntries(entries_max)),
                Found::Cut(last) => {
                    found.cut = Some(ListingPlace(last));
                    break;
                }
                Found::End => break,
            }
        }
        Ok(found)
    }

    fn scan(
        &self,
        partitions: &[Partition],
        within: Range<SortKey>,
        entries_max: u64,
    ) -> Result<Scan<'_>, StoreError> {
        let scan = self.past.scan(partitions, within, self.at, entries_max);
        scan.map_err(StoreError::of_history)
    }

    /// The partitions of a listing that had entries, and the sort keys that these can have.
    fn within<O: ListingOwner>(
        &self,
        listing: &Listing<O>,
    ) -> Result<(Vec<Partition>, Range<SortKey>), StoreError> {
        let TimeRange { after, before } = listing.created;
        let newest = before.map_or([0; 16], keys::sort_key_before);
        let end = after.map_or([0xff; 16], keys::sort_key_before);
        let (mut partitions, mut of_owners) = (Vec::new(), [0xff; 16]);
        for owner in &listing.owners {
            let counts = self.counts_of(*owner)?;
            of_owners = of_owners.min(counts.newest());
            let filled = counts.classes().filter(|(_, count)| *count != 0);
            let listed = filled.filter(|(class, _)| listing.has_class(*class));
            partitions.extend(listed.map(|(class, _)| keys::partition_of_class(*owner, class)));
        }
        Ok((partitions, newest.max(of_owners)..end))
    }
}
