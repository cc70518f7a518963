//! Folds a log from its start into a second file, to compare with the live file or to replace it.
//!
//! A rebuild does not touch the live file, so an interrupted one does no harm.

use std::sync::Arc;

use crate::domain::Position;
use crate::log::EventLog;
use crate::projection::batch::{Batches, Outlook};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::feed::Feed;
use crate::projection::keys;
use crate::projection::numbers::TenantNumber;
use crate::projection::snapshot::Snapshot;
use crate::projection::store::Store;
use crate::projection::verdict_row::VerdictRow;

/// Folds a log into a store, from the store's position up to one that the log has reached. Calls
/// `folded` with the last position after each batch. Everything is durable when this returns.
pub async fn fold_up_to(
    store: &Arc<Store>,
    log: &dyn EventLog,
    until: Position,
    mut folded: impl FnMut(Position),
) -> Result<(), FoldError> {
    let progress = *store.snapshot()?.progress();
    let from = progress.position;
    if until <= from {
        return Ok(());
    }
    let mut tail = log.tail(from).await?;
    let (feed, chunks) = Feed::until(until, progress.rules.current());
    let mut batches = Batches::new(Arc::clone(store), chunks);
    let folding = async {
        while let Some(first) = batches.first().await {
            let (rest, batch) = batches.fold(first, BoundedLog { until }).await?;
            batches = rest;
            folded(batch.progress.position);
        }
        batches.flush().await
    };
    tokio::pin!(folding);
    tokio::select! {
        // Folding ends before reading only if it fails.
        folded = &mut folding => folded,
        // When reading ends, the fold still takes what was read.
        read = feed.run(&mut *tail) => folding.await.and(read),
    }
}

/// A log that is read up to a position, while no request waits for the fold.
struct BoundedLog {
    until: Position,
}

impl Outlook for BoundedLog {
    fn head(&self) -> Position {
        self.until
    }

    fn is_awaited(&self) -> bool {
        false
    }
}

/// The first position, up to `until`, at which two read models have folded different records.
///
/// Compares what both store of every record: the log's time stamp and the hash of the body.
pub fn first_difference(
    one: &Snapshot,
    other: &Snapshot,
    until: Position,
) -> Result<Option<Position>, StoreError> {
    let mut first = None;
    let (mut one, mut other) = (verdicts(one)?, verdicts(other)?);
    let (mut a, mut b) = (one.next().transpose()?, other.next().transpose()?);
    loop {
        let keys = [&a, &b].into_iter().flatten().map(|(key, _)| *key);
        let Some(key @ (_, position)) = keys.min() else {
            return Ok(first);
        };
        let in_a = a.take_if(|(other, _)| *other == key);
        let in_b = b.take_if(|(other, _)| *other == key);
        // A tenant's number is part of the key: where it differs, so did an earlier record.
        let same = match (&in_a, &in_b) {
            (Some((_, a)), Some((_, b))) => {
                a.recorded_at == b.recorded_at && a.body_hash == b.body_hash
            }
            (None, _) | (_, None) => false,
        };
        if !same && position <= until {
            first = Some(first.map_or(position, |first: Position| first.min(position)));
        }
        if in_a.is_some() {
            a = one.next().transpose()?;
        }
        if in_b.is_some() {
            b = other.next().transpose()?;
        }
    }
}

type KeyedVerdict = ((TenantNumber, Position), VerdictRow);

/// The verdict of every record, ordered by tenant and position.
fn verdicts(
    snapshot: &Snapshot,
) -> Result<impl Iterator<Item = Result<KeyedVerdict, StoreError>>, StoreError> {
    let table = &snapshot.tables.verdicts;
    let entries = table.range::<&[u8; 12]>(..)?;
    Ok(entries.map(|entry| {
        let (key, row) = entry?;
        Ok((
            keys::verdict_parts(*key.value()),
            VerdictRow::decode(row.value())?,
        ))
    }))
}
