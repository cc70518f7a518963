//! The redb file: one table from position to encoded record, written in the order of positions.
//!
//! Every function blocks. The callers run on the blocking pool or on the writer's thread. No
//! transaction outlives its function.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition,
};

use super::codec;
use crate::domain::causes::{BoxError, because};
use crate::domain::limits::{LOG_CACHE_BYTES, LOG_READ_BYTES_MAX, LOG_ROOM_BYTES_MIN};
use crate::domain::{Position, Timestamp};
use crate::log::{Guard, LogError, NewRecord, Record};
use crate::storage::{self, Failure, Health, Watched, guarded, room};

/// From position to encoded record, see [`codec`].
pub(super) const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");

/// Stands for the path of a log that is not in a file.
const NO_FILE: &str = "(no file)";

/// Opens the database, also again after a failure.
type Opener = Box<dyn Fn(&Health) -> Result<Database, LogError> + Send + Sync>;

/// The file.
pub(super) struct Store {
    /// The path, device and inode of the open file; `None` if the storage is not a file.
    place: Option<(PathBuf, (u64, u64))>,
    opener: Opener,
    /// `None` once the file is closed, or if it could not be opened again.
    open: RwLock<Option<Open>>,
}

/// The open database and the health of its file.
struct Open {
    database: Database,
    health: Health,
}

/// The last record of the log: its position and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) head: Position,
    pub(super) recorded_at: Timestamp,
}

impl Store {
    /// Opens the file. Creates it and its directory if they do not exist. Writes nothing to an existing
    /// log, so that it opens on a full disk.
    pub(super) fn open(file: &Path) -> Result<(Self, End), LogError> {
        let dir = dir_of(file);
        fs::create_dir_all(dir).map_err(LogError::unavailable)?;
        if !file.exists() {
            create(file, dir)?;
        }
        let path = file.to_path_buf();
        let opener: Opener = Box::new(move |health| open_file(&path, health));
        let (open, end) = Open::of(file, &opener)?;
        let identity = identity(file).map_err(LogError::unavailable)?;
        let store = Self {
            place: Some((file.to_path_buf(), identity)),
            opener,
            open: RwLock::new(Some(open)),
        };
        Ok((store, end))
    }

    /// Opens a log on any storage.
    pub(super) fn open_on<B: StorageBackend>(
        storage: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<(Self, End), LogError> {
        let opener: Opener = Box::new(move |health| {
            create_with(storage(), health).map_err(|error| open_error(error, Path::new(NO_FILE)))
        });
        let (open, end) = Open::of(Path::new(NO_FILE), &opener)?;
        let store = Self {
            place: None,
            opener,
            open: RwLock::new(Some(open)),
        };
        Ok((store, end))
    }

    /// Opens the file again after a failure, because redb does not use a file after its first failure.
    /// Readers wait until it is open. If this fails, the file stays closed. Call this only while the file
    /// is in its place.
    pub(super) fn reopen(&self) -> Result<End, LogError> {
        let mut slot = self.open.write().unwrap_or_else(PoisonError::into_inner);
        close(slot.take());
        let (open, end) = Open::of(self.path(), &self.opener)?;
        *slot = Some(open);
        Ok(end)
    }

    /// The first failure of the open file.
    pub(super) fn failure(&self) -> Option<Failure> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().and_then(|open| open.health.failure())
    }

    /// Whether the file must be opened again before it is used.
    pub(super) fn has_failed(&self) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref()
            .is_none_or(|open| open.health.failure().is_some())
    }

    /// Whether the disk has room for a group of records.
    pub(super) fn has_room(&self) -> bool {
        let Some((path, _)) = &self.place else {
            return true;
        };
        room::has(dir_of(path), LOG_ROOM_BYTES_MIN)
    }

    /// Whether the path still leads to the open file. Records in a file that was removed or replaced are
    /// lost when the process ends.
    pub(super) fn is_in_place(&self) -> bool {
        let Some((path, opened)) = &self.place else {
            return true;
        };
        match identity(path) {
            Ok(found) => found == *opened,
            // Other errors say nothing about the file.
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// Writes records after `head` in one durable transaction.
    ///
    /// Fails as `Unconfirmed` if the commit failed, or as `Damaged` if redb finds damage: the records may
    /// have been written. If it fails as `Unavailable`, nothing was written.
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
                let mut table = txn.open_table(RECORDS).map_err(table_error)?;
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
            let table = txn.open_table(RECORDS).map_err(table_error)?;
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
            let table = txn.open_table(RECORDS).map_err(table_error)?;
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
            let table = txn.open_table(RECORDS).map_err(table_error)?;
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
        let mut slot = self.open.write().unwrap_or_else(PoisonError::into_inner);
        close(slot.take());
    }

    fn path(&self) -> &Path {
        let path = self.place.as_ref().map(|(path, _)| path.as_path());
        path.unwrap_or(Path::new(NO_FILE))
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, LogError>) -> Result<T, LogError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let database = &open.as_ref().ok_or_else(LogError::closed)?.database;
        guarded(|| work(database)).unwrap_or_else(|panic| Err(damaged_file(self.path(), panic)))
    }
}

