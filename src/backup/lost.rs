//! Records that stand in the place of lost ones.
//!
//! A record that cannot be read leaves a hole, and a log has no holes. So a backup that accepts the loss
//! has another record there, on a subject of the ledger that no runtime may use. Its type is no event of
//! this or any earlier build. So every build rejects it and changes nothing, by all rules.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::fields;
use super::mark::{LogKind, Mark};
use crate::domain::{Position, Timestamp};
use crate::log::Record;
use crate::wire::{Headers, Subject, source};

/// The type of the record.
const LOST: &str = "ledger.lost";
/// The subject of the record on the log of keys. There, `lost` stands in the place of a tenant.
const KEYS_SUBJECT: &str = "ledger.admin.v1.lost.key.issued";

/// Positions whose records are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostRange {
    /// The first position.
    #[serde(deserialize_with = "fields::position")]
    pub first: Position,
    /// The last position.
    #[serde(deserialize_with = "fields::position")]
    pub last: Position,
    /// When an operator accepted the loss.
    #[serde(deserialize_with = "fields::time")]
    pub accepted_at: Timestamp,
    /// Why the first of them could not be read.
    pub why: String,
}

/// The body of the record.
#[derive(Serialize)]
struct Body<'a> {
    specversion: &'a str,
    id: String,
    source: &'a str,
    r#type: &'static str,
    subject: String,
    time: String,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    why: String,
}

/// Makes the record for a lost position. Its time is that of the record before, the best guess that the
/// log allows.
pub(super) fn record(before: &Mark, why: &str, accepted_at: Timestamp) -> Record {
    let position = before.position.next();
    let body = Body {
        specversion: "1.0",
        id: format!("lost-{position}"),
        source: source::BACKUP,
        r#type: LOST,
        subject: position.to_string(),
        time: accepted_at.to_string(),
        data: Data {
            why: why.to_owned(),
        },
    };
    let body = serde_json::to_vec(&body).expect("texts are JSON");
    Record {
        position,
        recorded_at: before.recorded_at,
        subject: match before.kind {
            LogKind::Events => Subject::RULES.to_string().into(),
            LogKind::Keys => KEYS_SUBJECT.into(),
        },
        private: Bytes::new(),
        headers: Headers::default(),
        payload: body.into(),
    }
}

/// Whether a record stands in the place of a lost one, in a backup or in a log that was restored from it.
pub(super) fn stands_in(record: &Record) -> bool {
    #[derive(Deserialize)]
    struct Written {
        r#type: String,
    }
    let is_here = Subject::is_rules(&record.subject) || &*record.subject == KEYS_SUBJECT;
    let is_lost = |written: Written| written.r#type == LOST;
    is_here && serde_json::from_slice(&record.payload).is_ok_and(is_lost)
}

/// Adds a position to the ranges, which are in order.
pub(super) fn add(ranges: &mut Vec<LostRange>, position: Position, at: Timestamp, why: &str) {
    match ranges.last_mut() {
        Some(range) if range.last.next() == position => range.last = position,
        _ => ranges.push(LostRange {
            first: position,
            last: position,
            accepted_at: at,
            why: why.to_owned(),
        }),
    }
}
