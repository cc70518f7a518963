//! Tallies against sorted lists.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase};

use super::*;
use crate::domain::Timestamp;
use crate::domain::session::Status;
use crate::projection::keys::SessionOwner;
use crate::projection::numbers::Ordinal;
use crate::projection::tables::{ReadTables, Tables};

const STATUSES: [Status; 2] = [Status::Active, Status::Terminated];

/// A session that comes, and perhaps goes over to the other status or away again.
#[derive(Debug, Clone, Copy)]
struct Life {
    created_us: i64,
    moves: bool,
    leaves: bool,
}

/// Times as imports and bursts bring them: the same microsecond, the same second, ten years.
fn created_us() -> impl Strategy<Value = i64> {
    const DECADE_US: i64 = 10 * 366 * 86_400 * 1_000_000;
    prop_oneof![
        3 => Just(0_i64),
        2 => 0..1_000_000_i64,
        1 => (0..DECADE_US / 1_000_000).prop_map(|second| second * 1_000_000),
        1 => -DECADE_US..DECADE_US,
    ]
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (created_us(), any::<bool>(), proptest::bool::weighted(0.2)).prop_map(
        |(created_us, moves, leaves)| Life {
            created_us,
            moves,
            leaves,
        },
    );
    prop::collection::vec(life, 0..700)
}

/// The changes of all lives, in three rounds: everybody comes, some move, some leave.
fn changes(lives: &[Life]) -> Vec<(Status, SortKey, i64)> {
    let mut changes = Vec::new();
    let sort_keys: Vec<SortKey> = (0_u64..)
        .map(Ordinal::new)
        .zip(lives)
        .map(|(ordinal, life)| {
            keys::session_sort_key(Timestamp::from_micros_clamped(life.created_us), ordinal)
        })
        .collect();
    changes.extend(
        sort_keys
            .iter()
            .map(|sort_key| (Status::Active, *sort_key, 1)),
    );
    for (life, sort_key) in lives.iter().zip(&sort_keys).filter(|(life, _)| life.moves) {
        changes.push((Status::Active, *sort_key, -1));
        changes.push((Status::Terminated, *sort_key, i64::from(!life.leaves)));
    }
    changes.retain(|(_, _, change)| *change != 0);
    changes
}

fn partition_of(status: Status) -> Partition {
    keys::partition_of_class(SessionOwner::Agent(AgentNumber::new(7)), status as u8)
}

/// Applies the changes in batches of this size and returns every byte of the result.
fn build_db(changes: &[(Status, SortKey, i64)], batch: usize) -> Database {
    let db = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    for batch in changes.chunks(batch.max(1)) {
        let txn = db.begin_write().unwrap();
        let mut tables = Tables::open(&txn).unwrap();
        // A batch has at most one change per key, as the fold guarantees.
        let mut net = BTreeMap::new();
        for (status, sort_key, change) in batch {
            *net.entry(keys::listing(partition_of(*status), *sort_key))
                .or_insert(0) += change;
        }
        let deltas: Vec<Delta> = net
            .into_iter()
            .filter(|(_, change)| *change != 0)
            .map(|(key, change)| Delta { key, change })
            .collect();
        let mut listings = ListingTables {
            listing: &mut tables.listing,
            totals: &mut tables.totals,
            tallies: &mut tables.tallies,
        };
        apply(&mut listings, &deltas).unwrap();
        drop(tables);
        txn.commit().unwrap();
    }
    // Even without any change the tables are there.
    let txn = db.begin_write().unwrap();
    drop(Tables::open(&txn).unwrap());
    txn.commit().unwrap();
    db
}

fn bytes_of(db: &Database) -> Vec<u8> {
    let mut all = Vec::new();
    let tables = ReadTables::open(&db.begin_read().unwrap()).unwrap();
    tables
        .visit_all(&mut |table, key, value| {
            all.extend([table.as_bytes(), key, value].concat());
        })
        .unwrap();
    all
}

fn sorted(changes: &[(Status, SortKey, i64)], wanted: &[Status]) -> Vec<SortKey> {
    let mut sort_keys = BTreeSet::new();
    for (status, sort_key, change) in changes
        .iter()
        .filter(|(status, _, _)| wanted.contains(status))
    {
        if 0 < *change {
            sort_keys.insert((*status, *sort_key));
        } else {
            sort_keys.remove(&(*status, *sort_key));
        }
    }
    let mut sort_keys: Vec<SortKey> = sort_keys
        .into_iter()
        .map(|(_, sort_key)| sort_key)
        .collect();
    sort_keys.sort_unstable();
    sort_keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rank_and_select_are_those_of_a_sorted_list(
        lives in lives(),
        batch in 1_usize..400,
        picks in prop::collection::vec((any::<prop::sample::Index>(), created_us()), 1..40),
    ) {
        let changes = changes(&lives);
        let db = build_db(&changes, batch);
        let tables = ReadTables::open(&db.begin_read().unwrap()).unwrap();
        let counter = Counter {
            listing: &tables.listing,
            tallies: &tables.tallies,
            totals: &tables.totals,
        };
        for wanted in [&STATUSES[..], &STATUSES[..1], &STATUSES[1..]] {
            let list = sorted(&changes, wanted);
            let partitions: Vec<Partition> = wanted.iter().map(|status| partition_of(*status)).collect();
            for (pick, time) in &picks {
                let rank = pick.index(list.len() + 1);
                let found = counter.select(&partitions, rank as u64).unwrap();
                prop_assert_eq!(found, list.get(rank).copied());
                let sort_key = keys::sort_key_before(Timestamp::from_micros_clamped(*time));
                let before: u64 =
                    partitions.iter().map(|partition| counter.rank(*partition, sort_key).unwrap()).sum();
                prop_assert_eq!(before, list.iter().filter(|other| **other < sort_key).count() as u64);
            }
        }
    }

    #[test]
    fn batches_of_any_size_give_the_same_bytes(lives in lives(), batch in 1_usize..400) {
        let changes = changes(&lives);
        prop_assert!(bytes_of(&build_db(&changes, batch)) == bytes_of(&build_db(&changes, 60)));
        let at_once = build_db(&changes, changes.len());
        prop_assert!(bytes_of(&build_db(&changes, batch)) == bytes_of(&at_once));
    }
}
