//! Proves the read model: its chain against the log, its totals against what they count.

use std::collections::BTreeMap;

use redb::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};

use crate::domain::Position;
use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::log::{EventLog, LogError, Record};
use crate::projection::chain::{self, ChainHead};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, ListingKey, OwnerKey, Shelf};
use crate::projection::meta::Progress;
use crate::projection::session_row::StoredSession;
use crate::projection::snapshot::Snapshot;
use crate::projection::tables;
use crate::projection::tally::Counter;

/// One in so many listed sessions has its rank compared with its place.
const RANK_EVERY: u64 = 997;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The log jumps.
    #[error("the log jumps from position {after} to {found}")]
    Gap {
        /// The last position that was there.
        after: Position,
        /// The position that followed it.
        found: Position,
    },
    /// The log cannot be read to its end.
    #[error("the log cannot be read after position {after}: {error}")]
    Unreadable {
        /// The last position that was read.
        after: Position,
        /// What the log says.
        error: String,
    },
    /// The log ends before the read model does.
    #[error("the log ends at position {head}, but the read model was built up to {position}")]
    Short {
        /// The last position of the log.
        head: Position,
        /// The read model's.
        position: Position,
    },
    /// The records up to the read model's position are not those that it was built from.
    #[error(
        "the hash chain of the log up to position {at} is {log}, but the read model was built from \
         {model}: a record was changed"
    )]
    Chain {
        /// The read model's position.
        at: Position,
        /// Head of the chain over the log, in hexadecimal digits.
        log: String,
        /// The read model's.
        model: String,
    },
    /// A total is not the number of what it counts.
    #[error("{what}: the total says {total}, but there are {counted}")]
    Total {
        /// What is counted.
        what: String,
        /// The stored total.
        total: u64,
        /// What is there.
        counted: u64,
    },
    /// A session is not listed as its row says.
    #[error("{count} sessions are missing in a listing, the first one is {first:?}")]
    Unlisted {
        /// How many.
        count: u64,
        /// The id of one.
        first: String,
    },
}

/// What reading the log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChecked {
    /// The last position that was read.
    pub position: Position,
    /// Head of the chain over everything that was read.
    pub chain: ChainHead,
    /// What is wrong.
    pub differences: Vec<Difference>,
}

/// Reads the log from its start to `head` and compares it with what a read model was built from.
/// `read` is told the last position after each piece.
pub async fn log(
    log: &dyn EventLog,
    head: Position,
    model: &Progress,
    mut read: impl FnMut(Position),
) -> LogChecked {
    let mut checked = LogChecked {
        position: Position::ZERO,
        chain: chain::EMPTY,
        differences: Vec::new(),
    };
    if head < model.position {
        let position = model.position;
        checked
            .differences
            .push(Difference::Short { head, position });
    }
    if let Err(error) = walk(log, head, model, &mut checked, &mut read).await {
        let (after, error) = (checked.position, error.to_string());
        checked
            .differences
            .push(Difference::Unreadable { after, error });
    }
    checked
}

async fn walk(
    log: &dyn EventLog,
    head: Position,
    model: &Progress,
    checked: &mut LogChecked,
    read: &mut impl FnMut(Position),
) -> Result<(), LogError> {
    if head == Position::ZERO {
        return Ok(());
    }
    let mut tail = log.tail(Position::ZERO).await?;
    while checked.position < head {
        for record in &tail.next(LOG_READ_RECORDS_MAX).await? {
            checked.take(record, model);
        }
        read(checked.position);
    }
    Ok(())
}

impl LogChecked {
    fn take(&mut self, record: &Record, model: &Progress) {
        let (after, found) = (self.position, record.position);
        if found != after.next() {
            self.differences.push(Difference::Gap { after, found });
        }
        self.position = found;
        self.chain = chain::next(&self.chain, record);
        if found == model.position && self.chain != model.chain {
            self.differences.push(Difference::Chain {
                at: found,
                log: hex::encode(self.chain),
                model: hex::encode(model.chain),
            });
        }
    }
}

/// Counts what the read model's totals say they count. Reads every listing and every session.
pub fn totals(snapshot: &Snapshot) -> Result<Vec<Difference>, StoreError> {
    let mut differences = Vec::new();
    listings(snapshot, &mut differences)?;
    sessions(snapshot, &mut differences)?;
    rejections(snapshot, &mut differences)?;
    let verdicts = snapshot.txn.open_table(tables::verdicts)?.len()?;
    let position = snapshot.progress().position.get();
    compare(
        "events with a verdict",
        position,
        verdicts,
        &mut differences,
    );
    Ok(differences)
}

