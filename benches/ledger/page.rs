//! How long a page of 50 rows with its exact total takes, at any depth. In process, without HTTP.

use std::hint::black_box;
use std::time::Instant;

use session_ledger::domain::session::Status;
use session_ledger::domain::{SessionFilter, StatusSet, TenantId};
use session_ledger::projection::{Commit, Store};
use session_ledger::query::{Start, sessions};

use crate::workload::Workload;

const BATCH: usize = 20_000;
const ROWS: usize = 50;
const ROUNDS: usize = 7;
const PAGES: u32 = 300;

pub(crate) fn run(total: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("model.redb")).unwrap();
    let mut workload = Workload::new();
    while workload.sessions() < total {
        store.fold(&workload.batch(BATCH), Commit::Visible).unwrap();
    }
    store.flush().unwrap();
    let tenant = TenantId::parse("t0").unwrap();
    println!(
        "page of {ROWS} rows and its total, {} sessions in the ledger",
        workload.sessions()
    );
    println!(
        "{:>12} {:>10} {:>10} {:>12} {:>9} {:>9}",
        "statuses", "total", "offset", "median us", "min us", "max us"
    );
    for (name, statuses) in [
        ("all", StatusSet::ALL),
        ("active", StatusSet::of(&[Status::Active]).unwrap()),
        (
            "two",
            StatusSet::of(&[Status::Active, Status::Terminated]).unwrap(),
        ),
    ] {
        let filter = SessionFilter {
            statuses,
            ..SessionFilter::default()
        };
        let count = sessions::count(&store.snapshot().unwrap(), &tenant, &filter)
            .unwrap()
            .total;
        for percent in [0, 10, 50, 90, 99] {
            let offset = count * percent / 100;
            let times = rounds(&store, &tenant, &filter, offset);
            println!(
                "{name:>12} {count:>10} {offset:>10} {:>12.1} {:>9.1} {:>9.1}",
                times[ROUNDS / 2],
                times[0],
                times[ROUNDS - 1],
            );
        }
    }
}

/// Microseconds a page, round by round, sorted.
fn rounds(store: &Store, tenant: &TenantId, filter: &SessionFilter, offset: u64) -> Vec<f64> {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..PAGES {
                let snapshot = store.snapshot().unwrap();
                let start = Start::Offset(offset);
                black_box(sessions::list(&snapshot, tenant, filter, start, ROWS).unwrap());
            }
            started.elapsed().as_secs_f64() * 1e6 / f64::from(PAGES)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}
