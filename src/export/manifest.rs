//! The manifest: what an export has. It is replaced as a whole after each segment.
//!
//! Its last field is a SHA-256 over all others: see `backup::sealed`.

use serde::{Deserialize, Serialize};

use crate::backup::{FileFault, fields, sealed};
use crate::domain::{Position, Timestamp};
use crate::log::chain::TenantChain;

/// The format of an export.
const FORMAT: &str = "session-ledger-export/1";
/// The name of its file.
pub(super) const MANIFEST: &str = "manifest.json";

/// What an export has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    /// The tenant; empty until the first run knows it.
    pub tenant: String,
    /// When the run that wrote the manifest began.
    #[serde(deserialize_with = "fields::time")]
    pub made_at: Timestamp,
    /// The version of the build that wrote it.
    pub made_by: String,
    /// The export has every event of the tenant up to this position of the log.
    #[serde(deserialize_with = "fields::position")]
    pub until: Position,
    /// The position up to which an interrupted run was to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished_until: Option<u64>,
    /// The number of events.
    pub events: u64,
    /// The first event.
    pub first: Option<Place>,
    /// The last event.
    pub last: Option<Place>,
    /// The segments, in order.
    pub segments: Vec<Segment>,
}

/// An event, and the tenant's chain after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The position of the event.
    #[serde(deserialize_with = "fields::position")]
    pub position: Position,
    /// The head of the chain.
    #[serde(with = "fields::hash")]
    pub chain: [u8; 32],
}

/// A file with events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The name of the file.
    pub file: String,
    /// The length of the file in bytes.
    pub len_bytes: u64,
    /// The SHA-256 of the file.
    #[serde(with = "fields::hash")]
    pub sha256: [u8; 32],
    /// The number of its events.
    pub events: u64,
    /// The first event.
    pub first: Place,
    /// The last event.
    pub last: Place,
    /// The events have the verdicts that they had at this position.
    #[serde(deserialize_with = "fields::position")]
    pub verdicts_as_of: Position,
}

impl From<TenantChain> for Place {
    fn from(chain: TenantChain) -> Self {
        Self {
            position: chain.position,
            chain: chain.head,
        }
    }
}

impl Manifest {
    /// The manifest of an export without events.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            tenant: String::new(),
            made_at: now,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            until: Position::ZERO,
            unfinished_until: None,
            events: 0,
            first: None,
            last: None,
            segments: Vec::new(),
        }
    }

    /// The chain after the last event.
    pub fn chain(&self) -> TenantChain {
        self.last.map_or(TenantChain::EMPTY, |last| TenantChain {
            events: self.events,
            position: last.position,
            head: last.chain,
        })
    }

    /// The position up to which the export has every event, also if its last run was interrupted.
    pub fn complete_until(&self) -> Position {
        self.until.max(self.chain().position)
    }

    /// The last position whose verdicts the export has. After an interruption, that is later than its events.
    pub fn verdicts_until(&self) -> Position {
        let last = self.segments.last();
        let verdicts_as_of = last.map_or(Position::ZERO, |last| last.verdicts_as_of);
        verdicts_as_of.max(self.complete_until())
    }

    /// Adds a segment behind the last one.
    pub(super) fn push(&mut self, segment: Segment) {
        self.events += segment.events;
        self.first.get_or_insert(segment.first);
        self.last = Some(segment.last);
        self.segments.push(segment);
    }

    /// Notes the time and the build, and returns the content of its file.
    pub(super) fn seal(&mut self, now: Timestamp) -> Vec<u8> {
        self.made_at = now;
        env!("CARGO_PKG_VERSION").clone_into(&mut self.made_by);
        sealed::to_bytes(self)
    }

    /// Reads the content of its file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, FileFault> {
        let manifest: Self = sealed::read(bytes, FORMAT)?;
        manifest.check().map_err(FileFault::Differs)?;
        Ok(manifest)
    }

    /// Whether the segments follow one another, and the manifest sums them up.
    fn check(&self) -> Result<(), &'static str> {
        let (mut events, mut last) = (0_u64, None::<Place>);
        let end = self.unfinished_until.map_or(self.until, Position::new);
        let (end, mut decided) = (end.max(self.until), Position::ZERO);
        for segment in &self.segments {
            let after = last.map_or(Position::ZERO, |last| last.position);
            // The segments of a run have its end, and those of the next run begin after it.
            let is_of_run = decided == segment.verdicts_as_of || decided < segment.first.position;
            let is_next = after < segment.first.position
                && segment.first.position <= segment.last.position
                && segment.last.position <= segment.verdicts_as_of
                && segment.verdicts_as_of <= end
                && is_of_run;
            if !is_next {
                return Err("segments do not follow one another");
            }
            if segment.file != file_name(segment.first.position) {
                return Err("segments have other names than their first positions give");
            }
            events = events.saturating_add(segment.events);
            decided = segment.verdicts_as_of;
            last = Some(segment.last);
        }
        let first = self.segments.first().map(|segment| segment.first);
        if (self.events, self.first, self.last) != (events, first, last) {
            return Err("counts and ends are not those of its segments");
        }
        let is_whole = self.unfinished_until.is_none();
        if is_whole && last.is_some_and(|last| self.until < last.position) {
            return Err("last event is after `until`");
        }
        Ok(())
    }
}

/// The name of the file whose first event has this position.
pub(super) fn file_name(first: Position) -> String {
    format!("events-{:020}{SUFFIX}", first.get())
}

/// The end of the name of a file with events.
pub(super) const SUFFIX: &str = ".ndjson";

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, last: u64, verdicts_as_of: u64) -> Segment {
        let place = |position| Place {
            position: Position::new(position),
            chain: [7; 32],
        };
        Segment {
            file: file_name(Position::new(first)),
            len_bytes: 1,
            sha256: [0; 32],
            events: 1,
            first: place(first),
            last: place(last),
            verdicts_as_of: Position::new(verdicts_as_of),
        }
    }

    fn read(until: u64, segments: &[Segment]) -> Result<Manifest, FileFault> {
        let mut manifest = Manifest::new(Timestamp::MIN);
        manifest.until = Position::new(until);
        for one in segments {
            manifest.push(one.clone());
        }
        Manifest::read(&manifest.seal(Timestamp::MIN))
    }

    #[test]
    fn verdicts_are_those_of_the_end_of_a_run() {
        assert!(read(9, &[segment(1, 4, 5), segment(6, 8, 9)]).is_ok());
        assert!(read(9, &[segment(1, 4, 9), segment(6, 8, 9)]).is_ok());
        // Later than the end: nothing could compare them.
        assert!(read(9, &[segment(1, 4, 5), segment(6, 8, 10)]).is_err());
        // Of another run, although that one had passed these events.
        assert!(read(9, &[segment(1, 4, 8), segment(6, 8, 9)]).is_err());
        assert!(read(9, &[segment(1, 4, 9), segment(6, 8, 8)]).is_err());
    }
}
