//! The time of a page of 50 agents with its exact total and the agents' counts of sessions, for each
//! combination of filters, at any depth. In process, without HTTP.

use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use session_ledger::domain::Rules;
use session_ledger::domain::{AgentFilter, AgentStatus, StatusSet, TenantId};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::{PageStart, Sight, agents};

use crate::report::{Report, Row, Section};
use crate::stats::{Figure, percentile, sorted, us};
use crate::workload::{SEED, record, time_us, timestamp};

const BATCH: usize = 20_000;
const ROWS: usize = 50;
const PAGES: usize = 1_000;
const TYPES: u64 = 8;
const LEVELS: [&str; 4] = ["none", "low", "high", "full"];

pub(crate) fn run(report: &mut Report, total: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("model.redb")).unwrap();
    for batch in records(total).chunks(BATCH) {
        let batch: Vec<Prepared> = batch
            .iter()
            .cloned()
            .map(|record| Prepared::new(Rules::V1, record))
            .collect();
        store.fold(&batch, Commit::Visible).unwrap();
    }
    store.flush().unwrap();
    let title = format!(
        "page of {ROWS} agents, its total and their counts, {total} agents in one tenant, in process"
    );
    let mut section = Section::new("agents", title);
    for (name, agent_type, trust_level) in [
        ("no filter", None, None),
        ("type", Some("type-1"), None),
        ("trust level", None, Some("high")),
        ("both", Some("type-1"), Some("high")),
    ] {
        for (words, statuses) in [
            ("all", StatusSet::ALL),
            ("active", StatusSet::only(AgentStatus::Active)),
            (
                "two",
                StatusSet::of(&[AgentStatus::Active, AgentStatus::Revoked]).unwrap(),
            ),
        ] {
            let filter = AgentFilter {
                agent_type: agent_type.map(Into::into),
                trust_level: trust_level.map(Into::into),
                statuses,
            };
            let total = page(&store, &filter, 0);
            for percent in [0, 50, 99] {
                let offset = total * percent / 100;
                let [p50, p99] = times(&store, &filter, offset);
                let what =
                    format!("{name}, {words} statuses, {total} agents, offset {offset}: p50");
                section.row(Row::new(what, "us", Figure::one(p50)));
                section.row(Row::new("  p99", "us", Figure::one(p99)));
            }
        }
    }
    report.add(section);
}

/// Returns records that register each agent and open a session for it. Of a hundred agents, six are
/// suspended and four revoked.
fn records(agents: u64) -> Vec<Record> {
    let mut random = Rng::with_seed(SEED);
    let mut records = Vec::new();
    let mut add = |kind: &str, subject: &str, data: &str| {
        let position = records.len() as u64 + 1;
        let time = timestamp(time_us(position));
        records.push(record((position, time), kind, 0, subject, data));
    };
    for number in 0..agents {
        let agent = format!("agent-{number}");
        let data = format!(
            r#"{{"agent_type":"type-{}","trust_level":"{}","display_name":"Agent {number}","scopes":["files:*"],"metadata":{{"team":"{:020}"}}}}"#,
            random.u64(..TYPES),
            LEVELS[random.usize(..LEVELS.len())],
            random.u64(..),
        );
        add("agent.registered", &agent, &data);
        let session = format!("s-{number}");
        let data = format!(r#"{{"agent_id":"{agent}"}}"#);
        add("session.created", &session, &data);
        match random.u64(..100) {
            0..6 => add("agent.suspended", &agent, "{}"),
            6..10 => add("agent.revoked", &agent, "{}"),
            _ => {}
        }
    }
    records
}

/// Reads a page. Returns its total.
fn page(store: &Store, filter: &AgentFilter, offset: u64) -> u64 {
    let snapshot = store.snapshot().unwrap();
    let tenant = TenantId::parse("t0").unwrap();
    let page = agents::list(
        &snapshot,
        Sight::of_tenant(&tenant),
        filter,
        PageStart::Offset(offset),
        ROWS,
    )
    .unwrap();
    black_box(&page).total
}

/// Returns microseconds per page: the median and the 99th percentile.
fn times(store: &Store, filter: &AgentFilter, offset: u64) -> [f64; 2] {
    let times = (0..PAGES).map(|_| {
        let started = Instant::now();
        page(store, filter, offset);
        us(started.elapsed())
    });
    let times = sorted(times.collect());
    [percentile(&times, 50), percentile(&times, 99)]
}
