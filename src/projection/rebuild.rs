//! Folds a log from its start into a second file, to stand beside the live one or to replace it.
//!
//! Nothing here touches the live file, so a rebuild that is torn leaves it as it was.

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

/// Folds a log into a store, from where the store is up to a position that the log has reached.
/// `folded` is told the last position after each batch. Everything is durable at the end.
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
        // It ends first only if it fails.
        folded = &mut folding => folded,
        // Without a reader it ends after what was read.
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
/// Told by what both keep of every record: when the log took it and the hash of its body.
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

/// What became of every record, by tenant and position.
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
