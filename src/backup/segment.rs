//! Writes a segment: compressed lines, into a file without a name in the backup yet.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;
use zstd::Encoder;

use super::error::BackupError;
use super::files;
use super::hashing::Hashing;
use super::line::Line;
use super::manifest::Segment;
use super::mark::{LogKind, Mark};
use crate::domain::Position;
use crate::domain::limits::{BACKUP_SEGMENT_BYTES_MAX, BACKUP_SEGMENT_RECORDS_MAX};
use crate::log::{LogError, Record};

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
            let file = files::unnamed(dir)?;
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
        let path = self.encoder.get_ref().get_ref().get_ref().path();
        BackupError::file(path, error.into())
    }

    /// Completes the file and syncs it.
    pub(super) fn finish(self) -> Result<Written, BackupError> {
        let path = self
            .encoder
            .get_ref()
            .get_ref()
            .get_ref()
            .path()
            .to_path_buf();
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
