//! What a crash loses, and that replaying the log restores it.

use serde_json::json;
use session_ledger::domain::Rules;
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store, verify};

use crate::fold::world::World;

const BATCH: usize = 300;

/// A copy of the file between commits equals what a crash at that moment leaves.
#[test]
fn a_crash_loses_whole_batches_and_replay_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.redb");
    let store = Store::open(&path).unwrap();
    let mut world = World::new();
    let mut log: Vec<Record> = Vec::new();
    let mut durable = 0;
    for round in 0..9 {
        let first = log.len();
        for number in first..first + BATCH {
            let data = json!({"agent_id": format!("a{}", number % 7)});
            log.push(world.record("session.created", &format!("s{number}"), &data));
        }
        let commit = if round % 3 == 0 {
            Commit::Durable
        } else {
            Commit::Visible
        };
        if commit == Commit::Durable {
            durable = log.len();
        }
        fold(&store, &log[first..], commit);
        let copy = dir.path().join(format!("copy-{round}.redb"));
        std::fs::copy(&path, &copy).unwrap();
        let copy = Store::open(&copy).unwrap();
        let left = copy.snapshot().unwrap();
        assert_eq!(
            left.progress().position.get(),
            durable as u64,
            "round {round}"
        );
        assert_eq!(verify::totals(&left).unwrap(), []);
        drop(left);
        fold(&copy, &log[durable..], Commit::Durable);
        let digest = |store: &Store| store.snapshot().unwrap().digest().unwrap();
        assert_eq!(digest(&copy), digest(&store), "round {round}");
    }
}

fn fold(store: &Store, records: &[Record], commit: Commit) {
    let batch: Vec<Prepared> = records
        .iter()
        .cloned()
        .map(|record| Prepared::new(Rules::LATEST, record))
        .collect();
    store.fold(&batch, commit).unwrap();
}
