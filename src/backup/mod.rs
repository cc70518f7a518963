//! Backups of a ledger: copies of the log of events and of the log of keys, which other tools can read.
//!
//! A backup is a directory:
//!
//! ```text
//! manifest.json                            what the backup has, with a checksum of each file
//! events-00000000000000000001.ndjson.zst   records of the log of events from position 1 on
//! keys-00000000000000000001.ndjson.zst     records of the log of keys
//! token.secret                             the secret of session tokens, if the operator wanted it
//! lock                                     held while a backup is written
//! ```
//!
//! A log only grows, so the records up to a position are a consistent state of it. A backup takes them
//! in segments, in short reads. The manifest is written again after each segment: an interrupted backup
//! is a shorter one, and the next run continues it. [`Mark`] has the hash chain at the end of each
//! segment, by which a backup recognizes its log.

mod copy;
mod directory;
mod error;
pub(crate) mod fields;
pub(crate) mod files;
mod filling;
pub(crate) mod hashing;
pub(crate) mod line;
mod lost;
mod manifest;
mod mark;
mod reader;
pub(crate) mod sealed;
mod segment;
mod source;
pub(crate) mod stream;

pub use copy::{Copied, Copying, check, copy};
pub use directory::Directory;
pub use error::{BackupError, FileFault};
pub use line::{Line, LineError};
pub use lost::LostRange;
pub use manifest::{LogPart, Manifest, Origin, SecretPart, Segment};
pub use mark::{LogKind, Mark};
pub use reader::Reader;
pub use segment::SegmentWriter;
pub use source::{LogReader, Source, SourceError};
pub use stream::TarStream;

use crate::domain::Timestamp;

/// Where a backup is written.
pub enum Target {
    /// Into a directory, which may have an earlier backup of the same log.
    Directory(Directory),
    /// As a tar archive into a stream.
    Stream(TarStream),
}

impl Target {
    /// What the backup has so far.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Directory(directory) => directory.manifest(),
            Self::Stream(stream) => stream.manifest(),
        }
    }

    fn manifest_mut(&mut self) -> &mut Manifest {
        match self {
            Self::Directory(directory) => directory.manifest_mut(),
            Self::Stream(stream) => stream.manifest_mut(),
        }
    }

    /// Starts the next segment of a log.
    fn writer(&self, kind: LogKind) -> Result<SegmentWriter, BackupError> {
        let after = self.manifest().log(kind).end(kind);
        match self {
            Self::Directory(directory) => SegmentWriter::new(directory.path(), after),
            Self::Stream(stream) => SegmentWriter::new(stream.spool(), after),
        }
    }

    /// Adds a complete segment.
    fn put(&mut self, writer: SegmentWriter, now: Timestamp) -> Result<(), BackupError> {
        match self {
            Self::Directory(directory) => directory.put(writer, now),
            Self::Stream(stream) => stream.put(writer),
        }
    }

    /// Adds the secret of session tokens.
    pub fn put_secret(&mut self, text: &str, now: Timestamp) -> Result<(), BackupError> {
        match self {
            Self::Directory(directory) => directory.put_secret(text, now),
            Self::Stream(stream) => stream.put_secret(text),
        }
    }

    /// Completes the backup.
    pub fn finish(self, now: Timestamp) -> Result<Manifest, BackupError> {
        match self {
            Self::Directory(directory) => directory.finish(now),
            Self::Stream(stream) => stream.finish(now),
        }
    }
}
