//! The port to the log: an ordered, gapless, append-only sequence of records, kept for ever.
//!
//! What every adapter promises, and the conformance suite checks:
//!
//! - positions start at 1 and have no gaps; a record never changes once it is acknowledged;
//! - the records of one append stand in the order given, though others may stand between them;
//! - a tail hands over every record after its start, in order, once, and then waits for more;
//! - of several processes that append after the same position under a guard, one succeeds;
//! - an append that fails as [`LogError::Unconfirmed`] may have been written: the fold drops copies.
#![warn(missing_docs)]

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub mod embedded;
pub mod jetstream;

use crate::domain::limits::{BODY_BYTES_MAX, PRIVATE_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::domain::{Position, Rules, Timestamp};
use crate::wire::{Headers, binary};

pub use embedded::EmbeddedLog;
pub use jetstream::JetStreamLog;

/// What the log holds at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// The log's own time stamp.
    pub recorded_at: Timestamp,
    /// The subject that it was published on.
    pub subject: Box<str>,
    /// The part that is never shown; empty for what runtimes emit.
    pub private: Bytes,
    /// The headers that concern the event; empty unless it came in binary mode.
    pub headers: Headers,
    /// What was stored, to the byte: the event as structured-mode JSON, or in binary mode its data.
    pub payload: Bytes,
}

impl Record {
    /// The event as structured-mode JSON. How a message in binary mode is read depends on the rules
    /// that hold at its position.
    pub fn body(&self, rules: Rules) -> Bytes {
        binary::structured(rules, &self.headers, &self.payload)
    }
}

/// What is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The subject to publish on.
    pub subject: Box<str>,
    /// The part that is never shown.
    pub private: Bytes,
    /// The event as structured-mode JSON.
    pub body: Bytes,
}

impl NewRecord {
    /// Whether every adapter takes a record of this size.
    pub fn fits(&self) -> bool {
        self.body.len() <= BODY_BYTES_MAX
            && self.private.len() <= PRIVATE_BYTES_MAX
            && self.subject.len() <= SUBJECT_BYTES_MAX
    }
}

/// What must still be so when records are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The subject of the records, where `*` stands for any one token.
    pub subject: &'static str,
    /// The last position on it that the caller knows of.
    pub after: Position,
}

/// A message to whoever listens at this moment. Nobody keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The subject to publish on.
    pub subject: String,
    /// JSON text.
    pub payload: Vec<u8>,
}

/// Why the log did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Nothing was written. Retry at will.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// Another process has it open.
    #[error("another ledger holds the file {}", .0.display())]
    Held(PathBuf),
    /// It may have been written. Retry with the same event id: a copy is dropped.
    #[error("the append was not confirmed: {0}")]
    Unconfirmed(String),
    /// The log takes nothing at present, because it has no room or is out of order. Nothing was written.
    #[error("the log refuses writes: {0}")]
    Refusing(String),
    /// The record is larger than the log takes. Nothing was written.
    #[error("the record is larger than the log takes: {bytes_max} bytes with its headers")]
    TooLarge {
        /// The most bytes that the log takes.
        bytes_max: usize,
    },
    /// Another process has appended what the guard of this append does not know of. Nothing was
    /// written.
    #[error("another ledger was faster")]
    Overtaken,
    /// Records are missing: an alarm, never to be skipped.
    #[error("the log jumps from position {after} to {found}: records are missing")]
    Gap {
        /// The last position that was there.
        after: Position,
        /// The position that followed it.
        found: Position,
    },
    /// The log ends before a position that was read from it: an alarm.
    #[error("the log ends at position {head}, before position {after} that was read from it")]
    Truncated {
        /// The last position there is.
        head: Position,
        /// The position asked for.
        after: Position,
    },
    /// The stream exists with a configuration that breaks a promise.
    #[error("the log is misconfigured: {0}")]
    Misconfigured(String),
    /// What is stored cannot be read.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// An acknowledged append: one entry per record, in the order given.
pub type Appended = Vec<Result<Position, LogError>>;

/// A log.
pub trait EventLog: Send + Sync + 'static {
    /// Appends records and waits until they are kept. Fails record by record.
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended>;

    /// Appends records as long as no other process has appended on the guard's subject after its
    /// position: then [`LogError::Overtaken`] for this record and all that follow it. A log that one
    /// process holds has nobody to be overtaken by, and just appends.
    fn append_after(&self, records: Vec<NewRecord>, _guard: Guard) -> BoxFuture<'_, Appended> {
        self.append(records)
    }

    /// The records at these positions, in the order asked for. A position beyond the head is
    /// [`LogError::Truncated`].
    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// Follows the log after a position.
    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>>;

    /// The last position, as the log itself says now.
    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>>;

    /// The last position that this process has heard of, without asking.
    fn known_head(&self) -> Position;

    /// Whether the log can be reached, as far as this process knows without asking.
    fn is_available(&self) -> bool {
        true
    }

    /// Why the log takes no writes at present; `None` as far as this process knows without asking.
    fn refuses_writes(&self) -> Option<String> {
        None
    }

    /// Watches over the log for as long as it is polled: a log that refuses writes is asked whether it
    /// takes them again.
    fn watch(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Tells whoever listens, as well as it can, and says whether all was sent. A log that nobody can
    /// listen to does nothing.
    fn notify(&self, notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        drop(notices);
        Box::pin(std::future::ready(true))
    }
}

/// Reads a log from some position on, for ever.
pub trait Tail: Send {
    /// The next records, at least one and at most `records_max`: all that have arrived, or the
    /// first to come. Cancelling it loses nothing.
    fn next(&mut self, records_max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;
}
