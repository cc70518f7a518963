//! Roots, children and trees, in process, now and at a past position, compared with pages of all sessions and with
//! PostgreSQL.

use std::sync::Arc;

use session_ledger::domain::filter::Owner;
use session_ledger::domain::session::Status;
use session_ledger::domain::{
    AgentId, Position, Rules, SessionFilter, SessionId, StatusSet, TenantId,
};
use session_ledger::projection::{Commit, PageStart, Past, Prepared, Snapshot, Store};
use session_ledger::query::{LineageStart, Sight, lineage, sessions};

use crate::postgres::FamilyTable;
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, p95_us};
use crate::targets;
use crate::workload::{CHAIN, Families, ROOTS};

const BATCH: usize = 20_000;
const TRAIL: u64 = 50_000;
const ROWS: usize = 50;
const TREE_ROWS: usize = 200;
const OFFSET: u64 = 20_000;
const AGENT: &str = "agent-7";

pub(crate) async fn run(report: &mut Report, sessions: u64, with_postgres: bool) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("model.redb")).unwrap();
    let past = Past::new(&dir.path().join("history.redb"));
    let events = fill(&store, sessions);
    let now = store.snapshot().unwrap();
    while past.advance(&now, TRAIL, Commit::Durable).unwrap() < now.position() {}
    let middle = Position::new(events / 2);
    let then = now.at(past.snapshot().unwrap(), middle).unwrap();
    let theirs = if with_postgres {
        FamilyTable::fill(sessions).await
    } else {
        None
    };
    let title = format!(
        "{sessions} sessions of three tenants, in process; pages of {ROWS} rows with their total. Times are p95, with \
         p50 and the maximum as their spread; those of PostgreSQL are medians"
    );
    let mut subject = Subject {
        section: Section::new("lineage", title),
        now,
        then,
        theirs,
    };
    subject.check_totals(sessions);
    for (tenant, name) in (0..).zip(ROOTS) {
        subject.roots(tenant, name).await;
    }
    subject.children().await;
    subject.trees().await;
    report.add(subject.section);
}

/// Folds the events. Returns how many there are.
fn fill(store: &Store, sessions: u64) -> u64 {
    let mut steps = (1..).zip(Families::new(sessions)).peekable();
    let mut last = 0;
    while steps.peek().is_some() {
        let steps = steps.by_ref().take(BATCH);
        let prepared = steps.map(|(position, step)| {
            last = position;
            Prepared::new(Rules::V1, step.record(position))
        });
        let batch: Vec<Prepared> = prepared.collect();
        store.fold(&batch, Commit::Visible).unwrap();
        // Database pages that a commit freed are reused only after a durable commit.
        store.flush().unwrap();
    }
    last
}

struct Subject {
    section: Section,
    now: Arc<Snapshot>,
    /// At the middle of the log.
    then: Snapshot,
    theirs: Option<FamilyTable>,
}

/// What a page shows.
struct Asked<'a> {
    name: &'a str,
    tenant: u32,
    filter: &'a SessionFilter,
    offset: u64,
    /// The filter in SQL.
    condition: &'a str,
}

impl Subject {
    /// Checks that every event was applied.
    fn check_totals(&self, sessions: u64) {
        let total = |number| total(&self.now, number, &SessionFilter::default());
        assert_eq!((0..3).map(total).sum::<u64>(), sessions);
    }

    async fn roots(&mut self, tenant: u32, name: &str) {
        let all = SessionFilter::default();
        let page = p95_us(|| list(&self.now, tenant, &all, 0));
        let of_all = page.median;
        let row = Row::new(format!("{name}: a page of all sessions"), "us", page);
        self.section.row(row);
        let roots = SessionFilter {
            root: Some(true),
            ..all.clone()
        };
        let active = SessionFilter {
            statuses: StatusSet::only(Status::Active),
            ..roots.clone()
        };
        let of_agent = SessionFilter {
            owner: Owner::agent(AgentId::parse(AGENT).unwrap()),
            ..roots.clone()
        };
        let is_root = format!("tenant = 't{tenant}' AND parent IS NULL");
        let deep = OFFSET.min(total(&self.now, tenant, &roots) / 2);
        for (what, filter, offset, more) in [
            ("a page of roots".to_owned(), &roots, 0, String::new()),
            (
                format!("a page of roots at offset {deep}"),
                &roots,
                deep,
                String::new(),
            ),
            (
                "a page of active roots".to_owned(),
                &active,
                0,
                " AND status = 0".to_owned(),
            ),
            (
                "a page of the roots of one agent".to_owned(),
                &of_agent,
                0,
                format!(" AND agent = '{AGENT}'"),
            ),
        ] {
            let asked = Asked {
                name: &format!("{name}: {what}"),
                tenant,
                filter,
                offset,
                condition: &format!("{is_root}{more}"),
            };
            let row = self.page(&asked).await;
            let whole = match offset {
                0 => of_all,
                _ => p95_us(|| list(&self.now, tenant, &all, offset)).median,
            };
            let row = row.against("a page of all, at that offset", Some(whole));
            self.section.row(row.ratio_must(targets::PART_TO_ALL));
        }
        self.count(tenant, name, (&roots, &is_root), of_all).await;
        self.past(tenant, &format!("{name}: a page of roots"), &roots);
    }

