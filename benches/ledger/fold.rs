//! How many events are folded a second, by size of batch. Every tenth commit is durable.

use std::time::{Duration, Instant};

use session_ledger::projection::{Commit, Store};

use crate::workload::Workload;

const BATCHES: [usize; 3] = [100, 1_000, 20_000];
const DURABLE_EVERY: usize = 10;

pub(crate) fn run(sessions: u64) {
    println!("fold into durable indexes, until there are {sessions} sessions");
    println!(
        "{:>8} {:>10} {:>14} {:>16} {:>12}",
        "batch", "events", "fold ev/s", "prepare us/ev", "B/session"
    );
    for batch in BATCHES {
        one(sessions, batch);
    }
}

fn one(sessions: u64, batch_records: usize) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.redb");
    let store = Store::open(&file).unwrap();
    let mut workload = Workload::new();
    let (mut folding, mut preparing) = (Duration::ZERO, Duration::ZERO);
    let (mut events, mut number) = (0_u32, 0_usize);
    while workload.sessions() < sessions {
        let started = Instant::now();
        let batch = workload.batch(batch_records);
        preparing += started.elapsed();
        number += 1;
        let commit = if number.is_multiple_of(DURABLE_EVERY) {
            Commit::Durable
        } else {
            Commit::Visible
        };
        let started = Instant::now();
        store.fold(&batch, commit).unwrap();
        folding += started.elapsed();
        events += u32::try_from(batch.len()).unwrap();
    }
    let started = Instant::now();
    store.flush().unwrap();
    folding += started.elapsed();
    let bytes = std::fs::metadata(&file).unwrap().len() / workload.sessions();
    println!(
        "{batch_records:>8} {events:>10} {:>14.0} {:>16.2} {bytes:>12}",
        f64::from(events) / folding.as_secs_f64(),
        preparing.as_secs_f64() * 1e6 / f64::from(events),
    );
}
