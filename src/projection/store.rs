//! The read model's file: one writer, any number of snapshots.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase, StorageBackend, WriteTransaction};

use crate::domain::limits::{FOLD_ROOM_BYTES_MIN, SNAPSHOT_CACHE_BYTES, STORE_CACHE_BYTES};
use crate::domain::{Position, Verdict};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::fold;
use crate::projection::meta::{self, Progress};
use crate::projection::notices::Settlements;
use crate::projection::prepare::Prepared;
use crate::projection::snapshot::Snapshot;
use crate::projection::tables::{CopyFrom as _, LAYOUT, Tables};
use crate::projection::working::Working;
use crate::storage::{CheckedFile, Failure, Health, Watched, guarded, room};

/// How a batch is committed. Both ways make it visible at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// In memory. After a crash, the fold replays the batch from the log.
    Visible,
    /// On disk, together with all batches before it.
    Durable,
}

/// The result of a batch.
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
    /// The snapshot that readers share until the next commit. The first reader makes it.
    latest: Mutex<Option<Arc<Snapshot>>>,
    db: Database,
    health: Health,
    /// `None` if the storage is not a file.
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the file, or makes a new one. Writes nothing to an existing one, so that it opens on a full
    /// disk.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::of(Some(path), |health| {
            open_file(path, STORE_CACHE_BYTES, health)
        })
    }

    /// Opens a read model on any storage. With it, tests simulate power failures.
    pub fn open_on(storage: impl StorageBackend) -> Result<Self, StoreError> {
        Self::of(None, |health| database(storage, STORE_CACHE_BYTES, health))
    }

    fn of(
        path: Option<&Path>,
        open: impl FnOnce(&Health) -> Result<Database, StoreError>,
    ) -> Result<Self, StoreError> {
        let health = Health::default();
        let opened = guarded(|| {
            let db = open(&health)?;
            prepare(&db)?;
            Ok(db)
        });
        let opened = opened.unwrap_or_else(|panic| Err(StoreError::Unreadable(panic)));
        let db = opened.map_err(|error| match health.failure() {
            Some(Failure::Sync(why)) => StoreError::NotSynced(why),
            Some(Failure::Read(why) | Failure::Damaged(why)) => StoreError::Unreadable(why),
            _ => error,
        })?;
        Ok(Self {
            latest: Mutex::new(None),
            db,
            health,
            path: path.map(Path::to_path_buf),
        })
    }

    /// Copies the current read model into a file, which then has no free pages. While this runs, the file
    /// of the read model cannot reuse the pages that the copy reads.
    pub(crate) fn copy_to(&self, file: File) -> Result<Progress, StoreError> {
        let snapshot = self.snapshot()?;
        let copy = FileBackend::new(file)?;
        let db = database(copy, SNAPSHOT_CACHE_BYTES, &Health::default())?;
        let mut txn = db.begin_write()?;
        txn.set_quick_repair(true);
        Tables::open(&txn)?.copy_from(&snapshot.tables)?;
        txn.commit()?;
        Ok(*snapshot.progress())
    }

    /// The first failure of the file, after which it must be opened again.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.health.failure()
    }

    /// Waits until the file fails, for a reader or for the fold.
    pub(crate) async fn failed(&self) -> Failure {
        self.health.failed().await
    }

    /// Whether the disk has room for a batch and for all batches that are not durable yet.
    pub(crate) fn has_room(&self) -> bool {
        let path = self.path.as_deref();
        path.is_none_or(|path| room::has(path, FOLD_ROOM_BYTES_MIN))
    }

    /// Folds a batch in one transaction: readers see all of it or nothing. If a record asks for rules
    /// that this build does not know, the records before it are folded, and the call fails.
    pub fn fold(&self, batch: &[Prepared], commit: Commit) -> Result<Folded, FoldError> {
        let mut verdicts = Vec::new();
        let progress = self.write(|folding| {
            verdicts = folding.fold(batch)?;
            Ok(commit)
        })?;
        Ok(Folded { progress, verdicts })
    }

    /// Runs one transaction. `work` folds the records and returns how to commit.
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
        // The records before one that asks for unknown rules are committed.
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
        // Only after the commit, so that the next snapshot shows it.
        *self.latest() = None;
        Ok(())
    }

    /// A snapshot of the current read model. Drop it soon: the file cannot reuse the pages that it sees.
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

/// Opens a database in a file, or makes a new one.
pub(in crate::projection) fn open_file(
    path: &Path,
    cache_bytes: usize,
    health: &Health,
) -> Result<Database, StoreError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    database(FileBackend::new(file)?, cache_bytes, health)
}

fn database(
    storage: impl StorageBackend,
    cache_bytes: usize,
    health: &Health,
) -> Result<Database, StoreError> {
    let watched = Watched::new(storage, health.clone());
    let db = Database::builder()
        .set_cache_size(cache_bytes)
        .create_with_backend(CheckedFile::new(watched, health.clone()))?;
    Ok(db)
}

/// Creates the tables of a new file, and rejects a file with another layout.
fn prepare(db: &Database) -> Result<(), StoreError> {
    if meta::has_layout(&db.begin_read()?, LAYOUT)? {
        return Ok(());
    }
    let mut txn = db.begin_write()?;
    // A checked file needs commits in two phases.
    txn.set_quick_repair(true);
    meta::write_layout(&mut Tables::open(&txn)?.meta, LAYOUT)?;
    txn.commit()?;
    Ok(())
}

/// An open transaction of the fold.
#[expect(missing_debug_implementations, reason = "tables have no Debug")]
pub struct Folding<'txn> {
    working: Working<'txn>,
}

impl<'txn> Folding<'txn> {
    fn begin(txn: &'txn WriteTransaction) -> Result<Self, FoldError> {
        let working = Working::new(Tables::open(txn)?)?;
        Ok(Self { working })
    }

    /// Folds the next records and returns the verdict of each.
    pub fn fold(&mut self, records: &[Prepared]) -> Result<Vec<Verdict>, FoldError> {
        self.working.preload(records)?;
        let records = records.iter();
        records
            .map(|prepared| fold::record(&mut self.working, prepared))
            .collect()
    }

    /// Takes the verdicts on parked events that were decided since the last call.
    pub(crate) fn take_settled(&mut self) -> Settlements {
        std::mem::take(&mut self.working.settled)
    }

    /// The last position that was folded.
    pub(crate) fn position(&self) -> Position {
        self.working.progress.position
    }

    /// The bytes of stored rows that were read into memory.
    pub(crate) fn loaded_bytes(&self) -> usize {
        self.working.loaded_bytes
    }
}
