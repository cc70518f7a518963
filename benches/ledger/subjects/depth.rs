//! Pages of one tenant's sessions at any offset, for several distributions of their times: in process,
//! compared with PostgreSQL.

use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use session_ledger::domain::Rules;
use session_ledger::domain::{SessionFilter, TenantId};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::{PageStart, Sight, sessions};

use crate::postgres::deep_pages;
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, us};
use crate::targets;
use crate::workload::{SEED, record, time_us, timestamp};

const BATCH: u64 = 100_000;
const ROWS: usize = 50;
const ROUNDS: usize = 7;
const PAGES: u32 = 300;
const PERCENTS: [u64; 3] = [0, 50, 90];
const SECOND_US: i64 = 1_000_000;
const TEN_YEARS_US: i64 = 10 * 365 * 86_400 * SECOND_US;
const AGENTS: u64 = 1_000;

/// The distribution of the times of creation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Live,
    Rounded,
    Random,
    RandomRounded,
}

impl Times {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Live, "half a millisecond apart"),
        (Self::Rounded, "rounded to the second"),
        (Self::Random, "random over ten years"),
        (
            Self::RandomRounded,
            "random over ten years, rounded to the second",
        ),
    ];

    fn time_us(self, number: u64, random: &mut Rng) -> i64 {
        let live = time_us(number);
        let rounded = |time: i64| time - time.rem_euclid(SECOND_US);
        match self {
            Self::Live => live,
            Self::Rounded => rounded(live),
            Self::Random => live - random.i64(0..TEN_YEARS_US),
            Self::RandomRounded => rounded(live - random.i64(0..TEN_YEARS_US)),
        }
    }
}

pub(crate) async fn run(report: &mut Report, sessions: u64, with_postgres: bool) {
    let title = format!(
        "{ROWS} rows and the exact total of one tenant with {sessions} sessions, in process"
    );
    let mut section = Section::new("depth", title);
    let offsets = PERCENTS.map(|percent| sessions * percent / 100);
    let mut postgres = if with_postgres {
        deep_pages(sessions, &offsets).await
    } else {
        None
    };
    for (times, name) in Times::ALL {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("model.redb")).unwrap();
        fill(&store, times, sessions);
        let mut first = None;
        for (index, offset) in offsets.into_iter().enumerate() {
            let figure = pages(&store, sessions, offset);
            let mut row = Row::new(format!("created {name}: offset {offset}"), "us", figure);
            match first {
                None => first = Some(figure.median),
                Some(_) => {
                    row = row
                        .against("offset 0", first)
                        .ratio_must(targets::DEEP_TO_FIRST);
                }
            }
            if times == Times::Live {
                let theirs = postgres.as_ref().map(|times| times[index]);
                row = row.against("PostgreSQL", theirs);
            }
            section.row(row);
        }
        postgres = None;
    }
    report.add(section);
}

fn fill(store: &Store, times: Times, sessions: u64) {
    let mut random = Rng::with_seed(SEED);
    let mut folded = 0;
    while folded < sessions {
        let upto = sessions.min(folded + BATCH);
        let batch = (folded + 1..=upto)
            .map(|number| Prepared::new(Rules::V1, created(number, times, &mut random)));
        store
            .fold(&batch.collect::<Vec<_>>(), Commit::Visible)
            .unwrap();
        // Database pages that a commit freed are reused only after a durable commit.
        store.flush().unwrap();
        folded = upto;
    }
}

fn created(number: u64, times: Times, random: &mut Rng) -> Record {
    let time = timestamp(times.time_us(number, random));
    let data = format!(
        r#"{{"agent_id":"agent-{}","metadata":{{"task":"{:0180x}"}}}}"#,
        random.u64(..AGENTS),
        random.u64(..)
    );
    let session = format!("s-{:032x}", random.u128(..));
    record((number, time), "session.created", 0, &session, &data)
}

/// Returns microseconds per page, by round.
fn pages(store: &Store, total: u64, offset: u64) -> Figure {
    let tenant = TenantId::parse("t0").unwrap();
    let filter = SessionFilter::default();
    let rounds = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        for _ in 0..PAGES {
            let snapshot = store.snapshot().unwrap();
            let start = PageStart::Offset(offset);
            let page =
                sessions::list(&snapshot, Sight::of_tenant(&tenant), &filter, start, ROWS).unwrap();
            assert_eq!(black_box(page).total, total);
        }
        us(started.elapsed()) / f64::from(PAGES)
    });
    Figure::of(rounds.collect())
}
