//! The manifest: what a backup has. It is replaced as a whole after each segment.
//!
//! Its last field is a SHA-256 over all others: see [`sealed`].

use serde::{Deserialize, Serialize};

use super::error::FileFault;
use super::fields;
use super::lost::LostRange;
use super::mark::{LogKind, Mark};
use super::sealed;
use crate::domain::{Position, Rules, Timestamp};

/// The format of the backup.
const FORMAT: &str = "session-ledger-backup/1";

/// Where the records of a backup come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The files of a data directory.
    BuiltIn,
    /// Streams of a NATS server.
    Nats,
    /// A server, over HTTP.
    Server,
}

/// What a backup has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    /// When the last segment was added.
    #[serde(deserialize_with = "fields::time")]
    pub made_at: Timestamp,
    /// The version of the build that added it.
    pub made_by: String,
    /// Where its records come from.
    pub origin: Origin,
    /// The log of events.
    pub events: LogPart,
    /// The log of keys.
    pub keys: LogPart,
    /// The secret of session tokens, if the backup has it.
    pub token_secret: Option<SecretPart>,
}

/// A log in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogPart {
    /// The last position.
    #[serde(deserialize_with = "fields::position")]
    pub position: Position,
    /// The chain at that position.
    #[serde(with = "fields::hash")]
    pub chain: [u8; 32],
    /// Positions whose records are lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lost: Vec<LostRange>,
    /// The segments, which follow one another without gaps.
    pub segments: Vec<Segment>,
}

/// A file with records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The name of the file.
    pub file: String,
    /// The length of the file in bytes.
    pub len_bytes: u64,
    /// The SHA-256 of the file.
    #[serde(with = "fields::hash")]
    pub sha256: [u8; 32],
    /// The first position.
    #[serde(deserialize_with = "fields::position")]
    pub first: Position,
    /// The last position.
    #[serde(deserialize_with = "fields::position")]
    pub last: Position,
    /// When the log stored the last record.
    #[serde(deserialize_with = "fields::time")]
    pub recorded_at: Timestamp,
    /// The chain before the last record.
    #[serde(with = "fields::hash")]
    pub chain_before: [u8; 32],
    /// The chain after the last record.
    #[serde(with = "fields::hash")]
    pub chain: [u8; 32],
    /// The rules that apply after the last record.
    #[serde(with = "fields::rules")]
    pub rules_version: Rules,
}

/// The file with the secret of session tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPart {
    /// The SHA-256 of the file.
    #[serde(with = "fields::hash")]
    pub sha256: [u8; 32],
}

impl Manifest {
    /// The manifest of a backup without records.
    pub fn new(origin: Origin, now: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            made_at: now,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            origin,
            events: LogPart::default(),
            keys: LogPart::default(),
            token_secret: None,
        }
    }

    /// One of the two logs.
    pub fn log(&self, kind: LogKind) -> &LogPart {
        match kind {
            LogKind::Events => &self.events,
            LogKind::Keys => &self.keys,
        }
    }

    pub(super) fn log_mut(&mut self, kind: LogKind) -> &mut LogPart {
        match kind {
            LogKind::Events => &mut self.events,
            LogKind::Keys => &mut self.keys,
        }
    }

    /// The number of records that stand in the place of lost ones.
    pub fn lost_records(&self) -> u64 {
        let ranges = self.events.lost.iter().chain(&self.keys.lost);
        ranges
            .map(|range| range.last.get() + 1 - range.first.get())
            .sum()
    }

    /// Adds a segment behind the last one.
    pub(super) fn push(&mut self, kind: LogKind, segment: Segment) {
        let log = self.log_mut(kind);
        log.position = segment.last;
        log.chain = segment.chain;
        log.segments.push(segment);
    }

    /// Notes that this build has just changed the backup.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.made_at = now;
        env!("CARGO_PKG_VERSION").clone_into(&mut self.made_by);
    }

    /// The content of its file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        sealed::to_bytes(self)
    }

    /// Reads the content of its file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, FileFault> {
        let manifest: Self = sealed::read(bytes, FORMAT)?;
        for kind in LogKind::ALL {
            manifest.log(kind).check()?;
        }
        Ok(manifest)
    }
}

impl LogPart {
    /// The end of the log in the backup.
    pub fn end(&self, kind: LogKind) -> Mark {
        self.segments
            .last()
            .map_or(Mark::start(kind), |last| last.end(kind))
    }

    fn check(&self) -> Result<(), FileFault> {
        let mut end = (Position::ZERO, [0; 32]);
        for segment in &self.segments {
            if segment.first != end.0.next() || segment.last < segment.first {
                return Err(FileFault::Differs("segments do not follow one another"));
            }
            end = (segment.last, segment.chain);
        }
        if end == (self.position, self.chain) {
            return Ok(());
        }
        Err(FileFault::Differs("segments end at another position"))
    }
}

impl Segment {
    /// The end of the segment.
    pub(super) fn end(&self, kind: LogKind) -> Mark {
        Mark {
            kind,
            position: self.last,
            recorded_at: self.recorded_at,
            chain: self.chain,
            chain_before: self.chain_before,
            rules: self.rules_version,
        }
    }
}
