//! The redb file: one table from position to encoded record, written in key order only.
//!
//! Every function blocks, so the callers run on the blocking pool or on the writer's own thread,
//! and no transaction outlives its function.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::codec;
use crate::domain::limits::{LOG_CACHE_BYTES, LOG_READ_BYTES_MAX};
use crate::domain::{Position, Timestamp};
use crate::log::{LogError, NewRecord, Record};

/// Position to encoded record, see [`codec`].
const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");

/// The open file, or nothing once it is closed.
pub(super) struct Store {
    database: RwLock<Option<Database>>,
}

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) head: Position,
    pub(super) recorded_at: Timestamp,
}

impl Store {
    /// Opens or creates the file and its directory.
    pub(super) fn open(file: &Path) -> Result<(Self, End), LogError> {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(|error| unavailable(&error))?;
        let created = !file.exists();
        let database = Builder::new()
            .set_cache_size(LOG_CACHE_BYTES)
            .create(file)
            .map_err(|error| open_error(error, file))?;
        if created {
            // Without it, power loss may take the name of the file, and all it holds, away.
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| unavailable(&error))?;
        }
        let end = prepare(&database)?;
        Ok((
            Self {
                database: RwLock::new(Some(database)),
            },
            end,
        ))
    }

    /// Writes records after `head` in one durable transaction.
    ///
    /// Fails as `Unavailable` as long as nothing can have been written, and as `Unconfirmed` if
    /// the commit itself failed.
    pub(super) fn write<'a>(
        &self,
        head: Position,
        records: impl Iterator<Item = (&'a NewRecord, usize)>,
        recorded_at: Timestamp,
    ) -> Result<(), LogError> {
        self.with(|database| {
            let mut txn = database
                .begin_write()
                .map_err(|error| unavailable(&error))?;
            // Saves the allocator's state with each commit: after a crash the file opens at once.
            txn.set_quick_repair(true);
            {
                let mut table = txn
                    .open_table(RECORDS)
                    .map_err(|error| unavailable(&error))?;
                let mut position = head;
                for (record, len_bytes) in records {
                    position = position.next();
                    let mut slot = table
                        .insert_reserve(position.get(), len_bytes)
                        .map_err(|error| storage_error(&error))?;
                    codec::encode(record, recorded_at, slot.as_mut());
                }
            }
            txn.commit()
                .map_err(|error| LogError::Unconfirmed(error.to_string()))
        })
    }

    /// The records at positions that exist, in order, up to a bound of bytes; at least one.
    pub(super) fn read(&self, range: RangeInclusive<Position>) -> Result<Vec<Record>, LogError> {
        let (first, last) = (range.start().get(), range.end().get());
        self.with(|database| {
            let txn = database.begin_read().map_err(|error| unavailable(&error))?;
            let table = txn
                .open_table(RECORDS)
                .map_err(|error| unavailable(&error))?;
            let mut records = Vec::with_capacity(usize::try_from(last - first + 1).unwrap_or(0));
            let mut bytes_left = LOG_READ_BYTES_MAX;
            let mut expected = *range.start();
            for entry in table
                .range(first..=last)
                .map_err(|error| storage_error(&error))?
            {
                let (key, value) = entry.map_err(|error| storage_error(&error))?;
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

    /// The records at positions that exist, in the order asked for.
    pub(super) fn get(&self, positions: &[Position]) -> Result<Vec<Record>, LogError> {
        self.with(|database| {
            let txn = database.begin_read().map_err(|error| unavailable(&error))?;
            let table = txn
                .open_table(RECORDS)
                .map_err(|error| unavailable(&error))?;
            let get_one = |position: &Position| {
                let value = table
                    .get(position.get())
                    .map_err(|error| storage_error(&error))?;
                let value = value.ok_or_else(|| missing(*position))?;
                codec::decode(*position, value.value())
            };
            positions.iter().map(get_one).collect()
        })
    }

    /// Closes the file and gives up its lock. What comes later is `Unavailable`.
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
        let database = database.as_ref().ok_or_else(closed)?;
        work(database)
    }
}

/// What a caller of a closed log gets.
pub(super) fn closed() -> LogError {
    LogError::Unavailable("it was closed".to_owned())
}

/// Creates the table, and finds the last record.
fn prepare(database: &Database) -> Result<End, LogError> {
    let txn = database
        .begin_write()
        .map_err(|error| unavailable(&error))?;
    let end = {
        let table = txn
            .open_table(RECORDS)
            .map_err(|error| unavailable(&error))?;
        match table.last().map_err(|error| storage_error(&error))? {
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
    txn.commit().map_err(|error| unavailable(&error))?;
    Ok(end)
}

fn open_error(error: DatabaseError, file: &Path) -> LogError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LogError::Held(file.to_path_buf()),
        DatabaseError::Storage(error) => storage_error(&error),
        error => unavailable(&error),
    }
}

fn storage_error(error: &redb::StorageError) -> LogError {
    match error {
        redb::StorageError::Corrupted(what) => LogError::Damaged(what.clone()),
        error => unavailable(error),
    }
}

fn unavailable(error: &impl ToString) -> LogError {
    LogError::Unavailable(error.to_string())
}

fn missing(position: Position) -> LogError {
    LogError::Damaged(format!(
        "there is no record at position {position}, before the last one"
    ))
}