    async fn children(&mut self) {
        let parent = SessionId::parse(&Families::parent()).unwrap();
        let filter = SessionFilter {
            owner: Owner::Parent(parent),
            ..SessionFilter::default()
        };
        let condition = format!("tenant = 't2' AND parent = '{}'", Families::parent());
        let total = total(&self.now, 2, &filter);
        let name = format!("a parent with {total} children");
        for (what, offset) in [("the first page", 0), ("a page from the middle", total / 2)] {
            let asked = Asked {
                name: &format!("{name}: {what}"),
                tenant: 2,
                filter: &filter,
                offset,
                condition: &condition,
            };
            let row = self.page(&asked).await;
            self.section.row(row);
        }
        self.past(2, &format!("{name}: the first page"), &filter);
    }

    async fn trees(&mut self) {
        let flat = format!("a page of {TREE_ROWS} descendants at depth 1");
        let deep = format!("a page of {TREE_ROWS} descendants, each below the one before");
        for (name, root, depth) in [
            (flat, Families::parent(), 1),
            (deep, Families::chain(), CHAIN),
        ] {
            let (tenant, id) = (tenant(2), SessionId::parse(&root).unwrap());
            let start = LineageStart {
                after: None,
                rows_max: TREE_ROWS,
            };
            let ask = || {
                let sight = Sight::of_tenant(&tenant);
                let found = lineage::of_session(&self.now, sight, &id, start).unwrap();
                found.expect("the session is there").descendants
            };
            let descendants = ask();
            let last = descendants.last().map(|last| last.depth as u64);
            assert_eq!((descendants.len(), last), (TREE_ROWS, Some(depth)));
            let theirs = match &self.theirs {
                Some(table) => Some(table.tree(2, &root, TREE_ROWS).await),
                None => None,
            };
            let row = Row::new(name, "us", p95_us(ask));
            self.section.row(row.against("PostgreSQL", theirs));
        }
    }

    async fn page(&self, asked: &Asked<'_>) -> Row {
        let theirs = match &self.theirs {
            Some(table) => Some(table.page(asked.condition, asked.offset).await),
            None => None,
        };
        let rows = list(&self.now, asked.tenant, asked.filter, asked.offset);
        assert_ne!(rows, 0, "{}", asked.name);
        let time = p95_us(|| list(&self.now, asked.tenant, asked.filter, asked.offset));
        Row::new(asked.name, "us", time).against("PostgreSQL", theirs)
    }

    async fn count(
        &mut self,
        number: u32,
        name: &str,
        (filter, condition): (&SessionFilter, &str),
        of_all: f64,
    ) {
        let theirs = match &self.theirs {
            Some(table) => Some(table.count(condition).await),
            None => None,
        };
        let tenant = tenant(number);
        let sight = Sight::of_tenant(&tenant);
        let time = p95_us(|| sessions::count(&self.now, sight, filter).unwrap());
        let total = total(&self.now, number, filter);
        let row = Row::new(
            format!("{name}: the {total} roots, counted by status"),
            "us",
            time,
        );
        let row = row.against("PostgreSQL", theirs);
        self.section.row(row.against("a page of all", Some(of_all)));
    }

    fn past(&mut self, tenant: u32, name: &str, filter: &SessionFilter) {
        let rows = list(&self.then, tenant, filter, 0);
        assert_ne!(rows, 0, "{name}");
        let time: Figure = p95_us(|| list(&self.then, tenant, filter, 0));
        let row = Row::new(format!("{name}, as of the middle of the log"), "us", time);
        self.section.row(row.must(targets::THEN_PAGE_US));
    }
}

fn tenant(number: u32) -> TenantId {
    TenantId::parse(&format!("t{number}")).unwrap()
}

fn total(snapshot: &Snapshot, number: u32, filter: &SessionFilter) -> u64 {
    let tenant = tenant(number);
    let counts = sessions::count(snapshot, Sight::of_tenant(&tenant), filter);
    counts.unwrap().total
}

/// Reads a page. Returns how many rows it has.
fn list(snapshot: &Snapshot, number: u32, filter: &SessionFilter, offset: u64) -> usize {
    let (tenant, start) = (tenant(number), PageStart::Offset(offset));
    let page = sessions::list(snapshot, Sight::of_tenant(&tenant), filter, start, ROWS);
    page.unwrap().rows.len()
}
