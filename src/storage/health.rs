//! What has failed in a file.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio::sync::watch;

/// The first failure of a file. redb uses the file no more after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The disk is full or writable no more. The file itself is sound: opened again, it goes on.
    #[error("the disk takes no more bytes ({0})")]
    NoRoom(String),
    /// A write failed for another reason.
    #[error("the file cannot be written ({0})")]
    Write(String),
    /// The disk did not return bytes. It may do so when the file is opened again, or never.
    #[error("the file cannot be read ({0})")]
    Read(String),
    /// A sync failed. The kernel may have dropped what it could not write, so no later sync proves
    /// anything: the process must end.
    #[error("the disk did not confirm a sync ({0})")]
    Sync(String),
    /// Stored bytes are not the ones that were written.
    #[error("stored bytes are not the ones that were written ({0})")]
    Damaged(String),
}

impl Failure {
    /// Classifies the error of a read.
    pub(super) fn of_read(error: &io::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged(text),
            _ => Self::Read(text),
        }
    }

    /// Classifies the error of a write.
    pub(super) fn of_write(error: &io::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            // `FileTooLarge` is a limit of the process (`ulimit -f`) or of the file system.
            ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::ReadOnlyFilesystem => Self::NoRoom(text),
            _ => Self::Write(text),
        }
    }
}

/// The health of a file, shared by the backend that uses it and by its owner.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Option<Failure>>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Health {
    /// The first failure, or the last failed sync, if there was one.
    pub fn failure(&self) -> Option<Failure> {
        self.0.borrow().clone()
    }

    /// Waits for a failure.
    pub async fn failed(&self) -> Failure {
        let mut changes = self.0.subscribe();
        let failed = changes.wait_for(Option::is_some).await;
        match failed.ok().and_then(|failure| failure.clone()) {
            Some(failure) => failure,
            // Cannot be: `self` keeps the sender.
            None => std::future::pending().await,
        }
    }

    /// Notes a failure, unless there was one before. A failed sync always counts, because it is worse than
    /// what came before it.
    pub fn note(&self, failure: Failure) {
        self.0.send_if_modified(|noted| {
            let counts = noted.is_none() || matches!(failure, Failure::Sync(_));
            if counts {
                *noted = Some(failure);
            }
            counts
        });
    }
}
