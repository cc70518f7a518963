//! The files of a data directory. Only this module knows their names.
//!
//! ```text
//! log.redb                        the built-in log
//! admin.redb                      the built-in log of the keys
//! keys.seen                       how far the server has read the log of the keys
//! model.redb                      the read model
//! history.redb                    its history: which sessions were listed where at each position
//! token.secret                    the secret that session tokens are made from
//! model.damaged.redb              the last read model that the server could not use and made again
//! model.rebuild.redb              the new read model of a rebuild that runs or was interrupted
//! model.replaced-<position>.redb  the old read model that a rebuild replaced and kept
//! model.replaced-<position>.json  why the rebuild kept it
//! restoring.<log>.redb            a log of a restore that runs or was interrupted: without log.redb, no log
//!                                 is opened here
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::LogKind;
use crate::domain::Position;

/// Removes a file, unless there is none.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A data directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The data directory at a path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory and its missing parents, accessible to this user only. Does not change
    /// an existing directory.
    pub fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let is_new = !self.0.exists();
        builder.create(&self.0)?;
        if is_new && let Some(parent) = self.0.canonicalize()?.parent() {
            // Without this, the directory can lose its name when the power fails. A parent that this user may
            // not read cannot be synced.
            File::open(parent).map_or(Ok(()), |parent| parent.sync_all())?;
        }
        Ok(())
    }

    /// The built-in log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.redb")
    }

    /// The built-in log of the keys.
    pub fn admin_log(&self) -> PathBuf {
        self.0.join("admin.redb")
    }

    /// How far the server has read the log of the keys.
    pub fn keys_seen(&self) -> PathBuf {
        self.0.join("keys.seen")
    }

    /// The read model.
    pub fn model(&self) -> PathBuf {
        self.0.join("model.redb")
    }

    /// The history of the read model.
    pub fn history(&self) -> PathBuf {
        self.0.join("history.redb")
    }

    /// The secret that session tokens are made from.
    pub fn token_secret(&self) -> PathBuf {
        self.0.join("token.secret")
    }

    /// The new read model of a rebuild.
    pub fn rebuilding(&self) -> PathBuf {
        self.0.join("model.rebuild.redb")
    }

    /// A new log of a restore.
    pub fn restoring(&self, kind: LogKind) -> PathBuf {
        self.0.join(format!("restoring.{}.redb", kind.as_str()))
    }

    /// Removes the new logs of a restore, or their first names if they have others. An error comes with the
    /// file.
    pub fn clear_restore(&self) -> Result<(), (PathBuf, io::Error)> {
        for kind in LogKind::ALL {
            let file = self.restoring(kind);
            // Synced, because a name that came back after a power failure would be one of a live log.
            remove(&file)
                .and_then(|()| self.sync())
                .map_err(|error| (file, error))?;
        }
        Ok(())
    }

    /// Locks the directory for a restore, until the returned file is closed. Leaves no file behind.
    pub fn lock(&self) -> Result<File, TryLockError> {
        let dir = File::open(&self.0).map_err(TryLockError::Error)?;
        dir.try_lock()?;
        Ok(dir)
    }

    /// Whether a restore has locked the directory.
    pub fn is_locked(&self) -> bool {
        let locked = |dir: File| matches!(dir.try_lock_shared(), Err(TryLockError::WouldBlock));
        File::open(&self.0).is_ok_and(locked)
    }

    /// Returns two unused names: for an old read model that a rebuild keeps, and for the reasons.
    pub fn replaced(&self, position: Position) -> (PathBuf, PathBuf) {
        let names = |suffix: &str| {
            let name = format!("model.replaced-{position}{suffix}");
            let file = |kind: &str| self.0.join(format!("{name}.{kind}"));
            (file("redb"), file("json"))
        };
        let (mut found, mut number) = (names(""), 1);
        while found.0.exists() || found.1.exists() {
            number += 1;
            found = names(&format!("-{number}"));
        }
        found
    }

    /// Syncs the directory, so that created, renamed and deleted files survive a power failure.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
