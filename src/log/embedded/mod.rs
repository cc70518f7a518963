//! The built-in log of a single ledger: a redb file in the data directory, with group commit.
//!
//! A record is acknowledged after an fsync. One process holds the file at a time.
#![warn(clippy::indexing_slicing)]

pub(crate) mod codec;
mod refusal;
mod restore;
mod store;
mod tail;
mod writer;

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use redb::StorageBackend;
use tokio::sync::{mpsc, watch};

use crate::domain::limits::LOG_PROBE_MS;
use crate::domain::{Clock, Position, WithCauses};
use crate::log::{Appended, EventLog, Guard, LogError, NewRecord, Notice, Record, Tail};
use refusal::Refusal;
pub use restore::EmbeddedRestore;
use store::{End, Store};
use tail::EmbeddedTail;
use writer::{Job, Started};

/// The log in a file. Dropping it closes it too, but blocks the thread.
pub struct EmbeddedLog {
    store: Arc<Store>,
    jobs: mpsc::Sender<Job>,
    head: watch::Receiver<Position>,
    refusal: Arc<Refusal>,
    thread: Arc<WriterThread>,
}

impl EmbeddedLog {
    /// Opens the log in a file. Creates the file and its directory if they do not exist. Blocks the
    /// thread for some milliseconds.
    pub fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        Self::start(Store::open(file)?, clock)
    }

    /// Opens a log on any storage. With it, tests simulate failures of a disk. `storage` returns the storage,
    /// again after each failure.
    pub fn open_on<B: StorageBackend>(
        storage: impl Fn() -> B + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        Self::start(Store::open_on(storage)?, clock)
    }

    fn start((store, end): (Store, End), clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let store = Arc::new(store);
        let Started {
            thread,
            jobs,
            head,
            refusal,
        } = writer::start(Arc::clone(&store), end, clock)?;
        Ok(Self {
            store,
            jobs,
            head,
            refusal,
            thread: Arc::new(WriterThread(Mutex::new(Some(thread)))),
        })
    }

    /// Checks the file while nobody appends: whether it still exists, and, after a failure, whether it
    /// accepts records again.
    #[expect(clippy::infinite_loop, reason = "its type says that it never ends")]
    async fn keep_checking(&self) -> Infallible {
        loop {
            tokio::time::sleep(Duration::from_millis(LOG_PROBE_MS)).await;
            let store = Arc::clone(&self.store);
            let looked = blocking(move || Ok((store.is_in_place(), store.has_failed()))).await;
            let (in_place, has_failed) = looked.unwrap_or((true, false));
            if self.is_available() && !in_place {
                self.refusal.give_up(writer::LOST);
            }
            // A reader can find a failure of the file too.
            if self.refusal.may_end() || has_failed {
                // Fails if the queue is full: then the next append finds out.
                drop(self.jobs.try_send(Job::Probe));
            }
        }
    }

    fn require_open(&self) -> Result<(), LogError> {
        if self.is_available() {
            Ok(())
        } else {
            Err(LogError::closed())
        }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The writer stops when the last sender is dropped, so this puts another one in its place.
        drop(std::mem::replace(&mut self.jobs, mpsc::channel(1).0));
        self.thread.join();
        self.store.close();
    }
}

/// The writer's thread; `None` once it has ended.
struct WriterThread(Mutex<Option<JoinHandle<()>>>);

impl WriterThread {
    /// Waits until the thread has ended. Holds the lock until then, so that every caller waits: the store
    /// must not close under the writer.
    fn join(&self) {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}

impl EventLog for EmbeddedLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        writer::append(&self.jobs, records, None).boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        writer::append(&self.jobs, records, Some(guard)).boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            self.require_open()?;
            let head = self.known_head();
            if let Some(after) = positions.iter().copied().find(|position| head < *position) {
                return Err(LogError::Truncated { head, after });
            }
            let store = Arc::clone(&self.store);
            blocking(move || store.get(&positions)).await
        }
        .boxed()
    }

    /// The file is about as fast as memory.
    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.get(positions)
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        async move {
            self.require_open()?;
            let head = self.known_head();
            if head < after {
                return Err(LogError::Truncated { head, after });
            }
            let (store, head) = (Arc::clone(&self.store), self.head.clone());
            Ok(Box::new(EmbeddedTail { store, head, after }) as Box<dyn Tail>)
        }
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        // No other process can append, so this one always knows the head.
        async move {
            self.require_open()?;
            Ok(self.known_head())
        }
        .boxed()
    }

    fn known_head(&self) -> Position {
        *self.head.borrow()
    }

    fn is_available(&self) -> bool {
        // The writer closes the channel when the log is closed.
        !self.jobs.is_closed()
    }

    fn refuses_writes(&self) -> Option<String> {
        self.refusal.why()
    }

    fn watch(&self) -> BoxFuture<'_, LogError> {
        async move {
            tokio::select! {
                error = self.refusal.must_end() => error,
                never = self.keep_checking() => match never {},
            }
        }
        .boxed()
    }

    fn notify(&self, _notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        // No process can listen to a file.
        std::future::ready(true).boxed()
    }

    /// Writes the appends that are queued, then closes the file and releases its lock.
    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            // Fails only if the writer has stopped already.
            drop(self.jobs.send(Job::Close).await);
            let (store, thread) = (Arc::clone(&self.store), Arc::clone(&self.thread));
            let closed = blocking(move || {
                thread.join();
                store.close();
                Ok(())
            });
            if let Err(error) = closed.await {
                tracing::error!("the log did not close: {}", WithCauses(&error));
            }
        }
        .boxed()
    }
}

/// Runs blocking work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LogError::unavailable(error)))
}
