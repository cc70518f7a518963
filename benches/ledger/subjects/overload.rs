//! More events than the server can take, from more connections than it keeps, while a client reads pages.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::filled::LARGEST;
use crate::http::{self, Connection};
use crate::nats::{NatsServer, Preset};
use crate::node::{Ledger, Node};
use crate::report::{Must, Report, Row, Section};
use crate::stats::{Figure, MIB, float, ms, per_second, percentile, sorted};
use crate::targets;

/// The load that the server sustains is measured with so many connections, each with one request.
const SUSTAINED_CONNECTIONS: usize = 64;
const SUSTAINED: Duration = Duration::from_secs(10);
/// How many times as many events are offered.
const FACTOR: u64 = 4;
const OVERLOAD: Duration = Duration::from_mins(1);
/// Connections that emit, each with one request: more than the server lets wait for verdicts.
const EMITTING: usize = 5_000;
/// Connections that send a byte of a request each second.
const SLOW: usize = 1_000;
/// Connections that were used once and are kept open.
const IDLE: usize = 10_000;
/// An event is given up if no connection was free for so long.
const LATE: Duration = Duration::from_secs(1);
const PAGE_EVERY: Duration = Duration::from_millis(10);
/// Descriptors of this process.
const DESCRIPTORS: u64 = 20_000;

const EVENT: &str = "  an event that was acknowledged";
const PAGE: &str = "  a page of 50";

/// What became of the events.
#[derive(Default)]
struct Emitted {
    acknowledged: Vec<u64>,
    /// The milliseconds until the answer, by whether the event was acknowledged.
    times: [Vec<f64>; 2],
    by_status: BTreeMap<u16, u64>,
    /// Given up, because no connection was free.
    unsent: u64,
    /// The connection ended before the answer.
    cut: u64,
}

/// Events at a rate, with the numbers from `first` on.
struct Arrivals {
    first: u64,
    per_second: f64,
    time: Duration,
    connections: usize,
}

pub(crate) async fn run(report: &mut Report) {
    allow_descriptors();
    for (name, preset) in [("built-in log", None), ("NATS", Some(Preset::Single))] {
        let nats = match preset {
            Some(preset) => Some(NatsServer::start(preset).await),
            None => None,
        };
        let ledger = Ledger::new(nats.as_ref().map(NatsServer::url));
        let key = ledger.issue_key(LARGEST);
        let node = ledger.start();
        one(report, name, &node, &key).await;
        node.stop();
    }
}

async fn one(report: &mut Report, name: &str, node: &Node, key: &str) {
    let mut section = Section::new(
        "overload",
        format!(
            "{name}: {FACTOR} times the events that it sustains for {} s, one an HTTP request, on {EMITTING} \
             connections, beside {SLOW} slow and {IDLE} idle connections and a reader of pages",
            OVERLOAD.as_secs()
        ),
    );
    let (sustained, rate) = sustained(&mut section, node, key).await;
    let overload = Arrivals {
        first: sustained.acknowledged.len() as u64 + 1_000_000,
        per_second: rate * float(FACTOR),
        time: OVERLOAD,
        connections: EMITTING,
    };
    let idle = join_all((0..IDLE).map(|_| open_idle(node.addr))).await;
    let slow = join_all((0..SLOW).map(|_| TcpStream::connect(node.addr))).await;
    let slow: Vec<Option<TcpStream>> = slow.into_iter().map(Result::ok).collect();
    let idle: Vec<Connection> = idle.into_iter().flatten().collect();
    section.note(format!(
        "opened: {} idle and {} slow connections",
        idle.len(),
        slow.iter().flatten().count()
    ));
    let over = Cell::new(false);
    let overloading = async {
        let done = with_pages(node, key, overload).await;
        over.set(true);
        done
    };
    let ((overloaded, pages), ()) = tokio::join!(overloading, trickle(node.addr, slow, &over));
    drop(idle);
    let offered = Figure::one(rate * float(FACTOR));
    section.row(Row::new("offered", "events/s", offered));
    add(&mut section, &overloaded, &pages);
    let [_, peak] = node.memory();
    let memory = Row::new(
        "  memory at its peak",
        "MiB",
        Figure::one(float(peak / MIB)),
    );
    section.row(memory.must(targets::MEMORY_OVERLOADED_MIB));
    let all = sustained
        .acknowledged
        .into_iter()
        .chain(overloaded.acknowledged);
    let lost = Figure::one(float(lost(node, key, all.collect()).await));
    section.row(Row::new("acknowledged and lost", "events", lost).must(targets::LOST));
    report.add(section);
}

/// Measures the events a second that the server sustains.
async fn sustained(section: &mut Section, node: &Node, key: &str) -> (Emitted, f64) {
    let arrivals = Arrivals {
        first: 0,
        per_second: f64::INFINITY,
        time: SUSTAINED,
        connections: SUSTAINED_CONNECTIONS,
    };
    let (emitted, pages) = with_pages(node, key, arrivals).await;
    let rate = per_second(emitted.acknowledged.len() as u64, SUSTAINED);
    section.row(Row::new("sustained", "events/s", Figure::one(rate)));
    times(section, EVENT, &emitted.times[1], None);
    times(section, PAGE, &pages, None);
    (emitted, rate)
}

