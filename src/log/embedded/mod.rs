//! The built-in log of one machine: a redb file in the data directory, with group commit.
//!
//! An acknowledged record was fsynced. One process holds the file at a time.
#![warn(clippy::indexing_slicing)]

mod codec;
mod store;
mod tail;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::domain::{Clock, Position};
use crate::log::{Appended, EventLog, LogError, NewRecord, Record, Tail};
use store::Store;
use tail::EmbeddedTail;
use writer::{Command, Started};

/// The log in a file. Dropping it closes it as [`EmbeddedLog::close`] does, but blocks.
pub struct EmbeddedLog {
    store: Arc<Store>,
    commands: mpsc::Sender<Command>,
    head: watch::Receiver<Position>,
    broken: Arc<OnceLock<String>>,
    /// Nothing once closed.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in a file, or creates it and its directory. Blocks for some milliseconds.
    pub fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let (store, end) = Store::open(file)?;
        let store = Arc::new(store);
        let Started {
            thread,
            commands,
            head,
            broken,
        } = writer::start(Arc::clone(&store), end, clock)?;
        Ok(Self {
            store,
            commands,
            head,
            broken,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Finishes the appends under way, then closes the file. Later calls are `Unavailable`.
    pub async fn close(&self) {
        // Fails only if the writer has stopped, which is what is asked for.
        drop(self.commands.send(Command::Close).await);
        let (store, thread) = (Arc::clone(&self.store), self.take_thread());
        let closed = blocking(move || {
            join(thread);
            store.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::error!(error = %error, "the log did not close");
        }
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The writer stops when the last sender is gone: replace ours by one that leads nowhere.
        drop(std::mem::replace(&mut self.commands, mpsc::channel(1).0));
        join(self.take_thread());
        self.store.close();
    }
}

impl EventLog for EmbeddedLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        writer::append(&self.commands, records).boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            let head = self.known_head();
            if let Some(after) = positions.iter().copied().find(|position| head < *position) {
                return Err(LogError::Truncated { head, after });
            }
            let store = Arc::clone(&self.store);
            blocking(move || store.get(&positions)).await
        }
        .boxed()
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        async move {
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
        // No other process can append, so what this one knows is what the log says.
        async move { Ok(self.known_head()) }.boxed()
    }

    fn known_head(&self) -> Position {
        *self.head.borrow()
    }

    fn refuses_writes(&self) -> Option<String> {
        self.broken.get().cloned()
    }
}

/// Runs work that blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("the log's writer panicked");
    }
}
