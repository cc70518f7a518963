//! Writes a new log from the records of a backup, with the times that they had.
//!
//! The log of a server stamps records itself. Here the records bring their times along, because deadlines
//! follow from them.

use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::codec;
use super::store::RECORDS;
use crate::domain::limits::LOG_CACHE_BYTES;
use crate::domain::{Position, Timestamp};
use crate::log::{LogError, NewRecord};

/// A new log that is not complete yet. Its functions block.
pub struct EmbeddedRestore {
    database: Database,
    head: Position,
}

impl EmbeddedRestore {
    /// Creates the file of a new log. Fails if it exists.
    pub fn create(file: &Path) -> Result<Self, LogError> {
        let taken = std::fs::File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(file)
            .map_err(LogError::unavailable)?;
        let database = Builder::new()
            .set_cache_size(LOG_CACHE_BYTES)
            .create_with_backend(FileBackend::new(taken).map_err(LogError::unavailable)?)
            .map_err(LogError::unavailable)?;
        Ok(Self {
            database,
            head: Position::ZERO,
        })
    }

    /// Writes the next records in one durable transaction, each with its time. Times may go back, as the
    /// clock of the first log may have. Fails if a record is too large for any log.
    pub fn write(&mut self, records: &[(NewRecord, Timestamp)]) -> Result<(), LogError> {
        let mut txn = self.database.begin_write().map_err(LogError::unavailable)?;
        // The file then opens at once.
        txn.set_quick_repair(true);
        {
            let mut table = txn.open_table(RECORDS).map_err(LogError::unavailable)?;
            for (record, recorded_at) in records {
                let position = self.head.next();
                let len_bytes = codec::encoded_len(record).ok_or_else(|| {
                    LogError::damaged(format!("the record for position {position} is too large"))
                })?;
                let mut slot = table
                    .insert_reserve(position.get(), len_bytes)
                    .map_err(LogError::unavailable)?;
                codec::encode(position, record, *recorded_at, slot.as_mut());
                self.head = position;
            }
        }
        txn.commit().map_err(LogError::unavailable)
    }
}
