//! The history file: one writer, any number of snapshots, and how far it has come.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, Durability, ReadableDatabase};
use tokio::sync::{Notify, watch};

use crate::domain::limits::{PAST_CACHE_BYTES, PAST_COUNT_ENTRIES_MAX, PAST_PAGE_ENTRIES_MAX};
use crate::domain::{Position, Timestamp};
use crate::log::chain::ChainHead;
use crate::projection::error::StoreError;
use crate::projection::keys::{self, ListingOwner, Partition, SortKey};
use crate::projection::meta;
use crate::projection::past::counts::{self, Counts};
use crate::projection::past::spans::Scan;
use crate::projection::past::tables::{LAYOUT, ReadTables, Tables};
use crate::projection::past::times;
use crate::projection::past::trail::{self, Trail};
use crate::projection::snapshot::Snapshot;
use crate::projection::store::{Commit, open_file};
use crate::storage::{Failure, Health, guarded};

/// The history file, which a task of [`runner`](super::runner) keeps up to date.
#[derive(Debug)]
pub struct Past {
    path: PathBuf,
    /// `None` before the first pass, and after a failure.
    file: Mutex<Option<Arc<Open>>>,
    position: watch::Sender<Position>,
    /// The number of requests that wait for a position.
    waiting: AtomicUsize,
    /// Tells the task that a request waits.
    pub(super) wanted: Notify,
    bounds: Bounds,
}

/// Most entries that answers read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For a page that does not start at an offset. The page ends there, and the next one goes on.
    pub page: u64,
    /// For an offset, or the total of a range of creation times. More is an error.
    pub count: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            page: PAST_PAGE_ENTRIES_MAX,
            count: PAST_COUNT_ENTRIES_MAX,
        }
    }
}

/// The open file.
#[derive(Debug)]
struct Open {
    db: Database,
    /// The snapshot that readers share until the next commit. The first reader makes it.
    latest: Mutex<Option<Arc<PastSnapshot>>>,
    bounds: Bounds,
    health: Health,
}

/// A consistent view of the history file.
pub struct PastSnapshot {
    tables: ReadTables,
    position: Position,
    bounds: Bounds,
}

impl std::fmt::Debug for PastSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PastSnapshot")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Past {
    /// The history file at this path. The first pass opens it.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            file: Mutex::new(None),
            position: watch::Sender::new(Position::ZERO),
            waiting: AtomicUsize::new(0),
            wanted: Notify::new(),
            bounds: Bounds::default(),
        }
    }

    /// This file with other bounds on answers.
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last position whose changes it has.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Whether a request waits for a position.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Waits until the file has the changes up to a position. Until then, passes come sooner.
    pub async fn reach(&self, position: Position) {
        let mut reached = self.position.subscribe();
        let _waiting = Waiting::begin(self);
        // Only fails if `self` is gone, which keeps the sender.
        let _reached = reached.wait_for(|reached| position <= *reached).await;
    }

    /// The history as far as it has come. Fails as [`StoreError::History`] while the file is not open.
    pub fn snapshot(&self) -> Result<Arc<PastSnapshot>, StoreError> {
        let snapshot = self.opened().and_then(|file| file.snapshot());
        snapshot.map_err(StoreError::of_history)
    }

    /// The first failure of the open file.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.opened().ok().and_then(|file| file.health.failure())
    }

    /// Waits until the open file fails, for a reader or for a pass.
    pub(super) async fn failed(&self) -> Failure {
        match self.opened() {
            Ok(file) => file.health.failed().await,
            Err(_not_open) => std::future::pending().await,
        }
    }

    /// Takes the next changes of a read model, at most those of `records_max` records. Blocks the thread.
    /// Returns how far the file has come.
    pub fn advance(
        &self,
        now: &Snapshot,
        records_max: u64,
        commit: Commit,
    ) -> Result<Position, StoreError> {
        let file = match self.opened() {
            Ok(file) => file,
            Err(_not_open) => self.open(now)?,
        };
        let at = file.snapshot()?.position;
        let behind = now.position().get().saturating_sub(at.get());
        let until = Position::new(at.get() + behind.min(records_max));
        let mut txn = file.db.begin_write()?;
        let position = trail::advance(&mut Tables::open(&txn)?, now, until)?;
        match commit {
            Commit::Visible => txn.set_durability(Durability::None)?,
            Commit::Durable => txn.set_quick_repair(true),
        }
        txn.commit()?;
        *file.latest() = None;
        self.position.send_replace(position);
        Ok(position)
    }

    /// Makes everything so far durable. Blocks the thread.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let Ok(file) = self.opened() else {
            return Ok(());
        };
        let mut txn = file.db.begin_write()?;
        txn.set_quick_repair(true);
        Ok(txn.commit()?)
    }

    /// Closes the file, and deletes it if it is to be made again. Blocks the thread.
    pub(super) fn close(&self, delete: bool) {
        // Not locked while the file is closed, which can take long.
        let open = self.slot().take();
        self.position.send_replace(Position::ZERO);
        if let Err(panic) = guarded(|| drop(open)) {
            tracing::warn!("the history file was not closed properly: {panic}");
        }
        if delete && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("{} cannot be deleted: {error}", self.path.display());
        }
    }

    /// Opens the file. One that is not of this read model or cannot be used is made again.
    fn open(&self, now: &Snapshot) -> Result<Arc<Open>, StoreError> {
        let open = || Open::new(&self.path, self.bounds);
        let opened = guarded(open).unwrap_or_else(|panic| Err(StoreError::Unreadable(panic)));
        let opened = match opened {
            Ok(open) if open.is_of(now)? => open,
            Err(error) if !error.is_mended_by_a_rebuild() => return Err(error),
            unusable => {
                tracing::info!("making {} again", self.path.display());
                drop(unusable);
                self.close(true);
                open()?
            }
        };
        let position = opened.snapshot()?.position;
        let opened = Arc::new(opened);
        *self.slot() = Some(Arc::clone(&opened));
        self.position.send_replace(position);
        Ok(opened)
    }

    fn opened(&self) -> Result<Arc<Open>, StoreError> {
        self.slot().clone().ok_or(StoreError::Mending)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RAII guard: counts as one waiting request for as long as it lives.
struct Waiting<'a>(&'a Past);

