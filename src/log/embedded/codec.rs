//! The layout of a stored record. Numbers are big-endian.
//!
//! ```text
//! version (1) | checksum (4) | recorded_at in microseconds (8) | subject length (2)
//!     | private length (2) | subject | private | body (the rest)
//! ```
//!
//! The position is the table's key. The checksum is the CRC-32 of the position (8) and of everything
//! behind the checksum, because redb does not check the pages that it reads. Records of version 1 have
//! no checksum. Decoding checks every length and never panics. A file that was damaged on disk gives
//! [`LogError::Damaged`].

use bytes::{Buf, BufMut, Bytes};

use crate::domain::{Position, Timestamp};
use crate::log::{LogError, NewRecord, Record};
use crate::wire::Headers;

/// The version of the layout. A new version needs decoders for all older ones.
const VERSION: u8 = 2;
const VERSION_WITHOUT_CHECKSUM: u8 = 1;
/// The number of bytes before the checked ones.
const CHECKSUM_BYTES: usize = 1 + 4;
/// The number of bytes before the subject.
const HEAD_BYTES: usize = CHECKSUM_BYTES + 8 + 2 + 2;

/// The number of bytes that [`encode`] writes; `None` if a length does not fit its field.
pub(crate) fn encoded_len(record: &NewRecord) -> Option<usize> {
    u16::try_from(record.subject.len()).ok()?;
    u16::try_from(record.private.len()).ok()?;
    Some(HEAD_BYTES + record.subject.len() + record.private.len() + record.body.len())
}

/// Writes a record into exactly [`encoded_len`] bytes.
pub(crate) fn encode(
    position: Position,
    record: &NewRecord,
    recorded_at: Timestamp,
    out: &mut [u8],
) {
    let short = |length: usize| u16::try_from(length).expect("`encoded_len` checked the length");
    let (mut start, checked) = out.split_at_mut(CHECKSUM_BYTES);
    let mut rest = &mut *checked;
    rest.put_i64(recorded_at.micros());
    rest.put_u16(short(record.subject.len()));
    rest.put_u16(short(record.private.len()));
    rest.put_slice(record.subject.as_bytes());
    rest.put_slice(&record.private);
    rest.put_slice(&record.body);
    start.put_u8(VERSION);
    start.put_u32(checksum(position, checked));
}

fn checksum(position: Position, checked: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.get().to_be_bytes());
    hasher.update(checked);
    hasher.finalize()
}

/// Decodes a stored record.
pub(crate) fn decode(position: Position, bytes: &[u8]) -> Result<Record, LogError> {
    parse(position, bytes).ok_or_else(|| malformed(position))
}

/// Decodes the time stamp of a stored record.
pub(crate) fn decode_recorded_at(position: Position, bytes: &[u8]) -> Result<Timestamp, LogError> {
    let parts = Parts::split(position, bytes).ok_or_else(|| malformed(position))?;
    Ok(parts.recorded_at)
}

/// Decodes the subject of a stored record, and copies nothing.
pub(crate) fn decode_subject(position: Position, bytes: &[u8]) -> Result<&str, LogError> {
    let parts = Parts::split(position, bytes).ok_or_else(|| malformed(position))?;
    Ok(parts.subject)
}

fn malformed(position: Position) -> LogError {
    LogError::damaged(format!("the record at position {position} is malformed"))
}

/// The fields of a stored record.
struct Parts<'a> {
    recorded_at: Timestamp,
    subject: &'a str,
    private: &'a [u8],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(position: Position, mut bytes: &'a [u8]) -> Option<Self> {
        match bytes.try_get_u8().ok()? {
            VERSION => {
                let stored = bytes.try_get_u32().ok()?;
                if stored != checksum(position, bytes) {
                    return None;
                }
            }
            VERSION_WITHOUT_CHECKSUM => {}
            _ => return None,
        }
        let micros = bytes.try_get_i64().ok()?;
        let subject_len = bytes.try_get_u16().ok()?;
        let private_len = bytes.try_get_u16().ok()?;
        let (subject, bytes) = bytes.split_at_checked(subject_len.into())?;
        let (private, body) = bytes.split_at_checked(private_len.into())?;
        Some(Self {
            recorded_at: Timestamp::from_micros(micros)?,
            subject: std::str::from_utf8(subject).ok()?,
            private,
            body,
        })
    }
}

