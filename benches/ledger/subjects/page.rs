//! Requests for pages over HTTP, by filter, compared with PostgreSQL and with bytes from memory.

use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::bytes_server::BytesServer;
use crate::filled::Filled;
use crate::http::{self, Connection, Load, PagesLoad};
use crate::node::Node;
use crate::page_case::{PageCase, cases};
use crate::postgres::{Applied, Counts, page_load, totals};
use crate::report::{Report, Row, Section};
use crate::run::Size;
use crate::stats::{Figure, MIB, float, percentile, sorted};
use crate::targets;

const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;
/// The time of one round on one server.
const ROUND: Duration = Duration::from_millis(700);

/// The results of one server's rounds.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    latencies: Vec<f64>,
}

/// The results of each server for one case.
struct Measured {
    ledger: Rounds,
    bytes: Rounds,
    plain: Rounds,
    counted: Rounds,
}

/// Median rates by case, to compare with another size.
pub(crate) type Rates = Vec<(String, f64)>;

/// Measures every case. `earlier` has the rates at other sizes.
pub(crate) async fn run(
    report: &mut Report,
    filled: &Filled,
    node: &Node,
    (postgres, earlier): (Option<&Applied>, &[Size]),
) -> Rates {
    let title = format!(
        "50 rows and the exact total over HTTP, {} sessions, {CONNECTIONS} connections, with an API key",
        filled.sessions
    );
    let mut section = Section::new("page", title);
    let mut connection = node.connect().await;
    let cases = cases(&mut connection, filled).await;
    let bytes = bytes_server(&mut connection, filled, &cases).await;
    let mut rates = Rates::new();
    for (number, case) in cases.iter().enumerate() {
        check_totals(filled, postgres, case).await;
        let measured = measure(filled, node, &bytes, postgres, (number, case)).await;
        let first = rates.first().map(|(_, rate)| *rate);
        let rate = rows(&mut section, case, &measured, (first, earlier));
        rates.push((case.name.clone(), rate));
    }
    let [now, most] = node.memory();
    let mib = |bytes: u64| Figure::one(float(bytes / MIB));
    let resident = Row::new("server's resident memory after that", "MiB", mib(now));
    section.row(resident.must(targets::MEMORY_MIB));
    section.row(Row::new("  at most since it started", "MiB", mib(most)));
    report.add(section);
    rates
}

/// Checks that PostgreSQL, if it has all events, returns the ledger's totals.
async fn check_totals(filled: &Filled, postgres: Option<&Applied>, case: &PageCase) {
    let Some(applied) = postgres.filter(|applied| applied.sessions == filled.sessions) else {
        return;
    };
    for total in totals(&applied.cluster, &case.queries).await {
        assert_eq!(total, case.total, "{}", case.name);
    }
}

/// Starts a server with the ledger's own answers, one for each case.
async fn bytes_server(
    connection: &mut Connection,
    filled: &Filled,
    cases: &[PageCase],
) -> BytesServer {
    let file = NamedTempFile::new().unwrap();
    let mut lines = Vec::new();
    for case in cases {
        let body = connection
            .ok(&http::get(&case.targets[0], &filled.key))
            .await;
        let answer: Value = serde_json::from_slice(body).unwrap();
        assert!(answer["total"].is_u64(), "{}: {answer}", case.name);
        lines.extend_from_slice(body);
        lines.push(b'\n');
    }
    std::fs::write(file.path(), lines).unwrap();
    BytesServer::start(file.path())
}

/// Measures the servers in turn, so that other programs disturb all of them.
async fn measure(
    filled: &Filled,
    node: &Node,
    bytes: &BytesServer,
    postgres: Option<&Applied>,
    (number, case): (usize, &PageCase),
) -> Measured {
    let load = |addr| PagesLoad {
        addr,
        connections: CONNECTIONS,
        time: ROUND,
    };
    let to_ledger: Vec<_> = case
        .targets
        .iter()
        .map(|target| http::get(target, &filled.key))
        .collect();
    let to_bytes = [http::get(&format!("/{number}"), &filled.key)];
    let mut measured = Measured {
        ledger: Rounds::default(),
        bytes: Rounds::default(),
        plain: Rounds::default(),
        counted: Rounds::default(),
    };
    for _ in 0..ROUNDS {
        measured.ledger.add(load(node.addr).run(&to_ledger).await);
        measured.bytes.add(load(bytes.addr).run(&to_bytes).await);
        if let Some(applied) = postgres {
            let plain = page_load(&applied.cluster, &case.queries, Counts::Plain, ROUND).await;
            measured.plain.add(plain);
            let counted = page_load(&applied.cluster, &case.queries, Counts::Kept, ROUND).await;
            measured.counted.add(counted);
        }
    }
    measured
}

fn rows(
    section: &mut Section,
    case: &PageCase,
    measured: &Measured,
    (first, earlier): (Option<f64>, &[Size]),
) -> f64 {
    let Measured {
        ledger,
        bytes,
        plain,
        counted,
    } = measured;
    let name = format!("{}, total {}", case.name, case.total);
    let mut rate = Row::new(name, "requests/s", Figure::of(ledger.rates.clone()))
        .against("the same bytes from memory", bytes.rate())
        .against("PostgreSQL", plain.rate())
        .ratio_must(targets::PAGE_TO_POSTGRES)
        .against("PostgreSQL, counts by trigger", counted.rate());
    if case.is_count() {
        rate = rate
            .against("a page of all", first)
            .ratio_must(targets::COUNT_TO_PAGE);
    } else {
        rate = rate.must(targets::PAGE_RATE);
    }
    for size in earlier {
        let same = size.pages.iter().find(|(name, _)| *name == case.name);
        let name = format!("the same with {} sessions", size.sessions);
        rate = rate
            .against(name, same.map(|(_, rate)| *rate))
            .ratio_must(targets::PAGE_BY_SIZE);
    }
    let median = rate.median();
    section.row(rate);
    for percent in [50, 99] {
        let row = Row::new(
            format!("  p{percent}"),
            "us",
            Figure::one(ledger.percentile(percent).unwrap_or(f64::NAN)),
        )
        .against("the same bytes from memory", bytes.percentile(percent))
        .against("PostgreSQL, counts by trigger", counted.percentile(percent));
        section.row(row);
    }
    median
}

impl Rounds {
    fn add(&mut self, load: Load) {
        self.rates.push(load.rate);
        self.latencies = sorted([std::mem::take(&mut self.latencies), load.latencies].concat());
    }

    fn rate(&self) -> Option<f64> {
        (!self.rates.is_empty()).then(|| Figure::of(self.rates.clone()).median)
    }

    fn percentile(&self, percent: usize) -> Option<f64> {
        (!self.latencies.is_empty()).then(|| percentile(&self.latencies, percent))
    }
}
