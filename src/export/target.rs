//! Where an export is written: into a directory, or as a tar archive into a stream.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use tar::Builder;
use tempfile::TempDir;

use super::error::ExportError;
use super::manifest::{MANIFEST, Manifest, SUFFIX};
use super::segment::SegmentWriter;
use crate::backup::files;
use crate::backup::stream::append;
use crate::domain::limits::EXPORT_MANIFEST_BYTES_MAX;
use crate::domain::{Position, Timestamp};

/// The errors of the stream name it so.
const STREAM: &str = "the stream";

/// An export that is being written.
pub struct Target {
    manifest: Manifest,
    place: Destination,
}

/// Where its files go.
enum Destination {
    Directory {
        path: PathBuf,
        /// Held while the export is written.
        _lock: File,
    },
    /// The head of a file in an archive has its length, so a segment is written to a temporary file first.
    Stream {
        archive: Box<Builder<Box<dyn Write + Send>>>,
        spool: TempDir,
    },
}

/// Reads the manifest of the export in a directory.
pub fn open(dir: &Path) -> Result<Manifest, ExportError> {
    let path = dir.join(MANIFEST);
    let read = || {
        let mut bytes = Vec::new();
        let mut file = File::open(&path)?.take(EXPORT_MANIFEST_BYTES_MAX);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Err(error) if is_missing(&error) => return Err(ExportError::Missing(dir.to_path_buf())),
        read => read.map_err(|error: io::Error| ExportError::file(&path, error))?,
    };
    Manifest::read(&bytes).map_err(|fault| ExportError::File(path, fault))
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

impl Target {
    /// Opens an export to add to it, or begins one in a new or empty directory.
    pub fn directory(path: &Path, now: Timestamp) -> Result<Self, ExportError> {
        let found = files::prepare(path, SUFFIX).map_err(|error| ExportError::file(path, error))?;
        // The manifest is written first, so event files without one are not of an interrupted export.
        let is_used = found.others || !event_files(path)?.is_empty();
        if is_used && !path.join(MANIFEST).exists() {
            return Err(ExportError::NotEmpty(path.to_path_buf()));
        }
        let locked = files::lock(path).map_err(ExportError::at)?;
        let Some(lock) = locked else {
            return Err(ExportError::Held(path.to_path_buf()));
        };
        let manifest = match open(path) {
            Err(ExportError::Missing(_)) => Manifest::new(now),
            opened => opened?,
        };
        // Of an interrupted export: no other process writes now.
        found.clean().map_err(ExportError::at)?;
        Ok(Self {
            manifest,
            place: Destination::Directory {
                path: path.to_path_buf(),
                _lock: lock,
            },
        })
    }

    /// Starts an archive.
    pub fn stream(out: Box<dyn Write + Send>, now: Timestamp) -> Result<Self, ExportError> {
        let spool = tempfile::tempdir();
        Ok(Self {
            manifest: Manifest::new(now),
            place: Destination::Stream {
                archive: Box::new(Builder::new(out)),
                spool: spool.map_err(|error| ExportError::file(Path::new(STREAM), error))?,
            },
        })
    }

    /// What the export has so far.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A directory for a file that is being written.
    pub(super) fn dir(&self) -> &Path {
        match &self.place {
            Destination::Directory { path, .. } => path,
            Destination::Stream { spool, .. } => spool.path(),
        }
    }

    /// Begins to add what the tenant has up to a position.
    pub(super) fn begin(
        &mut self,
        tenant: &str,
        until: Position,
        now: Timestamp,
    ) -> Result<(), ExportError> {
        tenant.clone_into(&mut self.manifest.tenant);
        self.manifest.unfinished_until = Some(until.get());
        self.save(now)
    }

    /// Adds a complete segment.
    pub(super) fn put(
        &mut self,
        segment: SegmentWriter,
        (until, now): (Position, Timestamp),
    ) -> Result<(), ExportError> {
        let (file, segment) = segment.finish(until)?;
        match &mut self.place {
            Destination::Directory { path, .. } => {
                let path = path.join(&segment.file);
                // A file with this name is of an export that was interrupted before its manifest was written.
                file.persist(&path)
                    .map_err(|error| ExportError::file(&path, error.error))?;
            }
            Destination::Stream { archive, .. } => {
                let opened = file.reopen().map_err(of_stream)?;
                append(archive, &segment.file, (segment.len_bytes, now), opened)
                    .map_err(of_stream)?;
            }
        }
        self.manifest.push(segment);
        self.save(now)
    }

    /// Notes that the export has everything up to a position.
    pub(super) fn complete(&mut self, until: Position, now: Timestamp) -> Result<(), ExportError> {
        self.manifest.until = until;
        self.manifest.unfinished_until = None;
        self.save(now)
    }

    /// Replaces the manifest in a directory. An archive gets it at its end.
    fn save(&mut self, now: Timestamp) -> Result<(), ExportError> {
        let bytes = self.manifest.seal(now);
        let Destination::Directory { path, .. } = &self.place else {
            return Ok(());
        };
        let saved = files::replace(path, MANIFEST, &bytes);
        saved.map_err(|error| ExportError::file(&path.join(MANIFEST), error))
    }

    /// Completes the export.
    pub fn finish(mut self, now: Timestamp) -> Result<Manifest, ExportError> {
        let Destination::Stream { mut archive, .. } = self.place else {
            return Ok(self.manifest);
        };
        let bytes = self.manifest.seal(now);
        let size = (bytes.len() as u64, now);
        append(&mut archive, MANIFEST, size, &*bytes).map_err(of_stream)?;
        let mut out = archive.into_inner().map_err(of_stream)?;
        out.flush().map_err(of_stream)?;
        Ok(self.manifest)
    }
}

fn of_stream(error: io::Error) -> ExportError {
    ExportError::file(Path::new(STREAM), error)
}

/// The names of the files with events in a directory.
pub(super) fn event_files(dir: &Path) -> Result<Vec<String>, ExportError> {
    let fault = |error| ExportError::file(dir, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(SUFFIX) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
