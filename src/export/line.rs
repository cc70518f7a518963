//! An event as a line of JSON: in a page of the API, and in a file of an export.
//!
//! ```text
//! {"position":2,"recorded_at":"2026-01-31T12:00:00.000000Z","subject":"ledger.v1.acme.session.created",
//!  "private_sha256":"..","verdict":"applied","body":"..","chain":"..","crc32":".."}
//! ```
//!
//! The line of a page ends with the body. The client adds `chain`, the head of the tenant's chain after the
//! event, and `crc32`, that of the bytes before `,"crc32"`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::backup::fields;
use crate::backup::line::{bytes, text_or_base64};
use crate::domain::{Position, TenantId, Timestamp, Verdict};
use crate::log::Record;
use crate::log::chain::{ChainHead, RecordHashes, TenantChain};
use crate::projection::VerdictRow;
use crate::wire::Subject;

/// What comes before the chain in a line of a file.
const CHAIN: &[u8] = b",\"chain\":\"";
/// What comes before the checksum.
const CRC: &[u8] = b"\",\"crc32\":\"";
/// The end of a line of a file.
const END: &[u8] = b"\"}\n";
/// The hexadecimal digits of a chain and of a checksum.
const DIGITS: (usize, usize) = (64, 8);

/// An event, as a line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line<'a> {
    position: u64,
    recorded_at: Cow<'a, str>,
    subject: Cow<'a, str>,
    #[serde(with = "fields::hash")]
    private_sha256: [u8; 32],
    verdict: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written_by: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// It does not have the form of a line.
    #[error("it is not a line of an export")]
    Form,
    /// It is not the JSON of an event.
    #[error("it is not the JSON of an event")]
    Json(#[from] serde_json::Error),
    /// Its bytes were changed.
    #[error("its CRC-32 is not that of its bytes: the line was changed")]
    Crc,
    /// A field has a wrong value.
    #[error("its `{0}` is not valid")]
    Field(&'static str),
    /// It is of another tenant.
    #[error("its subject is not one of the tenant")]
    Tenant,
    /// It does not come after the line before.
    #[error("its position is not after {0}, the one before it: a line was added, moved or changed")]
    Order(Position),
    /// Another line comes before it.
    #[error(
        "its `chain` does not follow from the line before: a line before it is missing, or this line was \
         added, moved or changed"
    )]
    Chain,
}

impl<'a> Line<'a> {
    /// The line of an event with the verdict that it has at some position. `body` is the event as structured
    /// JSON.
    pub fn of(
        record: &'a Record,
        body: &'a Bytes,
        row: &VerdictRow,
        written_by: Option<&'a str>,
    ) -> Self {
        let (reason, first_position) = match row.verdict {
            Verdict::Applied | Verdict::Parked => (None, None),
            Verdict::Duplicate(first) => (None, Some(first.get())),
            Verdict::Rejected(reason) => (Some(reason.code().into()), None),
        };
        let (body, body_base64) = text_or_base64(body);
        Self {
            position: record.position.get(),
            recorded_at: record.recorded_at.to_string().into(),
            subject: Cow::Borrowed(&record.subject),
            private_sha256: Sha256::digest(&record.private).into(),
            verdict: row.verdict.as_str().into(),
            reason,
            first_position,
            settled_at: row.settled_at.map(Position::get),
            written_by: written_by.map(Cow::Borrowed),
            body,
            body_base64,
        }
    }

    /// Reads the line of a page.
    pub fn read(line: &[u8]) -> Result<Line<'static>, LineFault> {
        Ok(serde_json::from_slice(line)?)
    }

    /// The position of the event.
    pub fn position(&self) -> Position {
        Position::new(self.position)
    }

    /// Whether another line has the same record, whatever its verdict.
    pub fn is_same_record(&self, other: &Line<'_>) -> bool {
        self.position == other.position
            && self.recorded_at == other.recorded_at
            && self.subject == other.subject
            && self.private_sha256 == other.private_sha256
            && self.body == other.body
            && self.body_base64 == other.body_base64
    }

    /// The chain of a tenant after this event, which must be its next one.
    pub fn follow(&self, tenant: &TenantId, chain: &TenantChain) -> Result<TenantChain, LineFault> {
        if self.position() <= chain.position {
            return Err(LineFault::Order(chain.position));
        }
        let of_tenant =
            Subject::parse(&self.subject).is_some_and(|subject| subject.tenant() == Some(tenant));
        if !of_tenant {
            return Err(LineFault::Tenant);
        }
        let recorded_at = Timestamp::parse(&self.recorded_at)
            .filter(|time| time.text() == self.recorded_at.as_bytes())
            .ok_or(LineFault::Field("recorded_at"))?;
        let body = match (&self.body, &self.body_base64) {
            (Some(text), None) => Sha256::digest(text.as_bytes()),
            (None, Some(base64)) => {
                let body = bytes((None, Some(base64.clone())));
                Sha256::digest(body.ok_or(LineFault::Field("body_base64"))?)
            }
            (Some(_), Some(_)) | (None, None) => return Err(LineFault::Field("body")),
        };
        let hashes = RecordHashes {
            private: self.private_sha256,
            body: body.into(),
        };
        let mut next = *chain;
        next.add((self.position(), recorded_at), &self.subject, &hashes);
        Ok(next)
    }

    /// Writes the line of a file. `head` is that of the chain after the event.
    pub(super) fn store(&self, head: &ChainHead, out: &mut Vec<u8>) {
        out.clear();
        serde_json::to_writer(&mut *out, self).expect("an event is JSON");
        // The brace at the end.
        out.pop();
        out.extend_from_slice(CHAIN);
        out.extend_from_slice(hex::encode(head).as_bytes());
        let (quote, rest) = CRC.split_at(1);
        out.extend_from_slice(quote);
        let crc = crc32fast::hash(out);
        out.extend_from_slice(rest);
        out.extend_from_slice(format!("{crc:08x}").as_bytes());
        out.extend_from_slice(END);
    }

    /// Reads the line of a file, with its line end, and the head of the chain in it.
    pub(super) fn load(line: &[u8]) -> Result<(Line<'static>, ChainHead), LineFault> {
        let whole = line.strip_suffix(END).ok_or(LineFault::Form)?;
        let (rest, crc) = cut(whole, DIGITS.1)?;
        let rest = rest.strip_suffix(CRC).ok_or(LineFault::Form)?;
        let covered = line.get(..=rest.len()).ok_or(LineFault::Form)?;
        if format!("{:08x}", crc32fast::hash(covered)).as_bytes() != crc {
            return Err(LineFault::Crc);
        }
        let (rest, chain) = cut(rest, DIGITS.0)?;
        let rest = rest.strip_suffix(CHAIN).ok_or(LineFault::Form)?;
        let mut head = [0; 32];
        hex::decode_to_slice(chain, &mut head).map_err(|_not_hex| LineFault::Field("chain"))?;
        let read = Line::read(&[rest, b"}"].concat())?;
        // Only the bytes that `store` writes: no other member, and no other spelling.
        let mut stored = Vec::with_capacity(line.len());
        read.store(&head, &mut stored);
        if stored != line {
            return Err(LineFault::Form);
        }
        Ok((read, head))
    }
}