impl Open {
    fn of(path: &Path, open: &Opener) -> Result<(Self, End), LogError> {
        let health = Health::default();
        let opened = guarded(|| {
            let database = open(&health)?;
            let end = prepare(&database)?;
            Ok((database, end))
        });
        let opened = opened.unwrap_or_else(|panic| Err(damaged_file(path, panic)));
        let (database, end) = opened.map_err(|error| match health.failure() {
            Some(Failure::Sync(why)) => LogError::NotSynced(why),
            Some(Failure::Damaged(_)) | None => error,
            // redb's own error may call it damage.
            Some(failure) => {
                LogError::unavailable(because(format!("cannot open {}", path.display()), failure))
            }
        })?;
        Ok((Self { database, health }, end))
    }
}

/// Makes an empty log. The file gets its name when it is complete: if the power fails before, the next
/// start makes another one.
fn create(file: &Path, dir: &Path) -> Result<(), LogError> {
    let mut new = tempfile::Builder::new();
    // Who else may read it, the umask says.
    new.prefix(".new-")
        .permissions(Permissions::from_mode(0o666));
    let new = new.tempfile_in(dir).map_err(LogError::unavailable)?;
    let database = open_file(new.path(), &Health::default())?;
    prepare(&database)?;
    drop(database);
    match new.persist_noclobber(file) {
        Ok(_) => {}
        // Another process has just made one.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(LogError::unavailable(error.error)),
    }
    // Without this, the file can lose its name when the power fails.
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(LogError::unavailable)
}

fn open_file(path: &Path, health: &Health) -> Result<Database, LogError> {
    let file = File::options().read(true).write(true).open(path);
    let file =
        file.map_err(|error| LogError::unavailable(because(storage::not_opened(path), error)))?;
    let backend = FileBackend::new(file).map_err(LogError::unavailable)?;
    create_with(backend, health).map_err(|error| open_error(error, path))
}

fn create_with(storage: impl StorageBackend, health: &Health) -> Result<Database, DatabaseError> {
    Builder::new()
        .set_cache_size(LOG_CACHE_BYTES)
        .create_with_backend(Watched::new(storage, health.clone()))
}

/// Closes a database. Closing writes, so it can fail like any write on a damaged file.
fn close(open: Option<Open>) {
    if let Err(panic) = guarded(|| drop(open)) {
        tracing::warn!("the file of the log was not closed properly: {panic}");
    }
}

fn dir_of(file: &Path) -> &Path {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}

fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Finds the last record. Creates the table if it does not exist.
fn prepare(database: &Database) -> Result<End, LogError> {
    let txn = database.begin_read().map_err(LogError::unavailable)?;
    match txn.open_table(RECORDS) {
        Ok(table) => return last(&table),
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(table_error(error)),
    }
    let mut txn = database.begin_write().map_err(LogError::unavailable)?;
    txn.set_quick_repair(true);
    let end = last(&txn.open_table(RECORDS).map_err(table_error)?)?;
    txn.commit().map_err(LogError::unavailable)?;
    Ok(end)
}

fn last(records: &impl ReadableTable<u64, &'static [u8]>) -> Result<End, LogError> {
    let Some((key, value)) = records.last().map_err(storage_error)? else {
        return Ok(End {
            head: Position::ZERO,
            recorded_at: Timestamp::MIN,
        });
    };
    let head = Position::new(key.value());
    let recorded_at = codec::decode_recorded_at(head, value.value())?;
    Ok(End { head, recorded_at })
}

fn open_error(error: DatabaseError, file: &Path) -> LogError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LogError::Held(file.to_path_buf()),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != ErrorKind::InvalidData =>
        {
            LogError::unavailable(because(format!("cannot open {}", file.display()), error))
        }
        error => damaged_file(file, error),
    }
}

fn table_error(error: redb::TableError) -> LogError {
    match error {
        redb::TableError::Storage(error) => storage_error(error),
        error => LogError::damaged(error),
    }
}

fn storage_error(error: redb::StorageError) -> LogError {
    match error {
        redb::StorageError::Corrupted(_) => LogError::damaged(error),
        error => LogError::unavailable(error),
    }
}

/// The error of a file that redb cannot read.
fn damaged_file(file: &Path, cause: impl Into<BoxError>) -> LogError {
    LogError::damaged(because(
        format!(
            "the file {} cannot be read: restore it from a backup; a copy that was taken while a \
             server wrote the file is no backup",
            file.display()
        ),
        cause,
    ))
}

fn missing(position: Position) -> LogError {
    LogError::damaged(format!(
        "there is no record at position {position}, although the log goes on"
    ))
}