fn listings(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let listing = snapshot.txn.open_table(tables::listing)?;
    let tallies = snapshot.txn.open_table(tables::tallies)?;
    let totals = snapshot.txn.open_table(tables::totals)?;
    let counter = Counter {
        listing: &listing,
        tallies: &tallies,
        totals: &totals,
    };
    let mut counted: BTreeMap<Shelf, u64> = BTreeMap::new();
    for entry in listing.iter()? {
        let key: ListingKey = *entry?.0.value();
        let Some(shelf) = key.first_chunk() else {
            continue;
        };
        let place = counted.entry(*shelf).or_default();
        if *place % RANK_EVERY == RANK_EVERY - 1 {
            let rank = counter.rank(*shelf, keys::order_of(&key))?;
            let what = format!(
                "sessions before place {place} of the listing {}",
                name(*shelf)
            );
            compare(&what, rank, *place, differences);
        }
        *place += 1;
    }
    for entry in totals.iter()? {
        let (shelf, total) = entry?;
        let counted = counted.remove(shelf.value()).unwrap_or(0);
        let what = format!("sessions of the listing {}", name(*shelf.value()));
        compare(&what, total.value(), counted, differences);
    }
    for (shelf, counted) in counted {
        let what = format!("sessions of the listing {}", name(shelf));
        compare(&what, 0, counted, differences);
    }
    Ok(())
}

/// Every session must stand in the listings that its row names, and in no other.
fn sessions(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let listing = snapshot.txn.open_table(tables::listing)?;
    let rows = snapshot.txn.open_table(tables::sessions)?;
    let (mut unlisted, mut first, mut places) = (0, None, 0);
    for entry in rows.iter()? {
        let (ordinal, row) = entry?;
        let stored = StoredSession::decode(row.value())?;
        let owners = [
            Some(OwnerKey::Agent(stored.agent)),
            stored.project.map(OwnerKey::Project),
        ];
        // One more: the tenant's listing, whose number the row does not hold.
        places += 1;
        for owner in owners.into_iter().flatten() {
            places += 1;
            if !is_listed(&listing, owner, ordinal.value(), &stored)? {
                unlisted += 1;
                first.get_or_insert(stored.id.as_str().to_owned());
            }
        }
    }
    if let Some(first) = first {
        let count = unlisted;
        differences.push(Difference::Unlisted { count, first });
    }
    compare("places in listings", places, listing.len()?, differences);
    let ids = snapshot.txn.open_table(tables::session_ids)?.len()?;
    compare("session ids", rows.len()?, ids, differences);
    Ok(())
}

fn is_listed(
    listing: &ReadOnlyTable<&'static ListingKey, ()>,
    owner: OwnerKey,
    ordinal: u64,
    stored: &StoredSession,
) -> Result<bool, StoreError> {
    let shelf = keys::shelf(owner, stored.session.status.kind());
    let order = keys::order(stored.session.created_at, ordinal);
    Ok(listing.get(&keys::listing(shelf, order))?.is_some())
}

fn rejections(snapshot: &Snapshot, differences: &mut Vec<Difference>) -> Result<(), StoreError> {
    let mut counted: BTreeMap<[u8; 5], u64> = BTreeMap::new();
    let listed = snapshot.txn.open_table(tables::rejections)?;
    for entry in listed.iter()? {
        if let Some(prefix) = entry?.0.value().first_chunk() {
            *counted.entry(*prefix).or_default() += 1;
        }
    }
    let totals = snapshot.txn.open_table(tables::rejection_totals)?;
    for entry in totals.iter()? {
        let (key, total) = entry?;
        let counted = counted.remove(key.value()).unwrap_or(0);
        compare(
            "rejected or parked events",
            total.value(),
            counted,
            differences,
        );
    }
    for counted in counted.into_values() {
        compare("rejected or parked events", 0, counted, differences);
    }
    Ok(())
}

fn compare(what: &str, total: u64, counted: u64, differences: &mut Vec<Difference>) {
    if total != counted {
        differences.push(Difference::Total {
            what: what.to_owned(),
            total,
            counted,
        });
    }
}

/// A listing's key as people can look it up.
fn name(shelf: Shelf) -> String {
    hex::encode(shelf)
}
