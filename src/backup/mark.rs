//! A point on a log: the last record, and the hash chain over all records up to it.

use crate::domain::{Position, Rules, Timestamp};
use crate::log::Record;
use crate::log::chain::{self, ChainHead};
use crate::projection::rules_after;

/// One of the two logs of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LogKind {
    /// The log of events.
    Events,
    /// The log of API keys.
    Keys,
}

impl LogKind {
    /// Both logs.
    pub const ALL: [Self; 2] = [Self::Events, Self::Keys];

    /// The word for the log in names of files.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A point on a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The log.
    pub kind: LogKind,
    /// The last record.
    pub position: Position,
    /// When the log stored that record.
    pub recorded_at: Timestamp,
    /// The chain over all records up to it.
    pub chain: ChainHead,
    /// The chain over all records before it, which allows a check of that one record.
    pub chain_before: ChainHead,
    /// The rules for the next record. The log of keys always has the first rules, as
    /// [`auth::Seen`](crate::auth::Seen) does.
    pub rules: Rules,
}

impl Mark {
    /// The point before the first record of a log.
    pub fn start(kind: LogKind) -> Self {
        Self {
            kind,
            position: Position::ZERO,
            recorded_at: Timestamp::MIN,
            chain: chain::EMPTY,
            chain_before: chain::EMPTY,
            rules: Rules::V1,
        }
    }

    /// Moves to the next record. Returns whether it is the next one.
    pub fn advance(&mut self, record: &Record) -> bool {
        if record.position != self.position.next() {
            return false;
        }
        self.chain_before = self.chain;
        self.chain = chain::next(&self.chain, self.rules, record);
        self.position = record.position;
        self.recorded_at = record.recorded_at;
        if self.kind == LogKind::Events {
            self.rules = rules_after(self.rules, record);
        }
        true
    }

    /// Whether a record is the last one before this point.
    pub fn ends_with(&self, record: &Record) -> bool {
        // The rules at the record differ from those after it only if it is a change of the rules.
        let is_last = |rules| chain::next(&self.chain_before, rules, record) == self.chain;
        record.position == self.position && Rules::ALL.into_iter().any(is_last)
    }
}
