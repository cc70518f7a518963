//! Folds records into one transaction: those that have arrived, and those that arrive while it folds.
//!
//! Large transactions make each record cheaper, because neighbors in an index share a page. So a fold
//! that is catching up waits a moment for more records. It does not begin to wait while a request waits
//! for the fold.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::field::Empty;

use crate::domain::limits::{
    FOLD_AWAITED_RECORDS_MAX, FOLD_BATCH_BYTES_MAX, FOLD_BATCH_RECORDS_MAX,
    FOLD_DURABLE_BATCHES_MAX, FOLD_DURABLE_MS_MAX, FOLD_DURABLE_MS_MIN, FOLD_DURABLE_RECORDS_MAX,
    FOLD_LINGER_MS, LOG_READ_RECORDS_MAX,
};
use crate::domain::{Position, Verdict};
use crate::metrics::trace;
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

/// The result of a batch.
pub(super) struct Batch {
    pub(super) progress: Progress,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) news: News,
    pub(super) commit: Commit,
}

/// What the size of a batch depends on.
pub(super) trait Outlook: Send + 'static {
    /// The last known position of the log.
    fn head(&self) -> Position;
    /// Whether a request waits for the fold.
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

    /// Whether everything folded so far would survive a crash.
    pub(super) fn is_durable(&self) -> bool {
        self.debt.since.is_none()
    }

    /// Whether the disk has room for the next batch.
    pub(super) fn has_room(&self) -> bool {
        self.store.has_room()
    }

    /// Makes everything folded so far durable.
    pub(super) async fn flush(&mut self) -> Result<(), FoldError> {
        let store = Arc::clone(&self.store);
        self.debt.settle();
        let flushed = spawn_blocking(move || store.flush()).await;
        Ok(flushed.map_err(FoldError::Panicked)??)
    }

    /// Folds this chunk and those that follow, and commits them.
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
        let span = tracing::trace_span!(target: trace::TARGET, "fold", records = Empty);
        let _entered = span.enter();
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
        span.record("records", verdicts.len());
        Ok(Batch {
            progress,
            verdicts,
            news,
            commit,
        })
    }
}

/// Whether the log has many more records, and no request waits for the fold.
fn is_behind(position: Position, outlook: &dyn Outlook) -> bool {
    let behind = outlook.head().get().saturating_sub(position.get());
    LOG_READ_RECORDS_MAX as u64 <= behind && !outlook.is_awaited()
}

/// The next chunk, if one arrives in the time left.
fn next(chunks: &mut Chunks, left: &mut Duration, waiter: &Handle) -> Option<Vec<Prepared>> {
    if let Ok(chunk) = chunks.try_recv() {
        return Some(chunk);
    }
    let started = Instant::now();
    // A thread of `spawn_blocking` may block. `FOLD_LINGER_MS` bounds the wait.
    let waited = waiter.block_on(async { tokio::time::timeout(*left, chunks.recv()).await });
    *left = left.saturating_sub(started.elapsed());
    waited.ok().flatten()
}

/// The size of a batch.
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

/// What the read model would lose in a crash. The log keeps it.
///
/// A durable commit stalls the fold, and the stall grows with the number of pages to write. So a durable
/// commit follows a number of batches. Under a light load batches are small, and the stalls are short;
/// under a heavy load batches are large, and the stalls are few.
///
/// The first durable commits come early, and the time between them doubles, so that a process that
/// crashes again and again still gets on.
struct Debt {
    batches: u32,
    records: u64,
    since: Option<Instant>,
    /// How long the next durable commit may wait.
    patience: Duration,
}

impl Default for Debt {
    fn default() -> Self {
        Self {
            batches: 0,
            records: 0,
            since: None,
            patience: Duration::from_millis(FOLD_DURABLE_MS_MIN),
        }
    }
}

impl Debt {
    /// Decides how to commit a batch of this many records.
    fn commit(&mut self, records: usize) -> Commit {
        self.batches += 1;
        self.records += records as u64;
        let since = *self.since.get_or_insert_with(Instant::now);
        let old = self.patience <= since.elapsed();
        let large = FOLD_DURABLE_RECORDS_MAX <= self.records;
        if old || large || FOLD_DURABLE_BATCHES_MAX <= self.batches {
            self.settle();
            return Commit::Durable;
        }
        Commit::Visible
    }

    /// Notes that everything is durable.
    fn settle(&mut self) {
        let longest = Duration::from_millis(FOLD_DURABLE_MS_MAX);
        *self = Self {
            patience: longest.min(self.patience * 2),
            ..Self::default()
        };
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
