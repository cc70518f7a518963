//! What can be worked out about a record without the read model: its hashes and its event.

use crate::log::Record;
use crate::projection::chain::RecordHashes;
use crate::projection::verdict_row::BodyHash;
use crate::wire::{self, Decoded, Undecodable};

/// A record that is ready to be folded.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) record: Record,
    pub(crate) hashes: RecordHashes,
    pub(crate) decoded: Result<Decoded, Undecodable>,
}

impl Prepared {
    /// Decodes and hashes a record.
    pub fn new(record: Record) -> Self {
        let hashes = RecordHashes::of(&record);
        let decoded = wire::decode(&record.subject, &record.private, &record.body);
        Self {
            record,
            hashes,
            decoded,
        }
    }

    /// The half of the body's hash by which copies are told from reused ids.
    pub(crate) fn body_hash(&self) -> BodyHash {
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.hashes.body;
        half
    }
}
