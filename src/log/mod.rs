//! The port to the log: an ordered, gapless, append-only sequence of records, kept forever.
//!
//! Every adapter keeps these promises, and `tests/it/log_conformance.rs` checks them:
//!
//! - Positions start at 1 and have no gaps. A record never changes once it is acknowledged.
//! - The records of one append stand on the log in the order given. Records of other appends may stand
//!   between them.
//! - A tail returns every record after its start, in order and once. Then it waits for more.
//! - Of several callers that append at the same time under the same guard, one succeeds. The others
//!   write nothing.
//! - An append that fails as [`LogError::Unconfirmed`] may have been written. The fold drops copies.
//! - After [`EventLog::close`], every append and read fails as [`LogError::Unavailable`].
#![warn(missing_docs)]

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub mod chain;
pub mod embedded;
mod error;
pub mod jetstream;

use crate::domain::limits::{BODY_BYTES_MAX, PRIVATE_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::domain::{Position, Rules, Timestamp};
use crate::wire::{Headers, binary};

pub use embedded::{EmbeddedLog, EmbeddedRestore};
pub use error::LogError;
pub use jetstream::JetStreamLog;

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The position of the record.
    pub position: Position,
    /// The time at which the log stored it, by the log's clock.
    pub recorded_at: Timestamp,
    /// The subject that it was published on.
    pub subject: Box<str>,
    /// The part that no API shows. Empty for events of runtimes.
    pub private: Bytes,
    /// The headers that belong to the event. Empty unless the message was in binary mode.
    pub headers: Headers,
    /// The stored bytes: the event as structured-mode JSON, or in binary mode its data.
    pub payload: Bytes,
}

impl Record {
    /// Returns the event as structured-mode JSON. The rules at the record's position decide how a
    /// message in binary mode is read.
    pub fn body(&self, rules: Rules) -> Bytes {
        binary::structured(rules, &self.headers, &self.payload)
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The subject to publish on.
    pub subject: Box<str>,
    /// The part that no API shows.
    pub private: Bytes,
    /// The event as structured-mode JSON.
    pub body: Bytes,
}

impl NewRecord {
    /// Whether every adapter accepts a record of this size.
    pub fn fits(&self) -> bool {
        self.body.len() <= BODY_BYTES_MAX
            && self.private.len() <= PRIVATE_BYTES_MAX
            && self.subject.len() <= SUBJECT_BYTES_MAX
    }
}

/// The condition of [`EventLog::append_after`]: the caller knows every record on certain subjects.
///
/// Both positions come from one snapshot of the read model, or from the caller's own appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The subjects. `*` stands for any one token.
    pub subject: &'static str,
    /// The last record on these subjects that the caller knows; zero if it knows none.
    pub after: Position,
    /// The last record on any subject that the caller knows. No record between `after` and this one is
    /// on the guard's subjects, so a log without an index of subjects need not search there. It may be
    /// less than `after`: a caller knows its own records before it has read up to them.
    pub read_to: Position,
}

impl Guard {
    /// Whether a subject is one of the guard's.
    pub fn covers(&self, subject: &str) -> bool {
        let (mut tokens, mut expected) = (subject.split('.'), self.subject.split('.'));
        loop {
            match (expected.next(), tokens.next()) {
                (None, None) => return true,
                (Some(expected), Some(token)) if expected == "*" || expected == token => {}
                _ => return false,
            }
        }
    }

    /// The first position that the caller does not know.
    pub fn first_unread(&self) -> Position {
        self.after.max(self.read_to).next()
    }
}

/// A message to the current listeners. The log does not store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The subject to publish on.
    pub subject: String,
    /// JSON text.
    pub payload: Vec<u8>,
}

/// The result of an append: one entry for each record, in the order given.
pub type Appended = Vec<Result<Position, LogError>>;

/// A log. No method has a default, so that no adapter forgets one.
pub trait EventLog: Send + Sync + 'static {
    /// Appends records, and waits until the log has stored them. One record can fail without the
    /// others.
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended>;

    /// Appends records as [`EventLog::append`] does, unless the log has a record on the guard's subjects
    /// that the caller does not know. Then this record and all after it fail as
    /// [`LogError::Overtaken`]. The records of this append do not count.
    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended>;

    /// Returns the records at these positions, in the order of the request. Fails as
    /// [`LogError::Truncated`] if a position is beyond the head.
    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// Returns records as [`EventLog::get`] does, but takes those from memory that a tail of this log has read
    /// lately. So it does not tell whether the log still has them.
    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;

    /// Starts to read after a position. Fails as [`LogError::Truncated`] if it is beyond the head.
    ///
    /// If another process can replace the log, the tail remembers the last record that was read: the one
    /// at this position, then the last that it returned. It fails as [`LogError::Replaced`] once the log
    /// has another record there.
    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>>;

    /// Asks the log for its last position.
    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>>;

    /// The last position that this process has seen, without a request to the log.
    fn known_head(&self) -> Position;

    /// Whether the log can be reached, without a request to it.
    fn is_available(&self) -> bool;

    /// Why the log accepts no records at present, without a request to it. `None` if no append has
    /// failed for such a reason since the last one that succeeded.
    fn refuses_writes(&self) -> Option<String>;

    /// Watches the log while nobody appends: whether it still exists, whether its servers answer, and
    /// whether a log that refuses writes accepts them again. Returns only if the process must end.
    fn watch(&self) -> BoxFuture<'_, LogError>;

    /// Sends notices to the current listeners, and returns whether all were sent. A log that nobody can
    /// listen to sends nothing and returns `true`.
    fn notify(&self, notices: Vec<Notice>) -> BoxFuture<'_, bool>;

    /// Closes the log: gives up its lock or its connections, which it may share with the other log of
    /// the ledger. Appends that have begun get their answer, which can be
    /// [`LogError::Unconfirmed`]. Closing twice is allowed.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A reader that follows a log.
pub trait Tail: Send {
    /// Returns the next records, at least one and at most `records_max`. Waits only if none has
    /// arrived. A caller that drops the future loses no records.
    fn next(&mut self, records_max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_covers_the_subjects_that_a_nats_server_would_compare() {
        let guard = |subject| Guard {
            subject,
            after: Position::ZERO,
            read_to: Position::ZERO,
        };
        let expiries = guard("ledger.sys.v1.*.session.expired");
        assert!(expiries.covers("ledger.sys.v1.acme.session.expired"));
        for other in [
            "ledger.sys.v1.acme.session.created",
            "ledger.v1.acme.session.expired",
            "ledger.sys.v1.acme.session.expired.more",
            "ledger.sys.v1.acme.session",
            "ledger.sys.v1.a.b.session.expired",
            "",
        ] {
            assert!(!expiries.covers(other), "{other}");
        }
        assert!(guard("a.b").covers("a.b"));
        assert!(!guard("a.b").covers("a.*"));
    }

    #[test]
    fn what_a_caller_has_not_read_begins_after_both_positions() {
        let first_unread = |after, read_to| {
            let (after, read_to) = (Position::new(after), Position::new(read_to));
            let subject = "a";
            let guard = Guard {
                subject,
                after,
                read_to,
            };
            guard.first_unread().get()
        };
        assert_eq!(first_unread(0, 0), 1);
        assert_eq!(first_unread(3, 9), 10);
        // The caller's own appends may be beyond what it has read.
        assert_eq!(first_unread(9, 3), 10);
    }
}
