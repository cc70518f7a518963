//! How long a page of 50 agents with its exact total and their counts of sessions takes, for each
//! combination of filters, at any depth. In process, without HTTP.

use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use session_ledger::domain::{AgentFilter, AgentStatus, StatusSet, TenantId};
use session_ledger::log::Record;
use session_ledger::projection::{Commit, Prepared, Store};
use session_ledger::query::{Start, agents};

use crate::workload::{SEED, record};

const BATCH: usize = 20_000;
const ROWS: usize = 50;
const PAGES: usize = 1_000;
const TYPES: u64 = 8;
const LEVELS: [&str; 4] = ["none", "low", "high", "full"];

pub(crate) fn run(total: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("model.redb")).unwrap();
    for batch in records(total).chunks(BATCH) {
        let batch: Vec<Prepared> = batch.iter().cloned().map(Prepared::new).collect();
        store.fold(&batch, Commit::Visible).unwrap();
    }
    store.flush().unwrap();
    println!("page of {ROWS} agents, its total and their counts, {total} agents in one tenant");
    println!(
        "{:>12} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "filter", "statuses", "total", "offset", "p50 us", "p99 us"
    );
    for (name, agent_type, trust_level) in [
        ("none", None, None),
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
                println!("{name:>12} {words:>10} {total:>8} {offset:>8} {p50:>8.1} {p99:>8.1}");
            }
        }
    }
}

/// Every agent is registered and opens a session; of a hundred, six are suspended and four revoked.
fn records(agents: u64) -> Vec<Record> {
    let mut random = Rng::with_seed(SEED);
    let mut records = Vec::new();
    let mut add = |kind: &str, subject: &str, data: &str| {
        let position = records.len() as u64 + 1;
        records.push(record(position, kind, 0, subject, data));
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

/// Reads a page; the total that it says.
fn page(store: &Store, filter: &AgentFilter, offset: u64) -> u64 {
    let snapshot = store.snapshot().unwrap();
    let tenant = TenantId::parse("t0").unwrap();
    let page = agents::list(&snapshot, &tenant, filter, Start::Offset(offset), ROWS).unwrap();
    black_box(&page).total
}

/// Microseconds a page: the median, and what 99 of 100 do not exceed.
fn times(store: &Store, filter: &AgentFilter, offset: u64) -> [f64; 2] {
    let mut times: Vec<f64> = (0..PAGES)
        .map(|_| {
            let started = Instant::now();
            page(store, filter, offset);
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[PAGES / 2], times[PAGES * 99 / 100]]
}
