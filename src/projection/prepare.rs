//! Prepares a record for the fold, as far as that needs no read model: its body, hashes and event.

use bytes::Bytes;

use crate::domain::{Payload, Rules};
use crate::log::Record;
use crate::log::chain::RecordHashes;
use crate::projection::verdict_row::{BodyHash, first_half};
use crate::wire::{self, Decoded, Subject, Undecodable};

/// A record that is ready to be folded.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) record: Record,
    /// The rules by which the record was decoded.
    pub(crate) rules: Rules,
    /// The event as structured JSON.
    pub(crate) body: Bytes,
    pub(crate) hashes: RecordHashes,
    pub(crate) decoded: Result<Decoded, Undecodable>,
}

impl Prepared {
    /// Decodes and hashes a record by the rules that apply at its position.
    pub fn new(rules: Rules, record: Record) -> Self {
        let body = record.body(rules);
        let hashes = RecordHashes::of(&record.private, &body);
        let decoded = wire::decode(rules, &record.subject, &record.private, &body);
        Self {
            record,
            rules,
            body,
            hashes,
            decoded,
        }
    }

    /// The members of the event's data that are unknown for its type.
    pub(crate) fn ignored(&self) -> &[String] {
        self.decoded
            .as_ref()
            .map_or(&[], |decoded| &decoded.ignored)
    }

    /// The first half of the body's hash. It distinguishes a copy of an event from a reused id.
    pub(crate) fn body_hash(&self) -> BodyHash {
        first_half(self.hashes.body)
    }
}

/// Returns the rules that apply after a record, given those that apply to it. A version that this build
/// does not know changes nothing here, because the fold stops at that record.
pub(crate) fn rules_after(rules: Rules, record: &Record) -> Rules {
    if !Subject::is_rules(&record.subject) {
        return rules;
    }
    let decoded = wire::decode(rules, &record.subject, &record.private, &record.body(rules));
    let asked = decoded
        .ok()
        .and_then(|decoded| match decoded.event.payload {
            Payload::Rules { version } => Rules::from_number(version),
            Payload::Session(..) | Payload::Agent(..) => None,
        });
    asked.map_or(rules, |asked| asked.max(rules))
}
