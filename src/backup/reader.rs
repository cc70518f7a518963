//! Reads the records of a backup, and checks all of them: files, lines, positions and the hash chain.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::vec;

use zstd::Decoder;

use super::directory::Directory;
use super::error::{BackupError, FileFault};
use super::hashing::Hashing;
use super::line::Line;
use super::manifest::Segment;
use super::mark::{LogKind, Mark};
use crate::domain::limits::{BACKUP_LINE_BYTES_MAX, RESTORE_BYTES_MAX, RESTORE_RECORDS_MAX};
use crate::domain::{Position, Rules};
use crate::log::Record;

/// Reads the records of one log of a backup, in order. It blocks.
pub struct Reader {
    dir: PathBuf,
    segments: vec::IntoIter<Segment>,
    open: Option<OpenSegment>,
    end: Mark,
    /// The first record that is returned.
    first: Position,
}

impl Reader {
    /// Reads a log from its start.
    pub fn new(directory: &Directory, kind: LogKind) -> Self {
        Self::after(directory, kind, Position::ZERO)
    }

    /// Reads a log after a position. The chain is checked from the segment of that position on.
    pub fn after(directory: &Directory, kind: LogKind, after: Position) -> Self {
        let mut end = Mark::start(kind);
        let mut segments = directory.manifest().log(kind).segments.clone();
        let skipped = segments.iter().take_while(|one| one.last <= after).count();
        if let Some(last) = segments.drain(..skipped).next_back() {
            end = last.end(kind);
        }
        Self {
            dir: directory.path().to_path_buf(),
            segments: segments.into_iter(),
            open: None,
            end,
            first: after.next(),
        }
    }

    /// The last record that was read.
    pub fn end(&self) -> &Mark {
        &self.end
    }

    /// Returns the next record; `None` at the end. The record before may turn out to be damaged at the
    /// end of its segment: use no record before the reader has come to its end, or compare its chain.
    pub fn next_record(&mut self) -> Result<Option<Record>, BackupError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.segments.next() {
                    Some(segment) => OpenSegment::new(&self.dir, segment)?,
                    None => return Ok(None),
                },
            };
            let Some(record) = open.next(&mut self.end)? else {
                continue;
            };
            self.open = Some(open);
            if self.first <= record.position {
                return Ok(Some(record));
            }
        }
    }

    /// Passes on the next records, as many as a restore takes at once, each with the rules at its
    /// position and the point after it. Passes nothing on at the end.
    pub fn next_chunk(
        &mut self,
        mut take: impl FnMut(Record, Rules, &Mark),
    ) -> Result<(), BackupError> {
        let (mut records, mut bytes) = (0, 0);
        while records < RESTORE_RECORDS_MAX && bytes < RESTORE_BYTES_MAX {
            let rules = self.end.rules;
            let Some(record) = self.next_record()? else {
                break;
            };
            records += 1;
            bytes += record.payload.len() + record.private.len();
            take(record, rules, &self.end);
        }
        Ok(())
    }
}

type Lines = BufReader<Decoder<'static, BufReader<Hashing<File>>>>;

/// A segment that is being read.
struct OpenSegment {
    path: PathBuf,
    segment: Segment,
    lines: Lines,
    line: Vec<u8>,
    number: u64,
}

impl OpenSegment {
    fn new(dir: &Path, segment: Segment) -> Result<Self, BackupError> {
        // The manifest has a checksum, and this keeps even a forged one inside of the directory.
        let name = Path::new(&segment.file).file_name().unwrap_or_default();
        let path = dir.join(name);
        let open = || Decoder::with_buffer(BufReader::new(Hashing::new(File::open(&path)?)));
        let decoder = open().map_err(|error| BackupError::file(&path, error))?;
        Ok(Self {
            path,
            segment,
            lines: BufReader::new(decoder),
            line: Vec::new(),
            number: 0,
        })
    }

    /// Returns the next record; `None` at the end of the segment, once all of it is checked.
    fn next(&mut self, end: &mut Mark) -> Result<Option<Record>, BackupError> {
        match self.read(end) {
            Ok(record) => Ok(record),
            Err(fault) => Err(BackupError::File(self.path.clone(), fault)),
        }
    }

    fn read(&mut self, end: &mut Mark) -> Result<Option<Record>, FileFault> {
        self.line.clear();
        let mut bounded = (&mut self.lines).take(BACKUP_LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut self.line);
        read.map_err(|_not_zstd| FileFault::Differs("content is not what zstd wrote"))?;
        if self.line.is_empty() {
            self.check_end(end)?;
            return Ok(None);
        }
        self.number += 1;
        let record = Line::read(&self.line).map_err(|error| FileFault::Line {
            number: self.number,
            error,
        })?;
        if !end.advance(&record) {
            return Err(FileFault::Differs("positions have a gap"));
        }
        Ok(Some(record))
    }

    /// Checks the file's hash and the chain. What follows the compressed part counts too.
    fn check_end(&mut self, end: &Mark) -> Result<(), FileFault> {
        let raw = self.lines.get_mut().get_mut();
        io::copy(raw, &mut io::sink())?;
        let (sha256, len_bytes) = raw.get_ref().so_far();
        let segment = &self.segment;
        if (sha256, len_bytes) != (segment.sha256, segment.len_bytes) {
            return Err(FileFault::Differs("SHA-256 differs"));
        }
        if *end != segment.end(end.kind) {
            return Err(FileFault::Differs("hash chain differs"));
        }
        Ok(())
    }
}
