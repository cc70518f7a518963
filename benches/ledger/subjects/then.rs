//! Answers as of a past position, in process, compared with answers of the present, and with PostgreSQL on a
//! table of versions.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_ledger::domain::filter::Owner;
use session_ledger::domain::session::Status;
use session_ledger::domain::{
    AgentId, Position, Rules, SessionFilter, SessionId, StatusSet, TenantId, TimeRange,
};
use session_ledger::projection::{Commit, Past, PastSnapshot, Prepared, RowBytes, Snapshot, Store};
use session_ledger::query::{Page, PageStart, Sight, sessions};

use crate::filled::LARGEST;
use crate::postgres::versions;
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, float, p95_us, per_second};
use crate::targets;
use crate::workload::{Ages, Workload, agent_id, time_us, timestamp};

const BATCH: usize = 20_000;
const ROWS: usize = 50;
const OFFSET: u64 = 20_000;
const RANGE_RECORDS: u64 = 20_000;
/// The past positions, in percent of the log.
const PERCENTS: [u64; 3] = [10, 50, 90];

pub(crate) async fn run(report: &mut Report, sessions: u64, ages: Ages, with_postgres: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (model, history) = (
        dir.path().join("model.redb"),
        dir.path().join("history.redb"),
    );
    let store = Store::open(&model).unwrap();
    let past = Past::new(&history);
    let title = format!(
        "{sessions} sessions of ten tenants, in process; pages of {ROWS} rows with their total, of the largest \
         tenant. Times are p95, with p50 and the maximum as their spread"
    );
    let mut section = Section::new("then", title);
    let events = fill(&store, sessions, ages);
    let took = trail(&store, &past);
    let own = Position::new(events);
    let ledger = Ledger {
        now: store.snapshot().unwrap(),
        past: past.snapshot().unwrap(),
    };
    section.row(Row::new(
        "making the history of a finished read model",
        "records/s",
        Figure::one(per_second(events, took)),
    ));
    let bytes = |file| float(allocated_bytes(file)) / float(sessions);
    let row = Row::new("history file", "B/session", Figure::one(bytes(&history)));
    section.row(row.against("read model", Some(bytes(&model))));
    let present = ledger.page_now();
    section.row(Row::new("a page now, p95", "us", Figure::one(present)));
    let theirs = if with_postgres {
        versions::ask(
            sessions,
            ages,
            &PERCENTS.map(|percent| events * percent / 100),
        )
        .await
    } else {
        None
    };
    for (index, percent) in PERCENTS.into_iter().enumerate() {
        let position = Position::new(own.get() * percent / 100);
        let theirs = theirs.as_ref().map(|all| all[index]);
        ledger.at(&mut section, (percent, position), present, theirs);
    }
    report.add(section);
}

struct Ledger {
    now: Arc<Snapshot>,
    past: Arc<PastSnapshot>,
}

impl Ledger {
    fn page_now(&self) -> f64 {
        p95_us(|| list(&self.now, &SessionFilter::default(), PageStart::Offset(0))).median
    }

