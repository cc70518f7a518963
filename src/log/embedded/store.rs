//! The redb file: one table from position to encoded record, written in the order of positions.
//!
//! Every function blocks. The callers run on the blocking pool or on the writer's thread. No
//! transaction outlives its function.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::codec;
use crate::domain::limits::{LOG_CACHE_BYTES, LOG_READ_BYTES_MAX};
use crate::domain::{Position, Timestamp};
use crate::log::{Guard, LogError, NewRecord, Record};

/// From position to encoded record, see [`codec`].
pub(super) const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");

/// The file. The database is `None` once it is closed.
pub(super) struct Store {
    path: PathBuf,
    /// The device and inode of the open file.
    identity: (u64, u64),
    database: RwLock<Option<Database>>,
}

/// The last record of the log: its position and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) head: Position,
    pub(super) recorded_at: Timestamp,
}

impl Store {
    /// Opens the file. Creates it and its directory if they do not exist.
    pub(super) fn open(file: &Path) -> Result<(Self, End), LogError> {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(LogError::unavailable)?;
        let created = !file.exists();
        let database = Builder::new()
            .set_cache_size(LOG_CACHE_BYTES)
            .create(file)
            .map_err(|error| open_error(error, file))?;
        if created {
            // Without this, the file can lose its name when the power fails.
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(LogError::unavailable)?;
        }
        let end = prepare(&database)?;
        let store = Self {
            path: file.to_path_buf(),
            identity: identity(file).map_err(LogError::unavailable)?,
            database: RwLock::new(Some(database)),
        };
        Ok((store, end))
    }

    /// Whether the path still leads to the open file. Records in a file that was removed or replaced are
    /// lost when the process ends.
    pub(super) fn is_in_place(&self) -> bool {
        match identity(&self.path) {
            Ok(found) => found == self.identity,
            // Other errors say nothing about the file.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    /// Writes records after `head` in one durable transaction.
    ///
    /// Fails as `Unconfirmed` if the commit failed: the records may have been written. Before the
    /// commit it fails as `Unavailable` or `Damaged`, and nothing was written.
    pub(super) fn write<'a>(
        &self,
        head: Position,
        records: impl Iterator<Item = (&'a NewRecord, usize)>,
        recorded_at: Timestamp,
    ) -> Result<(), LogError> {
        self.with(|database| {
            let mut txn = database.begin_write().map_err(LogError::unavailable)?;
            // Saves the allocator's state with each commit, so the file opens at once after a crash.
            txn.set_quick_repair(true);
            {
                let mut table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
                let mut position = head;
                for (record, len_bytes) in records {
                    position = position.next();
                    let mut slot = table
                        .insert_reserve(position.get(), len_bytes)
                        .map_err(storage_error)?;
                    codec::encode(position, record, recorded_at, slot.as_mut());
                }
            }
            txn.commit().map_err(LogError::unconfirmed)
        })
    }

    /// Returns the records of a range of positions that exist. Stops after `LOG_READ_BYTES_MAX` bytes,
    /// but returns at least one record.
    pub(super) fn read(&self, range: RangeInclusive<Position>) -> Result<Vec<Record>, LogError> {
        let (first, last) = (range.start().get(), range.end().get());
        self.with(|database| {
            let txn = database.begin_read().map_err(LogError::unavailable)?;
            let table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
            let mut records = Vec::with_capacity(usize::try_from(last - first + 1).unwrap_or(0));
            let mut bytes_left = LOG_READ_BYTES_MAX;
            let mut expected = *range.start();
            for entry in table.range(first..=last).map_err(storage_error)? {
                let (key, value) = entry.map_err(storage_error)?;
                let found = Position::new(key.value());
                if found != expected {
                    return Err(LogError::Gap {
                        after: Position::new(expected.get() - 1),
                        found,
                    });
                }
                expected = found.next();
                records.push(codec::decode(found, value.value())?);
                bytes_left = bytes_left.saturating_sub(value.value().len());
                if bytes_left == 0 {
                    break;
                }
            }
            if records.is_empty() {
                return Err(missing(*range.start()));
            }
            Ok(records)
        })
    }

    /// Whether a record up to `head` is on the guard's subjects and unknown to the caller. Takes longer
    /// the more records the caller has not read.
    pub(super) fn has_unread(&self, guard: &Guard, head: Position) -> Result<bool, LogError> {
        let first = guard.first_unread();
        if head < first {
            return Ok(false);
        }
        self.with(|database| {
            let txn = database.begin_read().map_err(LogError::unavailable)?;
            let table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
            for entry in table
                .range(first.get()..=head.get())
                .map_err(storage_error)?
            {
                let (key, value) = entry.map_err(storage_error)?;
                if guard.covers(codec::decode_subject(
                    Position::new(key.value()),
                    value.value(),
                )?) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Returns the records at positions that exist, in the order of the request.
    pub(super) fn get(&self, positions: &[Position]) -> Result<Vec<Record>, LogError> {
        self.with(|database| {
            let txn = database.begin_read().map_err(LogError::unavailable)?;
            let table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
            let get_one = |position: &Position| {
                let value = table.get(position.get()).map_err(storage_error)?;
                let value = value.ok_or_else(|| missing(*position))?;
                codec::decode(*position, value.value())
            };
            positions.iter().map(get_one).collect()
        })
    }

    /// Closes the file and releases its lock. Later calls fail as `Unavailable`.
    pub(super) fn close(&self) {
        drop(
            self.database
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(LogError::closed)?;
        work(database)
    }
}

fn identity(file: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Creates the table if it does not exist, and finds the last record.
fn prepare(database: &Database) -> Result<End, LogError> {
    let txn = database.begin_write().map_err(LogError::unavailable)?;
    let end = {
        let table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
        match table.last().map_err(storage_error)? {
            None => End {
                head: Position::ZERO,
                recorded_at: Timestamp::MIN,
            },
            Some((key, value)) => {
                let head = Position::new(key.value());
                let recorded_at = codec::decode_recorded_at(head, value.value())?;
                End { head, recorded_at }
            }
        }
    };
    txn.commit().map_err(LogError::unavailable)?;
    Ok(end)
}

fn open_error(error: DatabaseError, file: &Path) -> LogError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LogError::Held(file.to_path_buf()),
        DatabaseError::Storage(error) => storage_error(error),
        error => LogError::unavailable(error),
    }
}

fn storage_error(error: redb::StorageError) -> LogError {
    match error {
        redb::StorageError::Corrupted(_) => LogError::damaged(error),
        error => LogError::unavailable(error),
    }
}

fn missing(position: Position) -> LogError {
    LogError::damaged(format!(
        "there is no record at position {position}, although the log goes on"
    ))
}