fn parse(position: Position, bytes: &[u8]) -> Option<Record> {
    let parts = Parts::split(position, bytes)?;
    Some(Record {
        position,
        recorded_at: parts.recorded_at,
        subject: parts.subject.into(),
        private: Bytes::copy_from_slice(parts.private),
        headers: Headers::default(),
        payload: Bytes::copy_from_slice(parts.body),
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn encoded(record: &NewRecord, recorded_at: Timestamp) -> Vec<u8> {
        let mut out = vec![0; encoded_len(record).unwrap()];
        encode(Position::new(7), record, recorded_at, &mut out);
        out
    }

    fn new_record() -> NewRecord {
        NewRecord {
            subject: "a.subj".into(),
            private: Bytes::from_static(b"priv"),
            body: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn records_of_the_version_without_checksums_are_read() {
        let bytes = b"\x01\0\0\0\0\0\0\0\x05\0\x06\0\x04a.subjpriv{}";
        let record = decode(Position::new(3), bytes).unwrap();
        assert_eq!(record.position, Position::new(3));
        assert_eq!(record.recorded_at.micros(), 5);
        assert_eq!(record.subject, new_record().subject);
        assert_eq!(record.private, new_record().private);
        assert_eq!(record.payload, new_record().body);
    }

    #[test]
    fn each_flipped_bit_and_each_other_position_is_damage() {
        let bytes = encoded(&new_record(), Timestamp::MIN);
        let damaged = |position, bytes: &[u8]| {
            matches!(
                decode(Position::new(position), bytes),
                Err(LogError::Damaged(_))
            )
        };
        assert!(!damaged(7, &bytes));
        assert!(damaged(8, &bytes));
        for bit in 0..bytes.len() * 8 {
            let flip = |(at, byte): (usize, &u8)| byte ^ (u8::from(at == bit / 8) << (bit % 8));
            let flipped: Vec<u8> = bytes.iter().enumerate().map(flip).collect();
            assert!(damaged(7, &flipped), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            subject in "[a-z.]{0,40}",
            private in vec(any::<u8>(), 0..200),
            body in vec(any::<u8>(), 0..2000),
            micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
        ) {
            let new = NewRecord {
                subject: subject.into(),
                private: private.into(),
                body: body.into(),
            };
            let recorded_at = Timestamp::from_micros(micros).unwrap();
            let bytes = encoded(&new, recorded_at);
            let record = decode(Position::new(7), &bytes).unwrap();
            prop_assert_eq!(decode_subject(record.position, &bytes).unwrap(), &*new.subject);
            prop_assert_eq!(record.position, Position::new(7));
            prop_assert_eq!(record.recorded_at, recorded_at);
            prop_assert_eq!(record.subject, new.subject);
            prop_assert_eq!(record.private, new.private);
            prop_assert_eq!(record.payload, new.body);
        }

        #[test]
        fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
            drop(decode(Position::new(1), &bytes));
        }

        #[test]
        fn random_bytes_after_a_valid_start_never_panic(bytes in vec(any::<u8>(), 0..300)) {
            let mut start = vec![VERSION_WITHOUT_CHECKSUM, 0, 0, 0, 0, 0, 0, 0, 1];
            start.extend(bytes);
            drop(decode(Position::new(1), &start));
        }

        #[test]
        fn a_record_cut_short_is_damaged(cut in 0_usize..29) {
            let bytes = encoded(&new_record(), Timestamp::MIN);
            let short = bytes.get(..cut).unwrap_or_default();
            prop_assert!(matches!(decode(Position::new(7), short), Err(LogError::Damaged(_))));
        }
    }
}
