//! A crash under load: how soon the server answers again, and how soon it has caught up.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::child::WAIT_MAX;
use crate::filled::Filled;
use crate::http::{self, Connection};
use crate::node::{self, Ledger, Metrics, Node};
use crate::paced::{self, PACE};
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, float, ms};
use crate::targets;

const ROUNDS: usize = 5;
/// The time of load before each crash: longer than the fold waits before a durable commit.
const LOAD: Duration = Duration::from_secs(6);
/// After this time without events, everything that was folded is durable.
const QUIET: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);

/// The results of one crash.
struct Crash {
    /// The number of events that were not folded again when the server first answered.
    replayed: u64,
    first_page: Duration,
    caught_up: Duration,
}

pub(crate) async fn run(report: &mut Report, filled: &mut Filled, mut node: Node) -> Node {
    let title = format!(
        "kill -9 and start, {} sessions, {PACE} events a second before, during and after; {ROUNDS} rounds",
        filled.sessions
    );
    let mut section = Section::new("restart", title);
    tokio::time::sleep(QUIET).await;
    let go_on = Cell::new(true);
    let publish = paced::publish(&filled.publisher, &mut filled.workload, &go_on, (1, None));
    let crashing = async {
        let mut crashes = Vec::new();
        for _ in 0..ROUNDS {
            tokio::time::sleep(LOAD).await;
            let head = filled.publisher.head().await;
            let crash;
            (node, crash) = crash_once(&filled.ledger, &filled.key, node, head).await;
            crashes.push(crash);
        }
        go_on.set(false);
        (node, crashes)
    };
    let ((), (node, crashes)) = tokio::join!(publish, crashing);
    let figure = |of: fn(&Crash) -> f64| Figure::of(crashes.iter().map(of).collect());
    let first = Row::new(
        "until the first page is answered",
        "ms",
        figure(|crash| ms(crash.first_page)),
    );
    section.row(first.must(targets::FIRST_PAGE_MS));
    let caught_up = figure(|crash| ms(crash.caught_up));
    let row = Row::new("until all is folded that is on the log", "ms", caught_up);
    section.row(row.must(targets::CAUGHT_UP_MS));
    section.row(Row::new(
        "  events behind when it began to serve",
        "",
        figure(|crash| float(crash.replayed)),
    ));
    report.add(section);
    node
}

async fn crash_once(ledger: &Ledger, key: &str, node: Node, head: u64) -> (Node, Crash) {
    let addr = node.addr;
    node.kill();
    let started = Instant::now();
    let node = ledger.start_again(addr);
    let mut connection = loop {
        if let Ok(connection) = Connection::open(addr).await {
            break connection;
        }
        wait(started).await;
    };
    let page = http::get("/v1/agent-sessions?limit=50", key);
    while !matches!(connection.ask(&page).await, Ok((200, _))) {
        wait(started).await;
    }
    let first_page = started.elapsed();
    let at_first = node::metrics(&mut connection).await.position;
    loop {
        let Metrics {
            position,
            head: known,
        } = node::metrics(&mut connection).await;
        if head <= position && known <= position {
            break;
        }
        wait(started).await;
    }
    let crash = Crash {
        replayed: head.saturating_sub(at_first),
        first_page,
        caught_up: started.elapsed(),
    };
    (node, crash)
}

async fn wait(since: Instant) {
    assert!(since.elapsed() < WAIT_MAX, "the server does not come back");
    tokio::time::sleep(LOOK).await;
}