    fn at(
        &self,
        section: &mut Section,
        (percent, position): (u64, Position),
        present: f64,
        theirs: Option<versions::Asked>,
    ) {
        let at = self.now.at(Arc::clone(&self.past), position).unwrap();
        let mut rows = Rows { section, percent };
        let all = SessionFilter::default();
        let count = rows.count("a count by status", &at, &all);
        let count = count
            .against("a page now", Some(present))
            .ratio_must(targets::THEN_COUNT);
        rows.add(count.against("PostgreSQL", theirs.map(|theirs| theirs.count)));
        let page = rows.page("the first page", &at, &all, PageStart::Offset(0));
        rows.add(page.against("PostgreSQL", theirs.map(|theirs| theirs.page)));
        let first = list(&at, &all, PageStart::Offset(0));
        let cursor = first.next.unwrap();
        let page = rows.page("the next page by cursor", &at, &all, cursor.into());
        rows.add(page);
        let active = SessionFilter {
            statuses: StatusSet::only(Status::Active),
            ..all.clone()
        };
        let page = rows.page(
            "the first page of active ones",
            &at,
            &active,
            PageStart::Offset(0),
        );
        rows.add(page.against("PostgreSQL", theirs.map(|theirs| theirs.active)));
        let agent = SessionFilter {
            owner: Owner::agent(AgentId::parse(&agent_id(0, 0)).unwrap()),
            ..all.clone()
        };
        let page = rows.page(
            "the first page of one agent",
            &at,
            &agent,
            PageStart::Offset(0),
        );
        rows.add(page);
        let offset = first.total.min(OFFSET);
        let what = format!("a page at offset {offset}");
        let page = rows.page(&what, &at, &all, PageStart::Offset(offset));
        rows.add(page.must(targets::THEN_OFFSET_US));
        let from = position.get().saturating_sub(RANGE_RECORDS).max(1);
        let range = SessionFilter {
            created: TimeRange {
                after: Some(timestamp(time_us(from))),
                before: None,
            },
            ..all
        };
        let what = format!("a count of those created in the last {RANGE_RECORDS} records");
        let count = rows.count(&what, &at, &range);
        rows.add(count.must(targets::THEN_OFFSET_US));
        let id = first.rows[ROWS / 2].row().unwrap().session_id.to_owned();
        let id = SessionId::parse(&id).unwrap();
        let one = rows.row("one session", || {
            sessions::get(&at, sight(&tenant()), &id).unwrap()
        });
        rows.add(one.must(targets::THEN_ONE_US));
        let time = self.past.time_of(position).unwrap().unwrap();
        let found = rows.row("the position of a time", || {
            self.past.position_at(time).unwrap()
        });
        rows.add(found.must(targets::THEN_TIME_US));
    }
}

/// The rows of the report for one position. The figure of each is the 95th percentile.
struct Rows<'a> {
    section: &'a mut Section,
    percent: u64,
}

impl Rows<'_> {
    fn add(&mut self, row: Row) {
        self.section.row(row);
    }

    fn row<R>(&self, what: &str, ask: impl Fn() -> R) -> Row {
        let what = format!("at {} % of the log: {what}", self.percent);
        Row::new(what, "us", p95_us(ask))
    }

    fn count(&self, what: &str, at: &Snapshot, filter: &SessionFilter) -> Row {
        let tenant = tenant();
        self.row(what, || {
            sessions::count(at, sight(&tenant), filter).unwrap()
        })
    }

    fn page(&self, what: &str, at: &Snapshot, filter: &SessionFilter, start: PageStart) -> Row {
        self.row(what, || list(at, filter, start))
            .must(targets::THEN_PAGE_US)
    }
}

/// Folds the events of a fill. Returns how many there are.
fn fill(store: &Store, sessions: u64, ages: Ages) -> u64 {
    let mut workload = Workload::new(ages);
    loop {
        let events = std::iter::from_fn(|| workload.fill(sessions));
        let prepared = events.map(|event| Prepared::new(Rules::V1, event.record()));
        let batch: Vec<Prepared> = prepared.take(BATCH).collect();
        if batch.is_empty() {
            return workload.events();
        }
        store.fold(&batch, Commit::Visible).unwrap();
        // Database pages that a commit freed are reused only after a durable commit.
        store.flush().unwrap();
    }
}

/// The bytes of a file that are on the disk. Its length grows in large steps, with a hole at its end.
fn allocated_bytes(file: &Path) -> u64 {
    fs::metadata(file).unwrap().blocks() * 512
}

fn trail(store: &Store, past: &Past) -> Duration {
    let now = store.snapshot().unwrap();
    let started = Instant::now();
    while past.advance(&now, 50_000, Commit::Durable).unwrap() < now.position() {}
    started.elapsed()
}

fn tenant() -> TenantId {
    TenantId::parse(LARGEST).unwrap()
}

fn sight(tenant: &TenantId) -> Sight<'_> {
    Sight::of_tenant(tenant)
}

fn list(snapshot: &Snapshot, filter: &SessionFilter, start: PageStart) -> Page<RowBytes> {
    sessions::list(snapshot, sight(&tenant()), filter, start, ROWS).unwrap()
}
