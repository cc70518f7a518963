//! A record as a line of JSON, which other tools can read.
//!
//! ```text
//! {"position":2,"recorded_at":"2026-01-31T12:00:00.000000Z","subject":"ledger.v1.acme.session.created",
//!  "headers":[["ce-id","a"]],"private":"..","payload":".."}
//! ```
//!
//! `headers` and `private` are absent if they are empty. Bytes that are no text are in `private_base64`
//! and `payload_base64` instead.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::{Position, Timestamp};
use crate::log::Record;
use crate::wire::Headers;

/// A record, as a line has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line<'a> {
    position: u64,
    recorded_at: Cow<'a, str>,
    subject: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Why a line is not a record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not the JSON of a record.
    #[error("it is not the JSON of a record")]
    Json(#[from] serde_json::Error),
    /// A field has a wrong value.
    #[error("its `{0}` is not valid")]
    Field(&'static str),
}

impl<'a> Line<'a> {
    /// The line of a record.
    pub fn of(record: &'a Record) -> Self {
        let (private, private_base64) = match &record.private {
            empty if empty.is_empty() => (None, None),
            bytes => text_or_base64(bytes),
        };
        let (payload, payload_base64) = text_or_base64(&record.payload);
        let headers = record.headers.iter();
        Self {
            position: record.position.get(),
            recorded_at: record.recorded_at.to_string().into(),
            subject: Cow::Borrowed(&record.subject),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            private,
            private_base64,
            payload,
            payload_base64,
        }
    }

    /// Reads the record of a line.
    pub fn read(line: &[u8]) -> Result<Record, LineError> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        let recorded_at = Timestamp::parse(&line.recorded_at);
        let private = match (line.private, line.private_base64) {
            (None, None) => Bytes::new(),
            parts => bytes(parts).ok_or(LineError::Field("private"))?,
        };
        let payload = bytes((line.payload, line.payload_base64));
        let headers = line.headers.iter();
        Ok(Record {
            position: Position::new(line.position),
            recorded_at: recorded_at.ok_or(LineError::Field("recorded_at"))?,
            subject: line.subject.into(),
            private,
            headers: Headers::new(headers.map(|(name, value)| (&**name, &**value))),
            payload: payload.ok_or(LineError::Field("payload"))?,
        })
    }
}

/// The two forms of bytes in a line: text, or else base64.
pub(crate) fn text_or_base64(bytes: &Bytes) -> (Option<Cow<'_, str>>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(Cow::Borrowed(text)), None),
        Err(_not_text) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// Returns the bytes of the one form that a line has; `None` if it has both, none, or no base64.
pub(crate) fn bytes(parts: (Option<Cow<'_, str>>, Option<String>)) -> Option<Bytes> {
    match parts {
        (Some(text), None) => Some(text.into_owned().into()),
        (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(record: &Record) {
        let line = serde_json::to_vec(&Line::of(record)).unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(&Line::read(&line).unwrap(), record);
    }

    proptest! {
        #[test]
        fn every_record_reads_back(
            position in any::<u64>(),
            micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
            subject in ".{0,20}",
            headers in prop::collection::vec(("ce-[a-z]{1,4}", ".{0,8}"), 0..3),
            private in prop::collection::vec(any::<u8>(), 0..20),
            payload in prop::collection::vec(any::<u8>(), 0..40),
            text in ".{0,20}",
        ) {
            let binary = [("ce-specversion", "1.0")].into_iter();
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let mut record = Record {
                position: Position::new(position),
                recorded_at: Timestamp::from_micros(micros).unwrap(),
                subject: subject.into(),
                private: private.into(),
                headers: Headers::new(binary.chain(headers)),
                payload: payload.into(),
            };
            round_trip(&record);
            record.headers = Headers::default();
            record.payload = text.into();
            round_trip(&record);
        }
    }

    #[test]
    fn a_line_with_an_unknown_or_a_double_part_is_no_record() {
        let line = |more: &str| {
            let time = "2026-01-31T12:00:00.000000Z";
            format!(r#"{{"position":1,"recorded_at":"{time}","subject":"s"{more}}}"#)
        };
        assert!(Line::read(line(r#","payload":"""#).as_bytes()).is_ok());
        for wrong in [
            "",
            r#","payload":"","payload_base64":"""#,
            r#","payload_base64":"?""#,
            r#","payload":"","more":1"#,
            r#","payload":"","payload":"""#,
        ] {
            assert!(Line::read(line(wrong).as_bytes()).is_err(), "{wrong}");
        }
    }
}
