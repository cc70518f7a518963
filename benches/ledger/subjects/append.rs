//! Events emitted over HTTP in batches. Each request waits for its verdicts.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::filled::LARGEST;
use crate::http;
use crate::nats::{NatsServer, Preset};
use crate::node::{Ledger, Node};
use crate::report::{Must, Report, Row, Section};
use crate::stats::{Figure, per_second, percentile, sorted};
use crate::targets;
use crate::workload::{Ages, Workload};

const BATCH: usize = 100;
const CONNECTIONS: [usize; 2] = [8, 32];
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_millis(1_500);
/// How long to wait after the server answers that it is too busy.
const BUSY: Duration = Duration::from_millis(20);

pub(crate) async fn run(report: &mut Report) {
    let title = format!(
        "POST /v1/events, {BATCH} openings a request, until their verdicts are there, on an empty ledger"
    );
    let mut section = Section::new("append", title);
    for (name, preset) in [
        ("built-in log", None),
        ("NATS, preset fast", Some(Preset::Fast)),
        ("NATS, preset single", Some(Preset::Single)),
    ] {
        let nats = match preset {
            Some(preset) => Some(NatsServer::start(preset).await),
            None => None,
        };
        let ledger = Ledger::new(nats.as_ref().map(NatsServer::url));
        let key = ledger.issue_key(LARGEST);
        let node = ledger.start();
        let workload = RefCell::new(Workload::new(Ages::Young));
        for connections in CONNECTIONS {
            let must = match preset {
                Some(Preset::Single) => targets::APPEND_SYNCED_RATE,
                Some(Preset::Fast) | None => targets::APPEND_RATE,
            };
            let load = (connections, must);
            one(&mut section, name, load, (&node, &key, &workload)).await;
        }
    }
    report.add(section);
}

async fn one(
    section: &mut Section,
    name: &str,
    (connections, must): (usize, Must),
    (node, key, workload): (&Node, &str, &RefCell<Workload>),
) {
    let (mut rates, mut latencies, mut busy) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let emitting = (0..connections).map(|_| emit(node, key, workload, started));
        let (mut requests, mut events) = (0, 0);
        for (times, refused) in join_all(emitting).await {
            requests += times.len();
            events += (times.len() * BATCH) as u64;
            latencies.extend(times);
            busy += refused;
        }
        assert_ne!(requests, 0, "{name}: no request was answered");
        rates.push(per_second(events, started.elapsed()));
    }
    let latencies = sorted(latencies);
    let name = format!("{name}, {connections} connections");
    section.row(Row::new(name.as_str(), "events/s", Figure::of(rates)).must(must));
    for percent in [50, 99] {
        let time = Figure::one(percentile(&latencies, percent));
        section.row(Row::new(format!("  a request: p{percent}"), "ms", time));
    }
    if busy != 0 {
        section.note(format!(
            "{name}: {busy} requests were refused as too many, and sent again"
        ));
    }
}

/// Emits on one connection. Returns the milliseconds of each request, and the number of rejected ones.
async fn emit(
    node: &Node,
    key: &str,
    workload: &RefCell<Workload>,
    started: Instant,
) -> (Vec<f64>, u64) {
    let mut connection = node.connect().await;
    let (mut times, mut refused) = (Vec::new(), 0);
    while started.elapsed() < ROUND {
        let request = http::post_events(key, &batch(&mut workload.borrow_mut()));
        let asked = Instant::now();
        loop {
            let (status, body) = connection.ask(&request).await.unwrap();
            match status {
                200 => {
                    let text = String::from_utf8_lossy(body);
                    let applied = text.matches("\"applied\"").count();
                    assert_eq!(applied, BATCH, "{text}");
                    break;
                }
                503 => refused += 1,
                _ => panic!("{status}: {}", String::from_utf8_lossy(body)),
            }
            tokio::time::sleep(BUSY).await;
        }
        times.push(crate::stats::ms(asked.elapsed()));
    }
    (times, refused)
}

fn batch(workload: &mut Workload) -> String {
    let bodies: Vec<String> = (0..BATCH).map(|_| workload.opening_of(0).body()).collect();
    format!("[{}]", bodies.join(","))
}
