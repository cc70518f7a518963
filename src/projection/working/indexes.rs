//! Writes the changes of the indexes other than listings, in key order.

use std::collections::BTreeSet;

use redb::{ReadableTable, ReadableTableMetadata, Table};

use crate::domain::{AgentStatus, Timestamp};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Partition};
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::tally::{self, Delta};
use crate::projection::working::agents::AgentSlot;
use crate::projection::working::sessions::{IndexedSession, SessionSlot};

/// Updates the index of revoked agents with active sessions. The totals must be up to date.
///
/// An entry follows from the agent's status and its total of active sessions, so a batch checks the
/// agents for which it changed one of them. No session opens for a revoked agent, so an agent enters the
/// index only by its status. Almost always there is nothing to check.
pub(super) fn write_revoked(
    revoked: &mut Table<'_, u32, ()>,
    totals: &impl ReadableTable<&'static Partition, u64>,
    agents: &[(AgentNumber, AgentSlot)],
    deltas: &[Delta],
) -> Result<(), StoreError> {
    let is_revoked = |slot: &AgentSlot| slot.stored.agent.status == AgentStatus::Revoked;
    let changed = agents.iter().filter(|(_, slot)| is_revoked(slot));
    let mut looked_at: BTreeSet<AgentNumber> = changed.map(|(number, _)| *number).collect();
    if !revoked.is_empty()? {
        for number in deltas.iter().filter_map(Delta::agent_of_active) {
            if revoked.get(number.get())?.is_some() {
                looked_at.insert(number);
            }
        }
    }
    for number in looked_at {
        if tally::has_active(totals, number)? {
            revoked.insert(number.get(), ())?;
        } else {
            revoked.remove(number.get())?;
        }
    }
    Ok(())
}

/// Updates the deadlines of active sessions.
pub(super) fn write_deadlines(
    deadlines: &mut Table<'_, &'static [u8; 16], ()>,
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
            deadlines.insert(&key, ())?;
        } else {
            deadlines.remove(&key)?;
        }
    }
    Ok(())
}
