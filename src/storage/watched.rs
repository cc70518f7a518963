//! A backend of redb that notes the first failure of its file.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::health::{Failure, Health};

/// A backend that passes every call on, and notes the first failure.
#[derive(Debug)]
pub struct Watched<B> {
    inner: B,
    health: Health,
}

impl<B> Watched<B> {
    /// Watches a backend.
    pub fn new(inner: B, health: Health) -> Self {
        Self { inner, health }
    }

    fn note<T>(
        &self,
        result: io::Result<T>,
        failure: impl FnOnce(&io::Error) -> Failure,
    ) -> io::Result<T> {
        if let Err(error) = &result {
            self.health.note(failure(error));
        }
        result
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.note(self.inner.len(), Failure::of_read)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.inner.read(offset, out), Failure::of_read)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(self.inner.set_len(len), Failure::of_write)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.inner.sync_data();
        self.note(synced, |error| Failure::Sync(error.to_string()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(self.inner.write(offset, data), Failure::of_write)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
