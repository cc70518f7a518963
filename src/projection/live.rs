//! The read model that a server reads, and how far its fold has come.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
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
    /// The last position that readers may have seen before the file failed.
    shown: AtomicU64,
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
        Ok(Self::of_file(open_or_renew(path)?, Some(path)))
    }

    /// The read model in a store. If the store fails, it cannot be opened again.
    pub fn of(store: Store) -> Result<Self, StoreError> {
        let progress = *store.snapshot()?.progress();
        Ok(Self::of_file((store, progress), None))
    }

    fn of_file((store, progress): (Store, Progress), path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_path_buf),
            store: RwLock::new(Some(Arc::new(store))),
            folded: watch::Sender::new(progress),
            stopped: watch::Sender::new(false),
            behind_since: Mutex::new(None),
            waiting: AtomicUsize::new(0),
            owed: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            trouble: Mutex::new(None),
        }
    }

    /// The read model as it is now. Fails as [`StoreError::Mending`] while its file is opened again, and as
    /// [`StoreError::Behind`] while it may show an older state than before.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let snapshot = self.store()?.snapshot()?;
        // Only the snapshot itself tells: the file can be replaced at any time.
        self.check(snapshot.progress().position)?;
        Ok(snapshot)
    }

    /// Reads the read model as it is now. A panic on a damaged file becomes an error.
    pub fn read<R>(
        &self,
        ask: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let snapshot = self.snapshot()?;
        guarded(|| ask(&snapshot)).unwrap_or_else(|panic| Err(StoreError::Unreadable(panic)))
    }

    /// Fails as [`StoreError::Behind`] while the read model may show an older state than before.
    pub fn check_started(&self) -> Result<(), StoreError> {
        self.check(self.position())
    }

    /// Since a start, or since its file failed, the fold may not have reached what readers saw before. A fold
    /// that has stopped will not reach it: readers then see the last state, unless this process has shown
    /// them a newer one.
    fn check(&self, at: Position) -> Result<(), StoreError> {
        let stopped = self.has_stopped();
        let owed = if stopped { &self.shown } else { &self.owed };
        let owed = Position::new(owed.load(Ordering::Relaxed));
        if owed <= at {
            return Ok(());
        }
        Err(StoreError::Behind { at, owed, stopped })
    }

    /// Copies the read model into an empty file. Returns how far it had come.
    pub fn copy_to(&self, file: File) -> Result<Progress, StoreError> {
        self.check_started()?;
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

    /// Opens the file again after a failure. Blocks the thread. Readers see [`StoreError::Mending`] until it
    /// is open, and then wait until the fold has reached its last position again.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        self.replace(false)
    }

    /// Sets the damaged file aside and makes a new one, otherwise like [`reopen`](Self::reopen).
    pub(super) fn renew(&self) -> Result<(), StoreError> {
        self.replace(true)
    }

    fn replace(&self, damaged: bool) -> Result<(), StoreError> {
        let position = self.position();
        self.shown.fetch_max(position.get(), Ordering::Relaxed);
        self.owe(position);
        let path = self.path.as_deref().ok_or(StoreError::Mending)?;
        // Not locked while the file is closed and opened, which can take long.
        let failed = self.slot().take();
        if let Err(panic) = guarded(|| drop(failed)) {
            tracing::warn!("the read model's file was not closed properly: {panic}");
        }
        if damaged {
            set_aside(path)?;
        }
        let (store, progress) = open_or_renew(path)?;
        // Before anybody can see the file.
        self.folded.send_replace(progress);
        *self.slot() = Some(Arc::new(store));
        Ok(())
    }

    fn slot(&self) -> RwLockWriteGuard<'_, Option<Arc<Store>>> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
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
fn open_or_renew(path: &Path) -> Result<(Store, Progress), StoreError> {
    let opened = open(path).or_else(|error| match error {
        // What the disk does not return once, it may return the next time.
        StoreError::Unreadable(_) => open(path),
        error => Err(error),
    });
    match opened {
        Err(error) if error.is_mended_by_a_rebuild() => {
            tracing::error!(
                "{}. The server now makes the read model again from the log",
                WithCauses(&error)
            );
            set_aside(path)?;
            open(path)
        }
        opened => opened,
    }
}

fn open(path: &Path) -> Result<(Store, Progress), StoreError> {
    let is_new = !path.exists();
    let opened = Store::open(path).and_then(|store| {
        let progress = *store.snapshot()?.progress();
        Ok((store, progress))
    });
    if is_new && opened.is_err() {
        // A half made file would look damaged, and would replace the damaged one that was set aside.
        drop(fs::remove_file(path));
    }
    opened
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn folded(projection: &Projection, position: u64) {
        let position = Position::new(position);
        let progress = Progress {
            position,
            ..Progress::default()
        };
        projection.publish(progress, position);
    }

    #[test]
    fn readers_see_the_last_state_of_a_fold_that_has_stopped_but_none_older_than_they_have_seen() {
        let dir = tempfile::tempdir().unwrap();
        let projection = Projection::open(&dir.path().join("model.redb")).unwrap();
        projection.owe(Position::new(7));
        assert!(matches!(
            projection.snapshot(),
            Err(StoreError::Behind { stopped: false, .. })
        ));
        projection.set_stopped();
        assert!(projection.snapshot().is_ok());

        folded(&projection, 5);
        projection.renew().unwrap();
        assert!(matches!(
            projection.snapshot(),
            Err(StoreError::Behind { stopped: true, owed, .. }) if owed == Position::new(5)
        ));
    }

    #[test]
    fn a_file_that_is_opened_again_keeps_the_damaged_one_that_was_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model.redb");
        let projection = Projection::open(&model).unwrap();
        let inode = |file: &Path| fs::metadata(file).unwrap().ino();
        let damaged = inode(&model);
        projection.renew().unwrap();
        projection.reopen().unwrap();
        assert_eq!(inode(&dir.path().join("model.damaged.redb")), damaged);
    }
}
