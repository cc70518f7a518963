//! Rows of the read model from any bytes, for the fuzz targets.

use crate::domain::Position;
use crate::projection::agent_row::{AgentRow, StoredAgent};
use crate::projection::before::SessionBefore;
use crate::projection::fold::parking::Parked;
use crate::projection::keys;
use crate::projection::meta::Progress;
use crate::projection::session_row::{SessionRow, StoredSession};
use crate::projection::tally;
use crate::projection::verdict_row::VerdictRow;

/// Reads a stored row or key of a kind. What can be read is written, and read again.
pub(crate) fn row(kind: u8, bytes: &[u8]) {
    match kind % 9 {
        0 => {
            // The public part is read without the hidden one.
            let public = SessionRow::decode(bytes);
            drop((SessionRow::tokens(bytes), SessionRow::history(bytes)));
            if let Ok(row) = StoredSession::decode(bytes) {
                assert!(public.is_ok());
                let again = StoredSession::decode(&row.encode());
                assert_eq!(again.expect("a written row can be read"), row);
            }
        }
        1 => {
            let public = AgentRow::decode(bytes);
            if let Ok(row) = StoredAgent::decode(bytes) {
                assert!(public.is_ok());
                let again = StoredAgent::decode(&row.encode());
                assert_eq!(again.expect("a written row can be read"), row);
            }
        }
        2 => {
            drop(VerdictRow::replaced(bytes));
            if let Ok(row) = VerdictRow::decode(bytes) {
                let again = VerdictRow::decode(&row.encode());
                assert_eq!(again.expect("a written row can be read"), row);
            }
        }
        3 => {
            let position = Position::new(7);
            if let Ok(parked) = Parked::decode(position, bytes) {
                let written = parked.encode();
                let again = Parked::decode(position, &written);
                assert_eq!(again.expect("a written row can be read").encode(), written);
            }
        }
        4 => {
            if let Ok(progress) = Progress::decode(bytes) {
                let again = Progress::decode(&progress.encode());
                assert_eq!(again.expect("a written row can be read"), progress);
            }
        }
        5 => {
            if let Ok(children) = tally::decode(bytes) {
                assert_eq!(tally::encode(&children), bytes);
            }
        }
        6 => key(bytes),
        7 => listing_key(bytes),
        _ => {
            if let Ok(state) = SessionBefore::decode(bytes) {
                let again = SessionBefore::decode(&state.encode());
                assert_eq!(again.expect("a written state can be read"), state);
            }
        }
    }
}

/// Reads keys of events and deadlines.
fn key(bytes: &[u8]) {
    if let Some(key) = bytes.first_chunk() {
        let (tenant, position) = keys::verdict_parts(*key);
        assert_eq!(keys::verdict(tenant, position), *key);
    }
    if let Some(key) = bytes.first_chunk() {
        let (deadline, ordinal) = keys::deadline_parts(*key);
        let again = keys::deadline(deadline, ordinal);
        assert_eq!(keys::deadline_parts(again), (deadline, ordinal));
    }
    std::hint::black_box(keys::waiting_position(bytes));
}

/// Reads a key of a listing.
fn listing_key(bytes: &[u8]) {
    if let Some(key) = bytes.first_chunk() {
        let (partition, sort_key) = (keys::partition_of(key), keys::sort_key_of(key));
        assert_eq!(keys::listing(partition, sort_key), *key);
        std::hint::black_box(keys::agent_of_active(partition));
        std::hint::black_box((keys::ordinal_of(&sort_key), keys::agent_of(&sort_key)));
        std::hint::black_box(keys::sort_key_after(sort_key));
    }
    if let Some(key) = bytes.first_chunk() {
        keys::rejection_position(*key);
    }
}
