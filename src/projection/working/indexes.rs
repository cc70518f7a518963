//! The indexes of a batch's sessions: what changed in them is written in key order.

use crate::domain::Timestamp;
use crate::domain::session::Status;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, ListingKey, Ordinal, OwnerKey};
use crate::projection::tally::{self, Delta};
use crate::projection::working::Working;
use crate::projection::working::sessions::{Indexed, SessionSlot};

impl Working<'_> {
    pub(super) fn write_new_ids(
        &mut self,
        changed: &[(Ordinal, SessionSlot)],
    ) -> Result<(), StoreError> {
        let new = changed.iter().filter(|(_, slot)| slot.indexed.is_none());
        let mut ids: Vec<(Vec<u8>, Ordinal)> = new
            .map(|(ordinal, slot)| {
                (
                    keys::named(slot.stored.tenant, slot.stored.id.as_str()),
                    *ordinal,
                )
            })
            .collect();
        ids.sort_unstable();
        for (key, ordinal) in ids {
            self.tables.session_ids.insert(&*key, ordinal)?;
        }
        Ok(())
    }

    pub(super) fn write_listing(
        &mut self,
        changed: &[(Ordinal, SessionSlot)],
    ) -> Result<(), StoreError> {
        let mut deltas = Vec::new();
        for (ordinal, slot) in changed {
            let (before, after) = (slot.indexed, Indexed::of(&slot.stored.session));
            if before.is_some_and(|before| before.status == after.status) {
                continue;
            }
            if let Some(before) = before {
                slot.deltas(*ordinal, before.status, -1, &mut deltas);
            }
            slot.deltas(*ordinal, after.status, 1, &mut deltas);
        }
        deltas.sort_unstable();
        for Delta { key, change } in &deltas {
            if 0 < *change {
                self.tables.listing.insert(key, ())?;
            } else {
                self.tables.listing.remove(key)?;
            }
        }
        tally::apply(&mut self.tables, &deltas)
    }

    pub(super) fn write_deadlines(
        &mut self,
        changed: &[(Ordinal, SessionSlot)],
    ) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (ordinal, slot) in changed {
            let before = slot.indexed.and_then(|indexed| indexed.deadline);
            let after = Indexed::of(&slot.stored.session).deadline;
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

impl SessionSlot {
    /// The changes in every listing that has this session.
    fn deltas(&self, ordinal: Ordinal, status: Status, change: i64, out: &mut Vec<Delta>) {
        let order = keys::order(self.stored.session.created_at, ordinal);
        let owners = [
            Some(OwnerKey::Tenant(self.stored.tenant)),
            Some(OwnerKey::Agent(self.stored.agent)),
            self.stored.project.map(OwnerKey::Project),
        ];
        out.extend(owners.into_iter().flatten().map(|owner| {
            let key: ListingKey = keys::listing(keys::shelf(owner, status), order);
            Delta { key, change }
        }));
    }
}
