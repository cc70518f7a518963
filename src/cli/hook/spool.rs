//! The spool: a directory with the events that the ledger does not have yet.
//!
//! | file | content |
//! |---|---|
//! | `events.ndjson` | the events, one on a line, in the order in which the hooks were called |
//! | `runs.json` | the runs of sessions that are known |
//! | `lock` | locked while a process reads or writes these files |
//! | `sending` | locked while a process sends: one at a time, so that the events keep their order. It has a byte for each event that is on its way |
//!
//! The system releases the lock of a process that is killed. A record that a killed process has not
//! written completely is no JSON, and is skipped. If the spool is full, it keeps what it has and the new
//! events are lost: the older ones open the sessions that newer ones are about.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::de::IgnoredAny;
use tokio::time::{Instant, sleep};

use crate::domain::limits::{HOOK_LOCK_RETRY_MS, HOOK_LOCK_WAIT_MS, HOOK_SPOOL_BYTES_MAX};
use crate::hooks::Runs;

/// A spool.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
}

/// A spool that no other process reads or writes. Dropping this releases it.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    spool: &'a Spool,
    _lock: File,
}

/// The turn to send. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Turn(File);

/// The first events of a spool.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// The events.
    pub(super) events: Vec<String>,
    /// The end of each event in the file, in bytes.
    ends: Vec<usize>,
    /// The end of the lines that were read. Damaged lines are no events, but count here.
    end: usize,
}

impl Spool {
    /// Opens a spool, and creates its directory. Only the user may read it.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("cannot create the spool {}", dir.display()))?;
        // It may be older than this program, or come from a backup.
        fs::set_permissions(dir, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot make the spool {} private", dir.display()))?;
        let dir = dir.to_owned();
        Ok(Self { dir })
    }

    /// Waits until no other process reads or writes the files.
    pub(super) async fn lock(&self) -> anyhow::Result<Locked<'_>> {
        let ends = Instant::now() + Duration::from_millis(HOOK_LOCK_WAIT_MS);
        loop {
            if let Some(lock) = self.try_lock("lock")? {
                return Ok(Locked {
                    spool: self,
                    _lock: lock,
                });
            }
            if ends <= Instant::now() {
                bail!("the spool {} stays locked", self.dir.display());
            }
            pause().await;
        }
    }

    /// Waits for the turn to send.
    pub(super) async fn turn(&self) -> anyhow::Result<Turn> {
        loop {
            if let Some(turn) = self.try_lock("sending")? {
                return Ok(Turn(turn));
            }
            pause().await;
        }
    }

    fn try_lock(&self, name: &str) -> anyhow::Result<Option<File>> {
        let path = self.dir.join(name);
        let named = || format!("cannot lock {}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(named)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(named),
        }
    }

    fn events(&self) -> PathBuf {
        self.dir.join("events.ndjson")
    }

    fn read_if_there(&self, name: &str) -> io::Result<Vec<u8>> {
        match fs::read(self.dir.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// Replaces a file, in one step.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        let replaced = fs::write(&new, bytes).and_then(|()| fs::rename(&new, self.dir.join(name)));
        if replaced.is_err() {
            // A part of it would take the room of a full disk.
            drop(fs::remove_file(&new));
        }
        replaced
    }
}

impl Turn {
    /// How many of the first events were on their way when the process that sent before was stopped.
    pub(super) fn cut(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.0.metadata()?.len()).unwrap_or(usize::MAX))
    }

    /// Notes how many of the first events are on their way.
    pub(super) fn sends(&self, count: usize) -> io::Result<()> {
        self.0.set_len(u64::try_from(count).unwrap_or(0))
    }
}

impl Locked<'_> {
    /// Appends events. Returns false if there is no room for them.
    pub(super) fn append(&self, events: &[&str]) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .read(true)
            .append(true)
            .open(self.spool.events())?;
        let before = file.metadata()?.len();
        let mut text = String::new();
        if 0 < before {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A killed process has left a part of a record.
                text.push('\n');
            }
        }
        for event in events {
            text.push_str(event);
            text.push('\n');
        }
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if HOOK_SPOOL_BYTES_MAX < before.saturating_add(added) {
            return Ok(false);
        }
        file.write_all(text.as_bytes())?;
        Ok(true)
    }

    /// Reads the first events, at most so many.
    pub(super) fn first(&self, most: usize) -> io::Result<Batch> {
        let bytes = self.spool.read_if_there("events.ndjson")?;
        Ok(Batch::of(&bytes, most))
    }

    /// Removes the events before this place in the file.
    pub(super) fn remove(&self, end: usize) -> io::Result<()> {
        let bytes = self.spool.read_if_there("events.ndjson")?;
        match bytes.get(end..) {
            Some(left) if !left.is_empty() => match self.spool.replace("events.ndjson", left) {
                Ok(()) => Ok(()),
                // A full disk has no room for a shorter file beside the old one.
                Err(_full) => self.blank(end),
            },
            Some(_) | None => match fs::remove_file(self.spool.events()) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }

    /// Overwrites the events before this place by empty lines, which are skipped.
    fn blank(&self, end: usize) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.spool.events())?;
        file.write_all(&vec![b'\n'; end])
    }

    /// The runs of sessions that are known.
    pub(super) fn runs(&self) -> Runs {
        // If they cannot be read, they are found again by the verdicts.
        let bytes = self.spool.read_if_there("runs.json").unwrap_or_default();
        Runs::decode(&bytes)
    }

    /// Saves the runs.
    pub(super) fn save(&self, runs: &Runs) -> io::Result<()> {
        self.spool.replace("runs.json", &runs.encode())
    }
}

impl Batch {
    fn of(bytes: &[u8], most: usize) -> Self {
        let mut batch = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if most <= batch.events.len() {
                break;
            }
            batch.end += line.len();
            let event = std::str::from_utf8(line).unwrap_or_default().trim_end();
            let is_event =
                event.starts_with('{') && serde_json::from_str::<IgnoredAny>(event).is_ok();
            if is_event {
                batch.events.push(event.to_owned());
                batch.ends.push(batch.end);
            }
        }
        batch
    }

    /// Whether the spool has nothing, not even damaged lines.
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// The place in the file after the first `count` events.
    pub(super) fn end_of(&self, count: usize) -> usize {
        if self.events.len() <= count {
            return self.end;
        }
        let before = count.checked_sub(1).and_then(|last| self.ends.get(last));
        before.copied().unwrap_or(0)
    }
}

async fn pause() {
    sleep(Duration::from_millis(HOOK_LOCK_RETRY_MS)).await;
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
