//! The read model that a server reads, and how far its fold has come.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::{Position, Timestamp, WithCauses};
use crate::projection::error::StoreError;
use crate::projection::meta::Progress;
use crate::projection::snapshot::Snapshot;
use crate::projection::store::Store;
use crate::storage::guarded;

/// The read model and the progress of its fold.
#[derive(Debug)]
pub struct Projection {
    /// `None` if the storage is not a file.
    path: Option<PathBuf>,
    /// `None` while the file is opened again after a failure.
    store: RwLock<Option<Arc<Store>>>,
    folded: watch::Sender<Progress>,
    stopped: watch::Sender<bool>,
    behind_since: Mutex<Option<Instant>>,
    /// The number of requests that wait for a position.
    waiting: AtomicUsize,
    /// The position that the fold must reach before readers see the read model.
    owed: AtomicU64,
    /// Why the fold does not go on, although it has not stopped.
    trouble: Mutex<Option<String>>,
}

/// How waiting for a position ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The position is folded.
    Reached,
    /// It took too long. The fold goes on.
    TimedOut,
    /// The fold has stopped and will not reach the position.
    Stopped,
}

impl Projection {
    /// Opens the read model. A file that cannot be used, because it is damaged or has the layout of another
    /// build, is set aside, and the fold makes a new one from the log.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::of_file(open_or_renew(path)?, Some(path.to_path_buf()))
    }

    /// The read model in a store. If the store fails, it cannot be opened again.
    pub fn of(store: Store) -> Result<Self, StoreError> {
        Self::of_file(store, None)
    }

    fn of_file(store: Store, path: Option<PathBuf>) -> Result<Self, StoreError> {
        let progress = *store.snapshot()?.progress();
        Ok(Self {
            path,
            store: RwLock::new(Some(Arc::new(store))),
            folded: watch::Sender::new(progress),
            stopped: watch::Sender::new(false),
            behind_since: Mutex::new(None),
            waiting: AtomicUsize::new(0),
            owed: AtomicU64::new(0),
            trouble: Mutex::new(None),
        })
    }

    /// The read model as it is now. Fails as [`StoreError::Mending`] while its file is opened again.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().ok_or(StoreError::Mending)?.snapshot()
    }

    /// Copies the read model into an empty file. Returns how far it had come.
    pub fn copy_to(&self, file: File) -> Result<Progress, StoreError> {
        self.store()?.copy_to(file)
    }

    /// The file. Drop it before the next await: while it is in use, it cannot be opened again.
    pub(super) fn store(&self) -> Result<Arc<Store>, StoreError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or(StoreError::Mending)
    }

    /// The position that the fold must reach before readers see the read model: older states were shown
    /// before.
    pub fn owed(&self) -> Position {
        Position::new(self.owed.load(Ordering::Relaxed))
    }

    /// Lets readers wait until the fold reaches a position.
    pub fn owe(&self, position: Position) {
        self.owed.fetch_max(position.get(), Ordering::Relaxed);
    }

    /// Why the fold does not go on at present, although it has not stopped.
    pub fn trouble(&self) -> Option<String> {
        self.trouble_mut().clone()
    }

    pub(super) fn set_trouble(&self, why: Option<String>) {
        let mut trouble = self.trouble_mut();
        if *trouble == why {
            return;
        }
        if let Some(why) = &why {
            tracing::error!("the fold waits: {why}");
        } else {
            tracing::info!("the fold goes on");
        }
        *trouble = why;
    }

    fn trouble_mut(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the read model is in a file, which can be opened again.
    pub(super) fn can_be_mended(&self) -> bool {
        self.path.is_some()
    }

    /// Opens the file again after a failure, or replaces a damaged one. Blocks the thread. Readers see
    /// [`StoreError::Mending`] until it is open, and then wait until the fold has reached its last
    /// position again.
    pub(super) fn mend(&self, damaged: bool) -> Result<(), StoreError> {
        self.owe(self.position());
        let path = self.path.as_deref().ok_or(StoreError::Mending)?;
        let mut slot = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let failed = slot.take();
        if let Err(panic) = guarded(|| drop(failed)) {
            tracing::warn!("the read model's file was not closed properly: {panic}");
        }
        if damaged && path.exists() {
            set_aside(path)?;
        }
        let store = open_or_renew(path)?;
        let progress = *store.snapshot()?.progress();
        // Before anybody can see the file.
        self.folded.send_replace(progress);
        *slot = Some(Arc::new(store));
        Ok(())
    }

    /// The progress of the fold.
    pub fn progress(&self) -> Progress {
        *self.folded.borrow()
    }

    /// The last position that was folded.
    pub fn position(&self) -> Position {
        self.folded.borrow().position
    }

    /// Whether the fold has stopped for good. The server's log says why.
    pub fn has_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    pub(super) fn set_stopped(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether a request waits for the fold.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Returns a receiver that changes with every batch.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.folded.subscribe()
    }

    /// Waits until a position is folded. Until then, the fold takes smaller batches.
    pub async fn wait_for(&self, position: Position, at_most: Duration) -> Waited {
        let _waiting = Waiting::begin(&self.waiting);
        tokio::time::timeout(at_most, self.reach(position))
            .await
            .unwrap_or(Waited::TimedOut)
    }

    /// Waits until a position is folded, without a timeout and without making batches smaller.
    pub async fn reach(&self, position: Position) -> Waited {
        let mut folded = self.folded.subscribe();
        let mut stopped = self.stopped.subscribe();
        let reached = folded.wait_for(|progress| position <= progress.position);
        tokio::select! {
            biased;
            _ = reached => Waited::Reached,
            _ = stopped.wait_for(|stopped| *stopped) => Waited::Stopped,
        }
    }

    /// How far the fold lags behind a log that is known to reach `head`, in time. There are two upper
    /// bounds: the age of the last folded record, and the time since the fold was last seen caught up.
    /// The smaller one counts.
    pub fn lag(&self, now: Timestamp, head: Position) -> Duration {
        let progress = self.progress();
        let Some(since) = self.behind_since(progress.position, head) else {
            return Duration::ZERO;
        };
        let age = now.micros_since(progress.recorded_at);
        since
            .elapsed()
            .min(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
    }

    /// Since when the fold has been behind, as far as calls of this function have seen.
    fn behind_since(&self, position: Position, head: Position) -> Option<Instant> {
        let mut since = self
            .behind_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = (position < head).then(|| since.unwrap_or_else(Instant::now));
        *since
    }

    pub(super) fn publish(&self, progress: Progress, head: Position) {
        self.behind_since(progress.position, head);
        self.folded.send_replace(progress);
    }
}

/// RAII guard: counts as one waiting request for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a file. Sets one aside that only a new fold of the log can mend, and makes a new one.
fn open_or_renew(path: &Path) -> Result<Store, StoreError> {
    match Store::open(path) {
        Err(error) if error.is_mended_by_a_rebuild() => {
            tracing::error!(
                "{}. The server now makes the read model again from the log",
                WithCauses(&error)
            );
            set_aside(path)?;
            Store::open(path)
        }
        opened => opened,
    }
}

/// Renames a file that cannot be used. Replaces an earlier one, so that the disk does not fill up.
fn set_aside(path: &Path) -> Result<(), StoreError> {
    let aside = path.with_extension("damaged.redb");
    fs::rename(path, &aside)?;
    tracing::warn!(
        "the old file of the read model is kept as {}",
        aside.display()
    );
    Ok(())
}
