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
use crate::log::Notice;
use crate::projection::error::FoldError;
use crate::projection::feed::Pieces;
use crate::projection::meta::Progress;
use crate::projection::notices;
use crate::projection::prepare::Prepared;
use crate::projection::store::{Commit, Store};

/// Folds pieces of a log into a store.
pub(super) struct Batches {
    store: Arc<Store>,
    pieces: Pieces,
    debt: Debt,
}

/// What a batch came to.
pub(super) struct Batch {
    pub(super) progress: Progress,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) notices: Vec<Notice>,
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
    pub(super) fn new(store: Arc<Store>, pieces: Pieces) -> Self {
        let debt = Debt::default();
        Self {
            store,
            pieces,
            debt,
        }
    }

    /// The first piece of the next batch; `None` after the last.
    pub(super) async fn first(&mut self) -> Option<Vec<Prepared>> {
        self.pieces.recv().await
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

    /// Folds a piece and those after it, and commits them.
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
            pieces,
            debt,
        } = self;
        let (mut verdicts, mut notices) = (Vec::new(), Vec::new());
        let mut commit = Commit::Visible;
        let progress = store.write(|folding| {
            let (mut piece, mut bytes) = (Some(first), 0);
            while let Some(records) = piece {
                let judged = folding.fold(&records)?;
                notices::add(&mut notices, &records, &judged, outlook.head());
                verdicts.extend(judged);
                bytes += records.iter().map(|p| p.record.body.len()).sum::<usize>();
                let room = Room {
                    records: verdicts.len(),
                    bytes,
                };
                let behind = outlook
                    .head()
                    .get()
                    .saturating_sub(folding.position().get());
                piece = room
                    .is_left(outlook.is_awaited())
                    .then(|| next(pieces, behind, waiter))
                    .flatten();
            }
            commit = debt.commit(verdicts.len());
            Ok(commit)
        })?;
        Ok(Batch {
            progress,
            verdicts,
            notices,
            commit,
        })
    }
}

/// The next piece, if it is there or soon will be.
fn next(pieces: &mut Pieces, behind_records: u64, waiter: &Handle) -> Option<Vec<Prepared>> {
    if let Ok(piece) = pieces.try_recv() {
        return Some(piece);
    }
    if behind_records < LOG_READ_RECORDS_MAX as u64 {
        return None;
    }
    let linger = Duration::from_millis(FOLD_LINGER_MS);
    waiter
        .block_on(async { tokio::time::timeout(linger, pieces.recv()).await })
        .ok()
        .flatten()
}

/// How much a batch has.
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    fn is_left(&self, awaited: bool) -> bool {
        let records_max = if awaited {
            FOLD_AWAITED_RECORDS_MAX
        } else {
            FOLD_BATCH_RECORDS_MAX
        };
        self.records < records_max && self.bytes < FOLD_BATCH_BYTES_MAX
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
