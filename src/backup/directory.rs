//! A backup in a directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::{BackupError, FileFault};
use super::files;
use super::manifest::{Manifest, Origin, SecretPart};
use super::segment::{SUFFIX, SegmentWriter, Written};
use crate::domain::Timestamp;

const MANIFEST: &str = "manifest.json";
const SECRET: &str = "token.secret";

/// A backup in a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    manifest: Manifest,
    /// Held while the backup is written; `None` if it is only read.
    lock: Option<File>,
}

impl Directory {
    /// Opens a backup to read it.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let file = path.join(MANIFEST);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Missing(path.to_path_buf()));
            }
            read => read.map_err(|error| BackupError::file(&file, error))?,
        };
        let manifest = Manifest::read(&bytes).map_err(|fault| BackupError::File(file, fault))?;
        Ok(Self {
            path: path.to_path_buf(),
            manifest,
            lock: None,
        })
    }

    /// Opens a backup to add to it, or begins one in a new or empty directory.
    pub fn open_to_write(path: &Path, origin: Origin, now: Timestamp) -> Result<Self, BackupError> {
        let found = files::prepare(path, SUFFIX).map_err(|error| BackupError::file(path, error))?;
        let mut directory = match Self::open(path) {
            Err(BackupError::Missing(_)) if !found.others => Self {
                path: path.to_path_buf(),
                manifest: Manifest::new(origin, now),
                lock: None,
            },
            Err(BackupError::Missing(path)) => return Err(BackupError::NotEmpty(path)),
            opened => opened?,
        };
        let locked = files::lock(path).map_err(|(file, error)| BackupError::file(&file, error))?;
        let Some(lock) = locked else {
            return Err(BackupError::Held(path.to_path_buf()));
        };
        directory.lock = Some(lock);
        if path.join(MANIFEST).exists() {
            // Again, now that no other process changes it.
            directory.manifest = Self::open(path)?.manifest;
        }
        // Of an interrupted backup: no other process writes now.
        let cleaned = found.clean();
        cleaned.map_err(|(file, error)| BackupError::file(&file, error))?;
        directory.manifest.origin = origin;
        Ok(directory)
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the backup has.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    pub(super) fn put(&mut self, writer: SegmentWriter, now: Timestamp) -> Result<(), BackupError> {
        let Written {
            file,
            kind,
            segment,
        } = writer.finish()?;
        let path = self.path.join(&segment.file);
        // A file with this name is of a backup that was interrupted before its manifest was written.
        file.persist(&path)
            .map_err(|error| BackupError::file(&path, error.error))?;
        self.manifest.push(kind, segment);
        self.save(now)
    }

    pub(super) fn put_secret(&mut self, text: &str, now: Timestamp) -> Result<(), BackupError> {
        self.write(SECRET, text.as_bytes())?;
        self.manifest.token_secret = Some(secret_part(text));
        self.save(now)
    }

    /// Returns the secret of session tokens, if the backup has it.
    pub fn secret(&self) -> Result<Option<String>, BackupError> {
        let Some(part) = &self.manifest.token_secret else {
            return Ok(None);
        };
        let path = self.path.join(SECRET);
        let text = fs::read_to_string(&path).map_err(|error| BackupError::file(&path, error))?;
        if secret_part(&text) != *part {
            return Err(BackupError::File(
                path,
                FileFault::Differs("SHA-256 differs"),
            ));
        }
        Ok(Some(text))
    }

    pub(super) fn finish(mut self, now: Timestamp) -> Result<Manifest, BackupError> {
        self.save(now)?;
        drop(self.lock);
        Ok(self.manifest)
    }

    fn save(&mut self, now: Timestamp) -> Result<(), BackupError> {
        self.manifest.touch(now);
        self.write(MANIFEST, &self.manifest.to_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let written = files::replace(&self.path, name, bytes);
        written.map_err(|error| BackupError::file(&self.path.join(name), error))
    }
}

pub(super) fn secret_part(text: &str) -> SecretPart {
    SecretPart {
        sha256: Sha256::digest(text).into(),
    }
}