impl<'a> Waiting<'a> {
    fn begin(past: &'a Past) -> Self {
        past.waiting.fetch_add(1, Ordering::Relaxed);
        past.wanted.notify_one();
        Self(past)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Open {
    fn new(path: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        let health = Health::default();
        let db = open_file(path, PAST_CACHE_BYTES, &health)?;
        if !meta::has_layout(&db.begin_read()?, LAYOUT)? {
            let mut txn = db.begin_write()?;
            // A checked file needs commits in two phases.
            txn.set_quick_repair(true);
            meta::write_layout(&mut Tables::open(&txn)?.meta, LAYOUT)?;
            txn.commit()?;
        }
        Ok(Self {
            db,
            latest: Mutex::new(None),
            bounds,
            health,
        })
    }

    /// Whether the file was made from this read model. Fails as [`StoreError::Behind`] while the read model
    /// is behind it: then only the log knows.
    fn is_of(&self, now: &Snapshot) -> Result<bool, StoreError> {
        let snapshot = self.snapshot()?;
        if now.position() < snapshot.position {
            return Err(StoreError::Behind {
                at: now.position(),
                owed: snapshot.position,
                stopped: false,
            });
        }
        Trail::load(&snapshot.tables.meta)?.is_of(now)
    }

    fn snapshot(&self) -> Result<Arc<PastSnapshot>, StoreError> {
        let mut latest = self.latest();
        if let Some(snapshot) = &*latest {
            return Ok(Arc::clone(snapshot));
        }
        let tables = ReadTables::open(&self.db.begin_read()?)?;
        let position = Trail::load(&tables.meta)?.position;
        let snapshot = Arc::new(PastSnapshot {
            tables,
            position,
            bounds: self.bounds,
        });
        Ok(Arc::clone(latest.insert(snapshot)))
    }

    fn latest(&self) -> MutexGuard<'_, Option<Arc<PastSnapshot>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PastSnapshot {
    /// The last position whose changes it has.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last position that the log had at a time, if it is not later than this snapshot's.
    pub fn position_at(&self, time: Timestamp) -> Result<Position, StoreError> {
        times::position_at(&self.tables.times, time)
    }

    /// The time of a position: the latest time stamp of the log up to it. `None` if the snapshot has not
    /// come so far, and for position 0.
    pub fn time_of(&self, position: Position) -> Result<Option<Timestamp>, StoreError> {
        times::of(&self.tables.times, position)
    }

    /// How many sessions or agents an owner had at a position.
    pub(in crate::projection) fn counts(
        &self,
        owner: impl ListingOwner,
        at: Position,
    ) -> Result<Counts, StoreError> {
        let (partition, _) = keys::partitions(owner);
        counts::at(&self.tables.counts, counts::owner_of(partition), at)
    }

    /// Looks for what was in some partitions at a position, newest first. Reads at most so many entries.
    pub(in crate::projection) fn scan(
        &self,
        partitions: &[Partition],
        within: Range<SortKey>,
        at: Position,
        entries_max: u64,
    ) -> Result<Scan<'_>, StoreError> {
        Scan::new(&self.tables.spans, partitions, within, at, entries_max)
    }

    /// Most entries that answers read.
    pub(in crate::projection) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Digest over the name of every table and the bytes of every entry.
    pub fn digest(&self) -> Result<ChainHead, StoreError> {
        self.tables.digest()
    }
}
