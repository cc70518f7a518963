//! Folded events per second by batch size, in process: a tool for work on the fold. Every tenth commit
//! is durable.

use std::time::{Duration, Instant};

use session_ledger::domain::Rules;
use session_ledger::domain::Verdict;
use session_ledger::projection::{Commit, Prepared, Store};

use crate::child::disk_bytes;
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, float, per_second, us};
use crate::workload::{Ages, Workload};

const BATCHES: [usize; 4] = [100, 1_000, 20_000, 100_000];
const DURABLE_EVERY: usize = 10;

pub(crate) fn run(report: &mut Report, sessions: u64, ages: Ages) {
    let title =
        format!("into an empty read model, in process, until there are {sessions} sessions");
    let mut section = Section::new("fold --batches", title);
    for batch in BATCHES {
        one(&mut section, sessions, ages, batch);
    }
    report.add(section);
}

fn one(section: &mut Section, sessions: u64, ages: Ages, records: usize) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.redb");
    let store = Store::open(&file).unwrap();
    let mut workload = Workload::new(ages);
    let (mut folding, mut preparing) = (Duration::ZERO, Duration::ZERO);
    for number in 1.. {
        let events = std::iter::from_fn(|| workload.fill(sessions));
        let records: Vec<_> = events.take(records).map(|event| event.record()).collect();
        if records.is_empty() {
            break;
        }
        let started = Instant::now();
        let batch: Vec<_> = records
            .into_iter()
            .map(|record| Prepared::new(Rules::V1, record))
            .collect();
        preparing += started.elapsed();
        let durable = usize::is_multiple_of(number, DURABLE_EVERY);
        let commit = if durable {
            Commit::Durable
        } else {
            Commit::Visible
        };
        let started = Instant::now();
        let folded = store.fold(&batch, commit).unwrap();
        folding += started.elapsed();
        assert!(
            folded
                .verdicts
                .iter()
                .all(|verdict| *verdict == Verdict::Applied)
        );
    }
    let started = Instant::now();
    store.flush().unwrap();
    folding += started.elapsed();
    let events = workload.events();
    let rate = Figure::one(per_second(events, folding));
    section.row(Row::new(
        format!("batches of {records}, {events} events"),
        "events/s",
        rate,
    ));
    let each = Figure::one(us(preparing) / float(events));
    section.row(Row::new(
        "  decoding and hashing, on another thread when served",
        "us/event",
        each,
    ));
    let bytes = Figure::one(float(disk_bytes(&file)) / float(sessions));
    section.row(Row::new("  read model", "B/session", bytes));
}
