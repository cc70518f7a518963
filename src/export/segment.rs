//! Writes a segment: lines in a file that has no name in the export yet.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::ExportError;
use super::line::Line;
use super::manifest::{Place, Segment, file_name};
use crate::backup::files;
use crate::backup::hashing::Hashing;
use crate::domain::Position;
use crate::domain::limits::{EXPORT_SEGMENT_BYTES_MAX, EXPORT_SEGMENT_EVENTS_MAX};
use crate::log::chain::TenantChain;

/// How large segments may be. A segment is complete once it has reached one of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    /// The number of events.
    pub events: u64,
    /// The bytes of the lines.
    pub bytes: u64,
}

impl Default for SegmentSize {
    fn default() -> Self {
        Self {
            events: EXPORT_SEGMENT_EVENTS_MAX,
            bytes: EXPORT_SEGMENT_BYTES_MAX,
        }
    }
}

/// A segment that grows.
pub(super) struct SegmentWriter {
    file: Hashing<BufWriter<NamedTempFile>>,
    first: Place,
    events: u64,
    last: Place,
    line: Vec<u8>,
    bytes: u64,
}

impl SegmentWriter {
    /// Starts a segment in a file of a directory, with its first event.
    pub(super) fn begin(
        dir: &Path,
        line: &Line<'_>,
        chain: &TenantChain,
    ) -> Result<Self, ExportError> {
        let file = files::unnamed(dir).map_err(|error| ExportError::file(dir, error))?;
        let mut segment = Self {
            file: Hashing::new(BufWriter::new(file)),
            first: (*chain).into(),
            events: 0,
            last: (*chain).into(),
            line: Vec::new(),
            bytes: 0,
        };
        segment.add(line, chain)?;
        Ok(segment)
    }

    /// Adds the next event. `chain` is the one after it.
    pub(super) fn add(&mut self, line: &Line<'_>, chain: &TenantChain) -> Result<(), ExportError> {
        line.store(&chain.head, &mut self.line);
        let written = self.file.write_all(&self.line);
        written.map_err(|error| ExportError::file(self.path(), error))?;
        self.bytes += self.line.len() as u64;
        self.events += 1;
        self.last = (*chain).into();
        Ok(())
    }

    /// Whether the next event belongs into another segment.
    pub(super) fn is_full(&self, size: SegmentSize) -> bool {
        size.events <= self.events || size.bytes <= self.bytes
    }

    fn path(&self) -> &Path {
        self.file.get_ref().get_ref().path()
    }

    /// Completes the file and syncs it.
    pub(super) fn finish(
        self,
        verdicts_as_of: Position,
    ) -> Result<(NamedTempFile, Segment), ExportError> {
        let path = self.path().to_path_buf();
        let (first, last, events) = (self.first, self.last, self.events);
        let (inner, sha256, len_bytes) = self.file.finish();
        let flushed = inner
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error);
        let synced = flushed.and_then(|file| file.as_file().sync_all().map(|()| file));
        let file = synced.map_err(|error| ExportError::file(&path, error))?;
        let segment = Segment {
            file: file_name(first.position),
            len_bytes,
            sha256,
            events,
            first,
            last,
            verdicts_as_of,
        };
        Ok((file, segment))
    }
}
