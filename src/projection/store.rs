//! The read model's file: one writer, any number of snapshots.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, Durability, ReadableDatabase, WriteTransaction};

use crate::domain::limits::STORE_CACHE_BYTES;
use crate::domain::{Position, Verdict};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::fold;
use crate::projection::meta::{self, Progress};
use crate::projection::notices::Settlements;
use crate::projection::prepare::Prepared;
use crate::projection::snapshot::Snapshot;
use crate::projection::tables::Tables;
use crate::projection::working::Working;

/// How a batch is committed. Either way it is visible at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// In memory: a crash takes it back, and the log replays it.
    Visible,
    /// On disk, with everything before it.
    Durable,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Folded {
    /// How far the read model has come.
    pub progress: Progress,
    /// The verdict of each record, in order.
    pub verdicts: Vec<Verdict>,
}

/// The read model's file.
#[derive(Debug)]
pub struct Store {
    /// What readers share until something new is committed; made when the first one asks.
    latest: Mutex<Option<Arc<Snapshot>>>,
    db: Database,
}

impl Store {
    /// Opens the file, or makes a new one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Database::builder()
            .set_cache_size(STORE_CACHE_BYTES)
            .create(path)?;
        let txn = db.begin_write()?;
        meta::check_layout(&mut Tables::open(&txn)?.meta)?;
        txn.commit()?;
        let latest = Mutex::new(None);
        Ok(Self { latest, db })
    }

    /// Folds a batch in one transaction: all of it shows, or none. Only where the batch asks for
    /// rules that this build does not know, everything before that is folded, and then it fails.
    pub fn fold(&self, batch: &[Prepared], commit: Commit) -> Result<Folded, FoldError> {
        let mut verdicts = Vec::new();
        let progress = self.write(|folding| {
            verdicts = folding.fold(batch)?;
            Ok(commit)
        })?;
        Ok(Folded { progress, verdicts })
    }

    /// The same for a batch that comes in chunks. `work` folds them, and says how to commit.
    pub fn write(
        &self,
        work: impl FnOnce(&mut Folding<'_>) -> Result<Commit, FoldError>,
    ) -> Result<Progress, FoldError> {
        let mut txn = self.db.begin_write().map_err(StoreError::from)?;
        let (worked, progress) = {
            let mut folding = Folding::begin(&txn)?;
            let worked = match work(&mut folding) {
                Ok(commit) => Ok(commit),
                Err(error @ FoldError::Rules { .. }) => Err(error),
                Err(error) => return Err(error),
            };
            (worked, folding.working.finish()?)
        };
        // What came before a record that asks for other rules stays.
        match *worked.as_ref().unwrap_or(&Commit::Durable) {
            Commit::Visible => txn
                .set_durability(Durability::None)
                .map_err(StoreError::from)?,
            // Without quick repair, opening after a crash walks the whole file.
            Commit::Durable => txn.set_quick_repair(true),
        }
        self.commit(txn)?;
        worked.map(|_| progress)
    }

    /// Makes everything folded so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut txn = self.db.begin_write()?;
        txn.set_quick_repair(true);
        self.commit(txn)
    }

    fn commit(&self, txn: WriteTransaction) -> Result<(), StoreError> {
        txn.commit()?;
        // After the commit: whoever finds none now sees what was committed.
        *self.latest() = None;
        Ok(())
    }

    /// The read model as it is now, unchanged by what is folded later. Hold it briefly: pages that
    /// it sees are not reused.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let mut latest = self.latest();
        if let Some(snapshot) = &*latest {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(Snapshot::new(&self.db.begin_read()?)?);
        Ok(Arc::clone(latest.insert(snapshot)))
    }

    fn latest(&self) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction under way.
#[expect(missing_debug_implementations, reason = "tables have no Debug")]
pub struct Folding<'txn> {
    working: Working<'txn>,
}

impl<'txn> Folding<'txn> {
    fn begin(txn: &'txn WriteTransaction) -> Result<Self, FoldError> {
        let working = Working::new(Tables::open(txn)?)?;
        Ok(Self { working })
    }

    /// Folds the next records and gives the verdict of each.
    pub fn fold(&mut self, records: &[Prepared]) -> Result<Vec<Verdict>, FoldError> {
        self.working.preload(records)?;
        let records = records.iter();
        records
            .map(|prepared| fold::record(&mut self.working, prepared))
            .collect()
    }

    /// What became of events that waited, since it was asked last.
    pub(crate) fn take_settled(&mut self) -> Settlements {
        std::mem::take(&mut self.working.settled)
    }

    /// The last position that was folded.
    pub(crate) fn position(&self) -> Position {
        self.working.progress.position
    }

    /// How long the stored rows are that it keeps in memory.
    pub(crate) fn loaded_bytes(&self) -> usize {
        self.working.loaded_bytes
    }
}
