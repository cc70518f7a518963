//! How far a node has read the log of keys, so that it recognizes the log after a restart.
//!
//! An older copy of the log lacks revocations, so that revoked keys would be valid again.

use std::fmt;
use std::str::FromStr;

use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::domain::{Position, Rules};
use crate::log::chain::{self, ChainHead};
use crate::log::{EventLog, LogError, Record};

/// The last record of the log of keys that a node has read, and a hash chain over all records up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    position: Position,
    chain: ChainHead,
}

/// A text that is not a [`Seen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must hold a position and 64 hexadecimal digits")]
pub struct NotSeen;

impl Seen {
    /// Nothing was read.
    pub const NOTHING: Self = Self {
        position: Position::ZERO,
        chain: chain::EMPTY,
    };

    /// The last position that was read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The chain at that position.
    pub fn chain(&self) -> ChainHead {
        self.chain
    }

    /// Adds the next record.
    pub(super) fn add(&mut self, record: &Record) {
        // The rules matter only to messages in binary mode. They must not change with a build, because
        // the chain would change with them.
        self.chain = chain::next(&self.chain, Rules::V1, record);
        self.position = record.position;
    }

    /// Checks that a log has everything that was read. Fails as [`LogError::Truncated`] or
    /// [`LogError::Replaced`].
    pub async fn check(&self, log: &dyn EventLog) -> Result<(), LogError> {
        // This fails if the log is shorter. A log of several servers asks for a while before that.
        drop(log.tail(self.position).await?);
        let (mut found, mut tail) = (Self::NOTHING, log.tail(Position::ZERO).await?);
        while found.position < self.position {
            let records = tail.next(LOG_READ_RECORDS_MAX).await?;
            let up_to = records
                .iter()
                .take_while(|one| one.position <= self.position);
            up_to.for_each(|record| found.add(record));
        }
        if found == *self {
            return Ok(());
        }
        Err(LogError::Replaced { at: self.position })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.position, hex::encode(self.chain))
    }
}

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Self, NotSeen> {
        let (position, digits) = text.trim_end().split_once(' ').ok_or(NotSeen)?;
        let position = Position::new(position.parse().map_err(|_not_a_number| NotSeen)?);
        let mut chain = chain::EMPTY;
        hex::decode_to_slice(digits, &mut chain).map_err(|_not_hex| NotSeen)?;
        Ok(Self { position, chain })
    }
}
