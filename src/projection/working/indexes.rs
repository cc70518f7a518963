//! The indexes of a batch: what changed in them is written in key order.

use crate::domain::Timestamp;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Ordinal};
use crate::projection::tally::{self, Delta};
use crate::projection::working::Working;
use crate::projection::working::sessions::{IndexedSession, SessionSlot};

impl Working<'_> {
    /// Writes the changes in listings with their totals and tallies.
    pub(super) fn write_listing(&mut self, deltas: &[Delta]) -> Result<(), StoreError> {
        for Delta { key, change } in deltas {
            if 0 < *change {
                self.tables.listing.insert(key, ())?;
            } else {
                self.tables.listing.remove(key)?;
            }
        }
        tally::apply(&mut self.tables, deltas)
    }

    pub(super) fn write_deadlines(
        &mut self,
        changed: &[(Ordinal, SessionSlot)],
    ) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (ordinal, slot) in changed {
            let before = slot.indexed.and_then(|indexed| indexed.deadline);
            let after = IndexedSession::of(&slot.stored.session).deadline;
            if before != after {
                let key = |time: Timestamp| keys::deadline(time, *ordinal);
                writes.extend(before.map(|time| (key(time), false)));
                writes.extend(after.map(|time| (key(time), true)));
            }
        }
        writes.sort_unstable();
        for (key, insert) in writes {
            if insert {
                self.tables.deadlines.insert(&key, ())?;
            } else {
                self.tables.deadlines.remove(&key)?;
            }
        }
        Ok(())
    }
}