/// Cuts some bytes off the end.
fn cut(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), LineFault> {
    let at = bytes.len().checked_sub(count).ok_or(LineFault::Form)?;
    Ok(bytes.split_at(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Headers;

    fn record(payload: Vec<u8>) -> Record {
        Record {
            position: Position::new(7),
            recorded_at: Timestamp::from_micros_clamped(1),
            subject: "ledger.v1.acme.session.created".into(),
            private: Bytes::from_static(b"{}"),
            headers: Headers::default(),
            payload: payload.into(),
        }
    }

    fn line(record: &Record) -> Line<'_> {
        let mut line: Line<'_> = serde_json::from_value(serde_json::json!({
            "position": 7, "recorded_at": record.recorded_at, "subject": record.subject,
            "private_sha256": hex::encode(Sha256::digest(&record.private)),
            "verdict": "rejected", "reason": "not_json",
        }))
        .unwrap();
        (line.body, line.body_base64) = text_or_base64(&record.payload);
        line
    }

    proptest! {
        #[test]
        fn a_stored_line_reads_back_and_follows_as_its_record_does(
            payload in prop::collection::vec(any::<u8>(), 0..40),
            text in ".{0,20}",
            is_text: bool,
            flip: prop::sample::Index,
            bit in 0_u32..8,
        ) {
            let record = record(if is_text { text.into_bytes() } else { payload });
            let line = line(&record);
            let tenant = TenantId::parse("acme").unwrap();
            let chain = line.follow(&tenant, &TenantChain::EMPTY).unwrap();
            let mut expected = TenantChain::EMPTY;
            let hashes = RecordHashes::of(&record.private, &record.payload);
            expected.add((record.position, record.recorded_at), &record.subject, &hashes);
            prop_assert_eq!(chain, expected);

            let mut stored = Vec::new();
            line.store(&chain.head, &mut stored);
            let (read, head) = Line::load(&stored).unwrap();
            prop_assert_eq!((&read, head), (&line, chain.head));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&stored).is_ok());
            let at = flip.index(stored.len());
            stored[at] ^= 1 << bit;
            prop_assert!(Line::load(&stored).is_err());
        }
    }

    /// Writes the checksum of a line that somebody has changed.
    fn with_checksum(changed: &str) -> Vec<u8> {
        let crc = std::str::from_utf8(CRC).unwrap();
        let (before, _) = changed.rsplit_once(crc).unwrap();
        let covered = format!("{before}{}", &crc[..1]);
        let mut line = format!("{before}{crc}{:08x}", crc32fast::hash(covered.as_bytes()));
        line.push_str(std::str::from_utf8(END).unwrap());
        line.into_bytes()
    }

    #[test]
    fn a_line_with_another_member_or_spelling_is_refused() {
        let record = record(b"{}".to_vec());
        let mut stored = Vec::new();
        line(&record).store(&[7; 32], &mut stored);
        let text = String::from_utf8(stored.clone()).unwrap();
        assert_eq!(with_checksum(&text), stored);
        for (from, to) in [
            ("{", "{\"approved_by\":\"alice\","),
            ("\"position\":7", "\"position\": 7"),
            ("\"verdict\"", "\"settled_at\":null,\"verdict\""),
        ] {
            let changed = with_checksum(&text.replacen(from, to, 1));
            assert_ne!(changed, stored);
            assert!(Line::load(&changed).is_err(), "{to}");
        }
    }

    #[test]
    fn a_line_of_another_tenant_or_before_the_last_one_does_not_follow() {
        let record = record(b"{}".to_vec());
        let (acme, other) = (
            TenantId::parse("acme").unwrap(),
            TenantId::parse("b").unwrap(),
        );
        let first = line(&record).follow(&acme, &TenantChain::EMPTY).unwrap();
        let again = line(&record).follow(&acme, &first);
        assert!(matches!(again, Err(LineFault::Order(_))), "{again:?}");
        let foreign = line(&record).follow(&other, &TenantChain::EMPTY);
        assert!(matches!(foreign, Err(LineFault::Tenant)), "{foreign:?}");
    }
}
