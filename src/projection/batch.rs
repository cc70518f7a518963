//! Folds what has arrived in one transaction, and with it what arrives meanwhile.
//!
//! The more a transaction takes, the cheaper each record is: neighbours in an index share a page.
//! So a fold that catches up waits a moment for more, as long as nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::domain::limits::{
    FOLD_AWAITED_RECORDS_MAX, FOLD_BATCH_BYTES_MAX, FOLD_BATCH_RECORDS_MAX,
    FOLD_DURABLE_BATCHES_MAX, FOLD_DURABLE_MS_MAX, FOLD_DURABLE_RECORDS_MAX, FOLD_LINGER_MS,
    LOG_READ_RECORDS_MAX,
};
use crate::domain::{Position, Verdict};
use crate::projection::error::FoldError;
use crate::projection::feed::Chunks;
use crate::projection::meta::Progress;
use crate::projection::notices::News;
use crate::projection::prepare::Prepared;
use crate::projection::store::{Commit, Store};

/// Folds chunks of a log into a store.
pub(super) struct Batches {
    store: Arc<Store>,
    chunks: Chunks,
    debt: Debt,
}

/// What a batch came to.
pub(super) struct Batch {
    pub(super) progress: Progress,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) news: News,
    pub(super) commit: Commit,
}

/// What decides how much a batch takes.
pub(super) trait Outlook: Send + 'static {
    /// How far the log is known to go.
    fn head(&self) -> Position;
    /// Whether anybody waits for the fold.
    fn is_awaited(&self) -> bool;
}

impl Batches {
    pub(super) fn new(store: Arc<Store>, chunks: Chunks) -> Self {
        let debt = Debt::default();
        Self {
            store,
            chunks,
            debt,
        }
    }

    /// The first chunk of the next batch; `None` after the last.
    pub(super) async fn first(&mut self) -> Option<Vec<Prepared>> {
        self.chunks.recv().await
    }

    /// Whether a crash would take something back from the read model.
    pub(super) fn is_durable(&self) -> bool {
        self.debt.since.is_none()
    }

    /// Makes everything durable that was folded.
    pub(super) async fn flush(&mut self) -> Result<(), FoldError> {
        let store = Arc::clone(&self.store);
        self.debt = Debt::default();
        let flushed = spawn_blocking(move || store.flush()).await;
        Ok(flushed.map_err(FoldError::Panicked)??)
    }

    /// Folds a chunk and those after it, and commits them.
    pub(super) async fn fold(
        mut self,
        first: Vec<Prepared>,
        outlook: impl Outlook,
    ) -> Result<(Self, Batch), FoldError> {
        let waiter = Handle::current();
        let folding = move || {
            let batch = self.fold_now(first, &outlook, &waiter)?;
            Ok((self, batch))
        };
        spawn_blocking(folding).await.map_err(FoldError::Panicked)?
    }

    fn fold_now(
        &mut self,
        first: Vec<Prepared>,
        outlook: &dyn Outlook,
        waiter: &Handle,
    ) -> Result<Batch, FoldError> {
        let Self {
            store,
            chunks,
            debt,
        } = self;
        let (mut verdicts, mut news) = (Vec::new(), News::default());
        let mut commit = Commit::Visible;
        let progress = store.write(|folding| {
            let (mut chunk, mut body_bytes) = (Some(first), 0);
            let mut linger = Duration::from_millis(FOLD_LINGER_MS);
            while let Some(records) = chunk {
                let judged = folding.fold(&records)?;
                news.add(&records, &judged, folding.take_settled(), outlook.head());
                verdicts.extend(judged);
                body_bytes += records.iter().map(|p| p.body.len()).sum::<usize>();
                let size = Size {
                    records: verdicts.len(),
                    bytes: body_bytes + folding.loaded_bytes(),
                };
                chunk = if size.is_full(outlook.is_awaited()) {
                    None
                } else if is_behind(folding.position(), outlook) {
                    next(chunks, &mut linger, waiter)
                } else {
                    chunks.try_recv().ok()
                };
            }
            commit = debt.commit(verdicts.len());
            Ok(commit)
        })?;
        Ok(Batch {
            progress,
            verdicts,
            news,
            commit,
        })
    }
}

/// Whether the log is known to have much more, and nobody waits for what there is.
fn is_behind(position: Position, outlook: &dyn Outlook) -> bool {
    let behind = outlook.head().get().saturating_sub(position.get());
    LOG_READ_RECORDS_MAX as u64 <= behind && !outlook.is_awaited()
}

/// The next chunk, if it is there or comes while there is time left.
fn next(chunks: &mut Chunks, left: &mut Duration, waiter: &Handle) -> Option<Vec<Prepared>> {
    if let Ok(chunk) = chunks.try_recv() {
        return Some(chunk);
    }
    let started = Instant::now();
    // This thread is one of those that may block; the bound is in `FOLD_LINGER_MS`.
    let waited = waiter.block_on(async { tokio::time::timeout(*left, chunks.recv()).await });
    *left = left.saturating_sub(started.elapsed());
    waited.ok().flatten()
}

/// How much a batch has.
struct Size {
    records: usize,
    bytes: usize,
}

impl Size {
    fn is_full(&self, awaited: bool) -> bool {
        let records_max = if awaited {
            FOLD_AWAITED_RECORDS_MAX
        } else {
            FOLD_BATCH_RECORDS_MAX
        };
        records_max <= self.records || FOLD_BATCH_BYTES_MAX <= self.bytes
    }
}

/// What a crash would take back from the read model, though not from the log.
///
/// A durable commit holds up the fold, for the longer the more pages there are to write. So it comes after
/// so many batches: these are small and follow each other fast while the load is light, and then the
/// stalls are short; they are large while it is heavy, and then the stalls are few.
#[derive(Default)]
struct Debt {
    batches: u32,
    records: u64,
    since: Option<Instant>,
}

impl Debt {
    /// How to commit a batch.
    fn commit(&mut self, records: usize) -> Commit {
        self.batches += 1;
        self.records += records as u64;
        let since = *self.since.get_or_insert_with(Instant::now);
        let old = Duration::from_millis(FOLD_DURABLE_MS_MAX) <= since.elapsed();
        let large = FOLD_DURABLE_RECORDS_MAX <= self.records;
        if old || large || FOLD_DURABLE_BATCHES_MAX <= self.batches {
            *self = Self::default();
            return Commit::Durable;
        }
        Commit::Visible
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
