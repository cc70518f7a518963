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

use sha2::{Digest, Sha256};

use crate::domain::Rules;
use crate::log::Record;

/// Head of the chain.
pub type ChainHead = [u8; 32];

/// The head of the chain before the first record.
pub const EMPTY: ChainHead = [0; 32];

/// The hashes of the parts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHashes {
    pub(crate) private: [u8; 32],
    pub(crate) body: [u8; 32],
}

impl RecordHashes {
    pub(crate) fn of(private: &[u8], body: &[u8]) -> Self {
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
    let mut hasher = Sha256::new();
    hasher.update(head);
    hasher.update(record.position.get().to_be_bytes());
    hasher.update(record.recorded_at.micros().to_be_bytes());
    hasher.update((record.subject.len() as u64).to_be_bytes());
    hasher.update(record.subject.as_bytes());
    hasher.update(hashes.private);
    hasher.update(hashes.body);
    hasher.finalize().into()
}
