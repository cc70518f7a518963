//! Folds a log from its start into a second file, to stand beside the live one or to replace it.
//!
//! Nothing here touches the live file, so a rebuild that is torn leaves it as it was.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::domain::Position;
use crate::domain::limits::{
    FOLD_BATCH_BYTES_MAX, FOLD_BATCH_RECORDS_MAX, FOLD_DURABLE_RECORDS_MAX, LOG_READ_RECORDS_MAX,
};
use crate::log::{EventLog, Tail};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::keys::{self, TenantNumber};
use crate::projection::prepare::Prepared;
use crate::projection::runner;
use crate::projection::snapshot::Snapshot;
use crate::projection::store::{Commit, Store};
use crate::projection::tables;
use crate::projection::verdict_row::VerdictRow;

/// Folds a log into a store, from where the store is up to a position that the log has reached.
/// `folded` is told the last position after each batch. Everything is durable at the end.
pub async fn fold_up_to(
    store: &Arc<Store>,
    log: &dyn EventLog,
    until: Position,
    mut folded: impl FnMut(Position),
) -> Result<(), FoldError> {
    let from = store.snapshot()?.progress().position;
    if until <= from {
        return Ok(());
    }
    let mut tail = log.tail(from).await?;
    let mut at = from;
    let mut batch = read(&mut *tail, &mut at, until).await?;
    let mut debt = 0;
    while let Some(last) = batch.last().map(|prepared| prepared.record.position) {
        debt += batch.len() as u64;
        // Pages that a batch frees are reused only after a durable commit.
        let commit = if FOLD_DURABLE_RECORDS_MAX <= debt {
            debt = 0;
            Commit::Durable
        } else {
            Commit::Visible
        };
        let into = Arc::clone(store);
        let folding = async {
            spawn_blocking(move || into.fold(&batch, commit))
                .await
                .map_err(FoldError::Panicked)?
        };
        let (_, next) = tokio::try_join!(folding, read(&mut *tail, &mut at, until))?;
        folded(last);
        batch = next;
    }
    let store = Arc::clone(store);
    let flushed = spawn_blocking(move || store.flush()).await;
    Ok(flushed.map_err(FoldError::Panicked)??)
}

/// The next batch, as large as a transaction takes; empty at the end.
async fn read(
    tail: &mut dyn Tail,
    at: &mut Position,
    until: Position,
) -> Result<Vec<Prepared>, FoldError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while *at < until && batch.len() < FOLD_BATCH_RECORDS_MAX && bytes < FOLD_BATCH_BYTES_MAX {
        let left = usize::try_from(until.get() - at.get()).unwrap_or(usize::MAX);
        let mut records = tail.next(LOG_READ_RECORDS_MAX.min(left)).await?;
        records.retain(|record| record.position <= until);
        if let Some(last) = records.last() {
            *at = last.position;
        }
        bytes += records
            .iter()
            .map(|record| record.body.len())
            .sum::<usize>();
        batch.extend(runner::prepare(records).await?);
    }
    Ok(batch)
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
    let table = snapshot.txn.open_table(tables::verdicts)?;
    let entries = table.range::<&[u8; 12]>(..)?;
    Ok(entries.map(|entry| {
        let (key, row) = entry?;
        Ok((
            keys::verdict_parts(*key.value()),
            VerdictRow::decode(row.value())?,
        ))
    }))
}
