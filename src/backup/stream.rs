//! A backup as a tar archive in a stream. Unpacked, it is a [`Directory`](super::Directory).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, Header};
use tempfile::TempDir;

use super::directory::secret_part;
use super::error::BackupError;
use super::manifest::{Manifest, Origin};
use super::segment::{SegmentWriter, Written};
use crate::domain::Timestamp;

/// The errors of the stream name it so.
const STREAM: &str = "the stream";

/// An archive that is being written. The head of each file has its length, so a segment is written to a
/// temporary file first.
pub struct TarStream {
    archive: Builder<Box<dyn Write + Send>>,
    spool: TempDir,
    manifest: Manifest,
}

impl TarStream {
    /// Starts an archive.
    pub fn new(
        out: Box<dyn Write + Send>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, BackupError> {
        let spool = tempfile::tempdir();
        Ok(Self {
            archive: Builder::new(out),
            spool: spool.map_err(|error| BackupError::file(Path::new(STREAM), error))?,
            manifest: Manifest::new(origin, now),
        })
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    pub(super) fn spool(&self) -> &Path {
        self.spool.path()
    }

    pub(super) fn put(&mut self, writer: SegmentWriter) -> Result<(), BackupError> {
        let Written {
            file,
            kind,
            segment,
        } = writer.finish()?;
        let opened = file.reopen().map_err(fault)?;
        self.append(&segment.file, segment.len_bytes, opened)?;
        self.manifest.push(kind, segment);
        Ok(())
    }

    pub(super) fn put_secret(&mut self, text: &str) -> Result<(), BackupError> {
        self.append("token.secret", text.len() as u64, text.as_bytes())?;
        self.manifest.token_secret = Some(secret_part(text));
        Ok(())
    }

    pub(super) fn finish(mut self, now: Timestamp) -> Result<Manifest, BackupError> {
        self.manifest.touch(now);
        let bytes = self.manifest.to_bytes();
        self.append("manifest.json", bytes.len() as u64, &*bytes)?;
        let mut out = self.archive.into_inner().map_err(fault)?;
        out.flush().map_err(fault)?;
        Ok(self.manifest)
    }

    fn append(&mut self, name: &str, len: u64, from: impl io::Read) -> Result<(), BackupError> {
        let size = (len, self.manifest.made_at);
        append(&mut self.archive, name, size, from).map_err(fault)
    }
}

/// Appends a file that only its owner may read, with its length in bytes and its time.
pub(crate) fn append(
    archive: &mut Builder<Box<dyn Write + Send>>,
    name: &str,
    (len_bytes, made_at): (u64, Timestamp),
    from: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_size(len_bytes);
    header.set_mode(0o600);
    let time = made_at.micros() / 1_000_000;
    header.set_mtime(u64::try_from(time).unwrap_or(0));
    archive.append_data(&mut header, name, from)
}

fn fault(error: io::Error) -> BackupError {
    BackupError::File(PathBuf::from(STREAM), error.into())
}
