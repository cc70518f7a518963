//! What the fuzz targets in `fuzz/` call: each function reads any bytes, and panics if a promise about them
//! is broken. A test below runs the committed inputs through the same functions.

mod requests;
mod traces;

use bytes::Bytes;

use crate::auth::fuzzing as auth;
use crate::domain::{AgentId, EventId, Position, ProjectId, Rules, SessionId, Source, TenantId};
use crate::domain::{Scopes, SessionFilter, Timestamp};
use crate::log::NewRecord;
use crate::log::embedded::codec;
use crate::projection::{self, ListingPlace};
use crate::query::Cursor;
use crate::wire::{self, Headers, Notes, Subject, binary};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 11] = [
    ("structured", structured),
    ("binary", binary_mode),
    ("subjects", subjects),
    ("ids", ids),
    ("cursors", cursors),
    ("requests", requests),
    ("tokens", tokens),
    ("keys", keys),
    ("rows", rows),
    ("records", records),
    ("traces", traces),
];

const SUBJECTS: [&str; 4] = [
    "ledger.v1.acme.session.created",
    "ledger.sys.v1.acme.session.created",
    "ledger.sys.v1.acme.session.expired",
    "ledger.sys.v1.rules",
];

/// An event in structured mode. The first byte chooses the rules, and the subject if the body has no type
/// for one.
pub fn structured(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    decode_on(*choice, body);
}

/// An event in binary mode: the byte of [`structured`], lines with a header each, an empty line, the body.
pub fn binary_mode(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else {
        return;
    };
    let end = message.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&message[..end], &message[end + 2..]),
        None => (message, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let headers = Headers::new(headers.map(|(name, value)| (name, value.trim_start())));
    let body = Bytes::copy_from_slice(body);
    let structured = binary::structured(rules(*choice), &headers, &body);
    let again = binary::structured(rules(*choice), &headers, &body);
    assert_eq!(structured, again);
    decode_on(*choice, &structured);
}

fn rules(choice: u8) -> Rules {
    if choice & 1 == 0 {
        Rules::V1
    } else {
        Rules::LATEST
    }
}

/// Decodes a body on the subject of its own type and on others. What it decodes to is encoded and decoded
/// again.
fn decode_on(choice: u8, body: &[u8]) {
    let rules = rules(choice);
    let own = kind(body).into_iter().flat_map(|kind| {
        let system = if choice & 2 == 0 { "" } else { "sys." };
        [format!("ledger.{system}v1.acme.{kind}")]
    });
    let other = SUBJECTS[usize::from(choice >> 2) % SUBJECTS.len()].to_owned();
    for subject in own.chain([other]) {
        let Ok(decoded) = wire::decode(rules, &subject, &[], body) else {
            continue;
        };
        let tenant = decoded.tenant.as_ref();
        let written = wire::encode(tenant, &decoded.event, Notes::default());
        let again = wire::decode(rules, &subject, &[], &written);
        let again = again.expect("an encoded event can be decoded");
        assert_eq!(again.event, decoded.event, "on {subject}");
        assert_eq!(again.tenant, decoded.tenant);
        assert!(
            again.ignored.is_empty(),
            "the ledger writes no unknown members"
        );
    }
}

fn kind(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("type")?.as_str()?.to_owned())
}

/// A NATS subject.
pub fn subjects(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(subject) = Subject::parse(text) {
        assert_eq!(subject.to_string(), text);
        assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
    }
}

/// Ids, a time, scopes.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    macro_rules! check {
        ($($id:ident)*) => {$(
            if let Ok(id) = $id::parse(text) {
                assert_eq!($id::parse(&id.to_string()), Ok(id));
            }
        )*};
    }
    check!(TenantId SessionId AgentId ProjectId EventId Source);
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    }
    let lines: Vec<&str> = text.lines().collect();
    if let Ok(scopes) = Scopes::parse(&lines) {
        let json: Vec<String> = serde_json::from_str(scopes.json()).expect("scopes are JSON");
        assert_eq!(Scopes::parse(&json), Ok(scopes));
    }
}

/// A cursor of a listing: as a text, and as the place that a cursor can hold.
pub fn cursors(data: &[u8]) {
    let (tenant, filter) = (
        TenantId::parse("acme").expect("an id"),
        SessionFilter::default(),
    );
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(cursor) = Cursor::parse(text, &tenant, &filter)
    {
        assert_eq!(cursor.to_text(), text);
    }
    if let Some(place) = data.first_chunk() {
        let cursor = Cursor::new(&tenant, &filter, ListingPlace::from_bytes(*place));
        assert_eq!(
            Cursor::parse(&cursor.to_text(), &tenant, &filter),
            Ok(cursor)
        );
        // A text that differs is another cursor, or none.
        let mut other = cursor.to_text().into_bytes();
        if let [at, byte, ..] = data[place.len()..] {
            let at = usize::from(at) % other.len();
            other[at] = byte;
            if let Ok(other) = std::str::from_utf8(&other)
                && let Ok(found) = Cursor::parse(other, &tenant, &filter)
            {
                assert_eq!(found.to_text(), other);
            }
        }
    }
}

/// A request that reads something, to the ledger's own API or to a dialect.
pub fn requests(data: &[u8]) {
    requests::get(data);
}

/// A token of an identity provider: as a text, and as claims under a valid signature.
pub fn tokens(data: &[u8]) {
    auth::token(data);
}

/// A record of the log of keys.
pub fn keys(data: &[u8]) {
    auth::key_record(data);
}

/// Stored rows and keys of the read model. The first byte chooses the kind.
pub fn rows(data: &[u8]) {
    if let Some((kind, bytes)) = data.split_first() {
        projection::fuzzing::row(*kind, bytes);
    }
}

/// A stored record of the built-in log: as it is, and behind the version that has no checksum.
pub fn records(data: &[u8]) {
    let position = Position::new(7);
    drop(codec::decode_subject(position, data));
    let without_checksum = [&[1], data].concat();
    for bytes in [data, &without_checksum] {
        let Ok(record) = codec::decode(position, bytes) else {
            continue;
        };
        let recorded_at = record.recorded_at;
        assert_eq!(
            codec::decode_recorded_at(position, bytes).ok(),
            Some(recorded_at)
        );
        let new = NewRecord {
            subject: record.subject.clone(),
            private: record.private.clone(),
            body: record.payload.clone(),
        };
        let len_bytes = codec::encoded_len(&new).expect("its lengths fit");
        let mut written = vec![0; len_bytes];
        codec::encode(position, &new, recorded_at, &mut written);
        let again = codec::decode(position, &written);
        assert_eq!(again.expect("a written record can be read"), record);
    }
}

/// An export of traces, in protobuf or JSON.
pub fn traces(data: &[u8]) {
    traces::export(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    #[test]
    fn the_committed_inputs_keep_all_promises() {
        for (name, target) in TARGETS {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/corpus")
                .join(name);
            let mut inputs = 0;
            for input in fs::read_dir(&corpus).unwrap() {
                target(&fs::read(input.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(0 < inputs, "{} has no inputs", corpus.display());
        }
    }
}
