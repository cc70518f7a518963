//! The hash chain over all records. Two read models with the same head have folded the same log.
//!
//! ```text
//! head(0) = 32 zero bytes
//! head(n) = SHA-256( head(n-1) | position (8) | recorded_at in microseconds (8)
//!                    | length of subject (8) | subject
//!                    | SHA-256 of the private part (32) | SHA-256 of the body (32) )
//! ```
//!
//! Numbers are big-endian. The chain contains the hash of the private part and not the part itself, so
//! an auditor can check the chain without access to private parts.
//!
//! A [`TenantChain`] is the same chain over the records of one tenant. An auditor of the tenant can check it
//! without the records of others.

use sha2::{Digest, Sha256};

use crate::domain::{Position, Rules, Timestamp};
use crate::log::Record;

/// Head of the chain.
pub type ChainHead = [u8; 32];

/// The head of the chain before the first record.
pub const EMPTY: ChainHead = [0; 32];

/// The hashes of the parts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHashes {
    /// SHA-256 of the private part.
    pub private: [u8; 32],
    /// SHA-256 of the body.
    pub body: [u8; 32],
}

/// The chain over the records of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantChain {
    /// The number of records.
    pub events: u64,
    /// The last of them; 0 if there is none.
    pub position: Position,
    /// The head of the chain after it.
    pub head: ChainHead,
}

impl RecordHashes {
    /// Hashes the parts of a record.
    pub fn of(private: &[u8], body: &[u8]) -> Self {
        Self {
            private: Sha256::digest(private).into(),
            body: Sha256::digest(body).into(),
        }
    }
}

/// Returns the head of the chain after a record. `rules` are those that apply at its position.
pub fn next(head: &ChainHead, rules: Rules, record: &Record) -> ChainHead {
    let body = record.body(rules);
    link(head, record, &RecordHashes::of(&record.private, &body))
}

/// Returns the head of the chain after a record whose hashes are known.
pub(crate) fn link(head: &ChainHead, record: &Record, hashes: &RecordHashes) -> ChainHead {
    let at = (record.position, record.recorded_at);
    link_parts(head, at, &record.subject, hashes)
}

fn link_parts(
    head: &ChainHead,
    (position, recorded_at): (Position, Timestamp),
    subject: &str,
    hashes: &RecordHashes,
) -> ChainHead {
    let mut hasher = Sha256::new();
    hasher.update(head);
    hasher.update(position.get().to_be_bytes());
    hasher.update(recorded_at.micros().to_be_bytes());
    hasher.update((subject.len() as u64).to_be_bytes());
    hasher.update(subject.as_bytes());
    hasher.update(hashes.private);
    hasher.update(hashes.body);
    hasher.finalize().into()
}

impl TenantChain {
    /// The chain of a tenant without records.
    pub const EMPTY: Self = Self {
        events: 0,
        position: Position::ZERO,
        head: EMPTY,
    };

    /// Adds the tenant's next record: where and when the log stored it, its subject, and its hashes.
    pub fn add(&mut self, at: (Position, Timestamp), subject: &str, hashes: &RecordHashes) {
        self.head = link_parts(&self.head, at, subject, hashes);
        self.position = at.0;
        self.events += 1;
    }
}
