//! Makes records of stored messages.
//!
//! A message arrives as a delivery or as the answer to a request. [`record`] reads both, so the record is
//! equal.

use std::str::FromStr as _;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::domain::{Position, Timestamp};
use crate::log::Record;
use crate::wire::Headers;

/// The header with the private part, in base64.
pub(super) const PRIVATE_HEADER: &str = "Ledger-Private";
/// The header with the media type of the body.
pub(super) const CONTENT_TYPE_HEADER: &str = "content-type";
/// The media type of the events that the ledger publishes.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";

/// What the reply subject of a delivery tells about the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) position: Position,
    /// The number of this delivery. If one is missing, a message was lost on its way.
    pub(super) consumer_sequence: u64,
    pub(super) recorded_at: Timestamp,
    /// The number of records after this one when the server sent it.
    pub(super) pending: u64,
}

impl Delivery {
    /// Reads `$JS.ACK.[domain.account.]stream.consumer.delivered.position.sequence.time.pending`. The
    /// form with a domain may have one more token at the end. Returns `None` for any other subject:
    /// the server's own notices have one.
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let tokens = rest.split('.').count();
        let skipped = if tokens == 7 { 3 } else { 5 };
        let mut numbers = rest.split('.').skip(skipped).map(u64::from_str);
        let mut next = || numbers.next()?.ok();
        let (position, consumer_sequence, time_ns, pending) = (next()?, next()?, next()?, next()?);
        let micros = i64::try_from(time_ns / 1000).ok()?;
        Some(Self {
            position: Position::new(position),
            consumer_sequence,
            recorded_at: Timestamp::from_micros_clamped(micros),
            pending,
        })
    }
}

/// Makes a record of the parts of a message.
pub(super) fn record(
    position: Position,
    recorded_at: Timestamp,
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: Bytes,
) -> Record {
    let private = headers.and_then(|headers| headers.get(PRIVATE_HEADER));
    Record {
        position,
        recorded_at,
        subject: subject.into(),
        private: private.map_or_else(Bytes::new, |value| decode_private(value.as_str())),
        headers: headers.map(of_event).unwrap_or_default(),
        payload,
    }
}

/// Parses stored headers as the client library does for a delivery. Returns no headers if the library
/// could not parse them, so that the message is still read and gets a verdict.
pub(super) fn parse_headers(bytes: &[u8]) -> HeaderMap {
    parse_block(bytes).unwrap_or_default()
}

fn parse_block(bytes: &[u8]) -> Option<HeaderMap> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines().peekable();
    lines.next()?.strip_prefix("NATS/1.0")?;
    let mut headers = HeaderMap::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_str(name).ok()?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        headers.append(name, HeaderValue::from_str(value.trim_end()).ok()?);
    }
    Some(headers)
}

/// Decodes the private part. If it is not base64, the ledger has not written it. Then this returns the
/// bytes unchanged, so that the fold rejects the record.
fn decode_private(value: &str) -> Bytes {
    STANDARD.decode(value).map_or_else(
        |_not_base64| Bytes::copy_from_slice(value.as_bytes()),
        Bytes::from,
    )
}

/// Returns the headers that belong to the event, sorted. The library keeps headers in random order.
fn of_event(headers: &HeaderMap) -> Headers {
    Headers::new(headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| (name, value.as_str()))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Rules;

    fn delivery(position: u64, pending: u64) -> Delivery {
        Delivery {
            position: Position::new(position),
            consumer_sequence: 3,
            recorded_at: Timestamp::from_micros_clamped(1_700_000_000_123_456),
            pending,
        }
    }

    #[test]
    fn reply_subjects_of_both_forms_are_understood() {
        for reply in [
            "$JS.ACK.LEDGER.c1.1.17.3.1700000000123456789.5",
            "$JS.ACK.hub.ACC.LEDGER.c1.1.17.3.1700000000123456789.5",
            "$JS.ACK._.ACC.LEDGER.c1.1.17.3.1700000000123456789.5.x7Yq",
        ] {
            assert_eq!(Delivery::parse(reply), Some(delivery(17, 5)), "{reply}");
        }
        for wrong in [
            "",
            "_INBOX.a.b",
            "$JS.ACK.",
            "$JS.ACK.a.b.c.d.e.f.g",
            "$JS.ACK.1.2.3",
        ] {
            assert_eq!(Delivery::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn headers_parse_as_the_client_library_parses_them() {
        let headers = parse_headers(b"NATS/1.0\r\nA: 1\r\nA:2\r\nb:  long\r\n er \r\n\r\n");
        let all: Vec<_> = headers.get_all("A").map(HeaderValue::as_str).collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(headers.get("b").map(HeaderValue::as_str), Some("long er"));
        for broken in [
            &b"NATS/1.0\r\nno colon\r\n\r\n"[..],
            b"\xff\xfe",
            b"",
            b"HTTP/1.1\r\n",
        ] {
            assert!(parse_headers(broken).is_empty());
        }
    }

    #[test]
    fn a_binary_mode_message_becomes_a_structured_event() {
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("CE-id", "a1");
        headers.insert("Content-Type", "application/json");
        headers.insert("other", "x");
        let payload = Bytes::from_static(br#"{"agent_id":"a"}"#);
        let record = record(
            Position::new(1),
            Timestamp::MIN,
            "s",
            Some(&headers),
            payload,
        );
        for rules in Rules::ALL {
            let event: serde_json::Value = serde_json::from_slice(&record.body(rules)).unwrap();
            assert_eq!(event["specversion"], "1.0");
            assert_eq!(event["id"], "a1");
            assert_eq!(event["data"]["agent_id"], "a");
            assert!(event.get("other").is_none());
        }
    }

    #[test]
    fn a_private_part_that_is_not_base64_is_kept_as_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert(PRIVATE_HEADER, "not base64!");
        let record = record(
            Position::new(1),
            Timestamp::MIN,
            "s",
            Some(&headers),
            Bytes::new(),
        );
        assert_eq!(record.private, "not base64!");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse_headers(&bytes);
            prop_assert_eq!(Delivery::parse(&String::from_utf8_lossy(&bytes)), None);
        }

        #[test]
        fn random_reply_subjects_never_panic(tail in "[0-9.]{0,80}") {
            let delivery = Delivery::parse(&format!("$JS.ACK.{tail}"));
            prop_assert!(delivery.is_none_or(|found| found.recorded_at <= Timestamp::MAX));
        }
    }
}
