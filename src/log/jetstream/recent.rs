//! The newest records that tails have read. They are kept so that reading them again needs no request to NATS.
//!
//! After a batch is folded, the feeds of followed events read its records again, each feed those of its filter.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::Position;
use crate::domain::limits::LOG_RECENT_BYTES_MAX;
use crate::log::Record;

/// A bounded number of bytes of records, in the order of their positions. There may be gaps.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Recent {
    /// Keeps the records that are newer than all that are kept.
    pub(super) fn keep(&self, records: &[Record]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kept.records.back().map(|record| record.position);
        let newer = records.iter().filter(|record| last < Some(record.position));
        for record in newer.filter(|record| is_plain(record)) {
            kept.bytes += bytes(record);
            // A copy: the payload is a part of the connection's buffer, which it would keep in memory.
            let payload = Bytes::copy_from_slice(&record.payload);
            let record = record.clone();
            kept.records.push_back(Record { payload, ..record });
        }
        while LOG_RECENT_BYTES_MAX < kept.bytes {
            let Some(oldest) = kept.records.pop_front() else {
                break;
            };
            kept.bytes -= bytes(&oldest);
        }
    }

    /// Returns the records at these positions, in the order given; `None` for each that is not kept.
    pub(super) fn find(&self, positions: &[Position]) -> Vec<Option<Record>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |position: &Position| {
            let index = kept
                .records
                .binary_search_by_key(position, |record| record.position);
            kept.records.get(index.ok()?).cloned()
        };
        positions.iter().map(find).collect()
    }
}

/// Whether a delivery has the same content as an answer to a read by position. The two can spell headers of
/// an event differently.
pub(super) fn is_plain(record: &Record) -> bool {
    record.headers.is_empty()
}

fn bytes(record: &Record) -> usize {
    size_of::<Record>() + record.subject.len() + record.private.len() + record.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::wire::Headers;

    fn record(position: u64, len_bytes: usize) -> Record {
        Record {
            position: Position::new(position),
            recorded_at: Timestamp::from_micros_clamped(0),
            subject: "a".into(),
            private: Bytes::new(),
            headers: Headers::default(),
            payload: vec![b'x'; len_bytes].into(),
        }
    }

    fn found(recent: &Recent, positions: &[u64]) -> Vec<Option<u64>> {
        let positions: Vec<_> = positions.iter().copied().map(Position::new).collect();
        let found = recent.find(&positions);
        let position = |found: Option<Record>| found.map(|record| record.position.get());
        found.into_iter().map(position).collect()
    }

    #[test]
    fn records_are_found_in_the_order_asked_for() {
        let recent = Recent::default();
        recent.keep(&[record(3, 1), record(4, 1), record(9, 1)]);
        assert_eq!(
            found(&recent, &[9, 3, 5, 4, 10]),
            [Some(9), Some(3), None, Some(4), None]
        );
    }

    #[test]
    fn a_tail_that_is_behind_another_changes_nothing() {
        let recent = Recent::default();
        recent.keep(&[record(5, 1), record(6, 1)]);
        recent.keep(&[record(1, 1), record(6, 1), record(7, 1)]);
        assert_eq!(
            found(&recent, &[1, 5, 6, 7]),
            [None, Some(5), Some(6), Some(7)]
        );
        assert_eq!(recent.0.lock().expect("no test panicked").records.len(), 3);
    }

    #[test]
    fn the_oldest_leave_first_and_their_bytes_are_bounded() {
        let recent = Recent::default();
        let tenth = LOG_RECENT_BYTES_MAX / 10;
        for position in 1..=25 {
            recent.keep(&[record(position, tenth)]);
            let kept = recent.0.lock().expect("no test panicked");
            assert!(kept.bytes <= LOG_RECENT_BYTES_MAX);
            assert_eq!(kept.bytes, kept.records.iter().map(bytes).sum::<usize>());
        }
        assert_eq!(found(&recent, &[16, 17, 25]), [None, Some(17), Some(25)]);
    }

    #[test]
    fn a_record_with_headers_of_its_own_is_not_kept() {
        let recent = Recent::default();
        let headers = Headers::new([("ce-specversion", "1.0")].into_iter());
        recent.keep(&[Record {
            headers,
            ..record(1, 1)
        }]);
        assert_eq!(found(&recent, &[1]), [None]);
    }
}
