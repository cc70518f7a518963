//! Writes a segment: compressed lines, into a file without a name in the backup yet.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use zstd::Encoder;

use super::error::BackupError;
use super::line::Line;
use super::manifest::Segment;
use super::mark::{LogKind, Mark};
use crate::domain::Position;
use crate::domain::limits::{BACKUP_SEGMENT_BYTES_MAX, BACKUP_SEGMENT_RECORDS_MAX};
use crate::log::{LogError, Record};

/// The prefix of files that are being written. An interrupted backup leaves them.
pub(super) const WRITING: &str = ".writing-";
/// The end of the name of a segment.
pub(super) const SUFFIX: &str = ".ndjson.zst";
/// The level of zstd's own default: higher ones cost more time than they save room.
const LEVEL: i32 = 3;

/// A segment that grows.
pub struct SegmentWriter {
    encoder: Encoder<'static, Hashing<BufWriter<NamedTempFile>>>,
    first: Position,
    end: Mark,
    lines_bytes: usize,
}

/// A complete segment, whose file has no name in the backup yet.
pub(super) struct Written {
    pub(super) file: NamedTempFile,
    pub(super) kind: LogKind,
    pub(super) segment: Segment,
}

impl SegmentWriter {
    /// Starts a segment after a point of a log, in a file of a directory.
    pub(super) fn new(dir: &Path, after: Mark) -> Result<Self, BackupError> {
        let open = || {
            let file = tempfile::Builder::new().prefix(WRITING).tempfile_in(dir)?;
            let mut encoder = Encoder::new(Hashing::new(BufWriter::new(file)), LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(encoder)
        };
        let encoder = open().map_err(|error: io::Error| BackupError::file(dir, error))?;
        Ok(Self {
            encoder,
            first: after.position.next(),
            end: after,
            lines_bytes: 0,
        })
    }

    /// The last record that was added.
    pub(super) fn end(&self) -> &Mark {
        &self.end
    }

    /// Whether the next record belongs into another segment.
    pub(super) fn is_full(&self) -> bool {
        let records = self.end.position.get() + 1 - self.first.get();
        BACKUP_SEGMENT_RECORDS_MAX <= records || BACKUP_SEGMENT_BYTES_MAX <= self.lines_bytes
    }

    /// Adds the next record. Fails if the source returned another one.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), BackupError> {
        let (kind, after) = (self.end.kind, self.end.position);
        if !self.end.advance(record) {
            let found = record.position;
            return Err(BackupError::Source(
                kind,
                LogError::Gap { after, found }.into(),
            ));
        }
        let mut line = serde_json::to_vec(&Line::of(record)).map_err(|error| self.fault(error))?;
        line.push(b'\n');
        self.encoder
            .write_all(&line)
            .map_err(|error| self.fault(error))?;
        self.lines_bytes += line.len();
        Ok(())
    }

    fn fault(&self, error: impl Into<io::Error>) -> BackupError {
        let path = self.encoder.get_ref().inner.get_ref().path();
        BackupError::file(path, error.into())
    }

    /// Completes the file and syncs it.
    pub(super) fn finish(self) -> Result<Written, BackupError> {
        let path = self.encoder.get_ref().inner.get_ref().path().to_path_buf();
        let fault = |error| BackupError::file(&path, error);
        let hashing = self.encoder.finish().map_err(fault)?;
        let (inner, sha256, len_bytes) = hashing.finish();
        let file = inner
            .into_inner()
            .map_err(|error| fault(error.into_error()))?;
        file.as_file().sync_all().map_err(fault)?;
        let (kind, end) = (self.end.kind, self.end);
        Ok(Written {
            file,
            kind,
            segment: Segment {
                file: format!("{}-{:020}{SUFFIX}", kind.as_str(), self.first.get()),
                len_bytes,
                sha256,
                first: self.first,
                last: end.position,
                recorded_at: end.recorded_at,
                chain_before: end.chain_before,
                chain: end.chain,
                rules_version: end.rules,
            },
        })
    }
}

/// Hashes and counts what passes, in either direction.
pub(super) struct Hashing<T> {
    inner: T,
    hasher: Sha256,
    len_bytes: u64,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            len_bytes: 0,
        }
    }

    /// Returns what it wraps, the hash and the number of bytes.
    pub(super) fn finish(self) -> (T, [u8; 32], u64) {
        (self.inner, self.hasher.finalize().into(), self.len_bytes)
    }

    /// The hash and the number of bytes so far.
    pub(super) fn so_far(&self) -> ([u8; 32], u64) {
        (self.hasher.clone().finalize().into(), self.len_bytes)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len_bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.pass(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: io::Read> io::Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::lost;
    use crate::domain::Timestamp;

    #[test]
    fn a_record_behind_a_gap_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let start = Mark::start(LogKind::Events);
        let mut writer = SegmentWriter::new(dir.path(), start).unwrap();
        let first = lost::record(&start, "a test", Timestamp::MIN);
        writer.add(&first).unwrap();
        for position in [1, 3] {
            let other = Record {
                position: Position::new(position),
                ..first.clone()
            };
            assert!(matches!(writer.add(&other), Err(BackupError::Source(..))));
        }
        assert_eq!(writer.end().position, Position::new(1));
    }
}