/// Adds what became of the events and pages of the overload.
fn add(section: &mut Section, emitted: &Emitted, pages: &[f64]) {
    let mut rate = |what: &str, count: u64| {
        let rate = Figure::one(per_second(count, OVERLOAD));
        section.row(Row::new(what, "events/s", rate));
    };
    rate("  acknowledged", emitted.acknowledged.len() as u64);
    for (status, count) in &emitted.by_status {
        if !(200..300).contains(status) {
            rate(&format!("  refused with {status} and Retry-After"), *count);
        }
    }
    rate("  not sent, as no connection was free", emitted.unsent);
    rate("  cut off", emitted.cut);
    times(section, EVENT, &emitted.times[1], None);
    times(section, "  a refusal", &emitted.times[0], None);
    times(section, PAGE, pages, Some(targets::PAGE_OVERLOADED_P99_MS));
}

/// Sends a byte on each connection each second. The server closes one whose request takes too long; then
/// opens another one.
async fn trickle(addr: SocketAddr, mut slow: Vec<Option<TcpStream>>, over: &Cell<bool>) {
    while !over.get() {
        for slot in &mut slow {
            let sent = match slot {
                Some(stream) => stream.write_all(b"G").await.is_ok(),
                None => false,
            };
            if !sent {
                *slot = TcpStream::connect(addr).await.ok();
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Emits, while another client reads the first page again and again. Returns the milliseconds of each page.
async fn with_pages(node: &Node, key: &str, arrivals: Arrivals) -> (Emitted, Vec<f64>) {
    let over = Cell::new(false);
    let emitting = async {
        let emitted = emit(node.addr, key, arrivals).await;
        over.set(true);
        emitted
    };
    let reading = async {
        let mut connection = node.connect().await;
        let page = http::get("/v1/agent-sessions?limit=50", key);
        let mut times = Vec::new();
        while !over.get() {
            let asked = Instant::now();
            connection.ok(&page).await;
            times.push(ms(asked.elapsed()));
            sleep_until(asked + PAGE_EVERY).await;
        }
        times
    };
    tokio::join!(emitting, reading)
}

async fn emit(addr: SocketAddr, key: &str, arrivals: Arrivals) -> Emitted {
    let emitted = RefCell::new(Emitted::default());
    let next = Cell::new(0);
    let started = Instant::now();
    let one = async || {
        let mut connection = None;
        loop {
            let number: u64 = next.get();
            next.set(number + 1);
            let due = started + Duration::from_secs_f64(float(number) / arrivals.per_second);
            if started + arrivals.time < due.max(Instant::now()) {
                return;
            }
            if due + LATE < Instant::now() && arrivals.per_second.is_finite() {
                emitted.borrow_mut().unsent += 1;
                continue;
            }
            sleep_until(due).await;
            // With a rate, the time counts from when the event was due.
            let began = if arrivals.per_second.is_finite() {
                due
            } else {
                Instant::now()
            };
            let number = arrivals.first + number;
            let answer = emit_one(&mut connection, addr, key, number).await;
            let mut emitted = emitted.borrow_mut();
            let Some(status) = answer else {
                emitted.cut += 1;
                continue;
            };
            let acknowledged = (200..300).contains(&status);
            *emitted.by_status.entry(status).or_default() += 1;
            emitted.times[usize::from(acknowledged)].push(ms(began.elapsed()));
            if acknowledged {
                emitted.acknowledged.push(number);
            }
        }
    };
    join_all((0..arrivals.connections).map(|_| one())).await;
    emitted.into_inner()
}

/// Emits an event. Returns the status; `None` if the connection failed. A refusal must say when to try again.
async fn emit_one(
    connection: &mut Option<Connection>,
    addr: SocketAddr,
    key: &str,
    number: u64,
) -> Option<u16> {
    if connection.is_none() {
        *connection = Connection::open(addr).await.ok();
    }
    let body = format!(
        r#"[{{"specversion":"1.0","id":"{number}","source":"/overload","type":"session.created","subject":"{number}","data":{{"agent_id":"a{}"}}}}]"#,
        number % 100
    );
    let open = connection.as_mut()?;
    let answer = open.ask(&http::post_events(key, &body)).await;
    let status = answer.ok().map(|(status, _)| status);
    match status {
        Some(200..300) => {}
        Some(status @ (429 | 503)) => assert!(open.retry_after.is_some(), "{status}"),
        Some(status) => panic!("{status}"),
        None => *connection = None,
    }
    status
}

async fn open_idle(addr: SocketAddr) -> Option<Connection> {
    let mut connection = Connection::open(addr).await.ok()?;
    connection.ask(&http::get("/healthz", "")).await.ok()?;
    Some(connection)
}

/// How many of the acknowledged events opened no session.
async fn lost(node: &Node, key: &str, mut acknowledged: HashSet<u64>) -> u64 {
    let mut connection = node.connect().await;
    let mut cursor = None::<String>;
    loop {
        let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = http::get(&format!("/v1/agent-sessions?limit=200{from}"), key);
        let page = connection.json(&page).await;
        for row in page["sessions"].as_array().expect("a page has rows") {
            let id = row["session_id"].as_str().expect("a row has an id");
            acknowledged.remove(&id.parse().expect("the id is a number"));
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return acknowledged.len() as u64;
        }
    }
}

/// Adds percentiles to a section. The target is for the 99th.
fn times(section: &mut Section, what: &str, times: &[f64], must: Option<Must>) {
    let times = sorted(times.to_vec());
    for percent in [50, 99, 100] {
        let time = Figure::one(percentile(&times, percent));
        let row = Row::new(format!("{what}: p{percent}"), "ms", time);
        section.row(match must.filter(|_| percent == 99) {
            Some(must) => row.must(must),
            None => row,
        });
    }
}

fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS);
    let current = Some(DESCRIPTORS.min(most).max(limit.current.unwrap_or(most)));
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).expect("within the hard limit");
}
