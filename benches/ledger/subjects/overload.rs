//! More events than the server can take, beside more connections than it keeps, while a client reads pages.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use crate::filled::LARGEST;
use crate::http::{self, Connection, Streams};
use crate::nats::{NatsServer, Preset};
use crate::node::{Ledger, Node};
use crate::report::{Must, Report, Row, Section};
use crate::stats::{Figure, MIB, float, ms, per_second, percentile, sorted};
use crate::targets;

/// The connections of the load (HTTP/2).
const CONNECTIONS: usize = 64;
/// The load that the server sustains is measured with so many requests at a time.
const SUSTAINED_REQUESTS: usize = 64;
const SUSTAINED: Duration = Duration::from_secs(10);
/// How many times as many events are offered.
const FACTOR: u64 = 4;
const OVERLOAD: Duration = Duration::from_mins(1);
/// Requests at a time: more than the server lets wait for verdicts and for their turn.
const REQUESTS: usize = 12_800;
/// Connections that send a byte of a request each second.
const SLOW: usize = 1_000;
/// Connections that were used once and are kept open.
const IDLE: usize = 10_000;
/// Connections that ask for a page of 200 rows each second, and read nothing.
const UNREAD: usize = 200;
/// An event is given up if it could not be sent for so long.
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
    /// Given up, because all requests were waiting for answers.
    unsent: u64,
    /// The connection ended before the answer.
    cut: u64,
}

/// Events at a rate, with the numbers from `first` on.
struct Arrivals {
    first: u64,
    per_second: f64,
    time: Duration,
    requests: usize,
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
            "{name}: {FACTOR} times the events that it sustains for {} s, one a request, {REQUESTS} at a time on \
             {CONNECTIONS} connections, beside {SLOW} slow, {IDLE} idle and {UNREAD} connections that read nothing, \
             and a reader of pages",
            OVERLOAD.as_secs()
        ),
    );
    let (sustained, rate) = sustained(&mut section, node, key).await;
    let overload = Arrivals {
        first: sustained.acknowledged.len() as u64 + 1_000_000,
        per_second: rate * float(FACTOR),
        time: OVERLOAD,
        requests: REQUESTS,
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
    let trickling = trickle(node.addr, slow, &over);
    let unread = never_read(node.addr, key, &over);
    let ((overloaded, pages), (), ()) = tokio::join!(overloading, trickling, unread);
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
        requests: SUSTAINED_REQUESTS,
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
    rate("  not sent, as all requests were waiting", emitted.unsent);
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

/// Asks for a page on each connection each second, and reads nothing. Opens a connection that the server has
/// closed again.
async fn never_read(addr: SocketAddr, key: &str, over: &Cell<bool>) {
    let page = http::get("/v1/agent-sessions?limit=200", key);
    let mut connections: Vec<Option<TcpStream>> = (0..UNREAD).map(|_| None).collect();
    while !over.get() {
        for slot in &mut connections {
            let asked = match slot {
                // A write that would wait shows that the server reads no more requests.
                Some(stream) => stream
                    .try_write(&page)
                    .map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true),
                None => false,
            };
            if !asked {
                *slot = TcpStream::connect(addr).await.ok();
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Emits, while another client reads the first page again and again. Returns the milliseconds of each page.
async fn with_pages(node: &Node, key: &str, arrivals: Arrivals) -> (Emitted, Vec<f64>) {
    let over = Arc::new(AtomicBool::new(false));
    let reader = spawn_blocking({
        let (over, addr, key) = (Arc::clone(&over), node.addr, key.to_owned());
        move || read_pages(addr, &key, &over)
    });
    let emitted = emit(node.addr, key, arrivals).await;
    over.store(true, Ordering::Relaxed);
    (emitted, reader.await.expect("the reader ends"))
}

/// Reads the first page every [`PAGE_EVERY`]. It has a thread of its own: behind the load in a queue of tasks,
/// it would measure the load.
fn read_pages(addr: SocketAddr, key: &str, over: &AtomicBool) -> Vec<f64> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connection = Connection::open(addr).await.expect("the server accepts");
        let page = http::get("/v1/agent-sessions?limit=50", key);
        let mut times = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            connection.ok(&page).await;
            times.push(ms(asked.elapsed()));
            sleep_until(asked + PAGE_EVERY).await;
        }
        times
    })
}

async fn emit(addr: SocketAddr, key: &str, arrivals: Arrivals) -> Emitted {
    let emitted = RefCell::new(Emitted::default());
    let next = Cell::new(0);
    let started = Instant::now();
    let streams = Streams::new(addr, CONNECTIONS);
    let one = async |place| {
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
            let answer = emit_one(&streams, place, key, number).await;
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
    join_all((0..arrivals.requests).map(one)).await;
    emitted.into_inner()
}

/// Emits an event. Returns the status; `None` if the connection failed. A refusal must say when to try again.
async fn emit_one(streams: &Streams, place: usize, key: &str, number: u64) -> Option<u16> {
    let events = format!(
        r#"[{{"specversion":"1.0","id":"{number}","source":"/overload","type":"session.created","subject":"{number}","data":{{"agent_id":"a{}"}}}}]"#,
        number % 100
    );
    let answer = streams.post(place, key, events).await.ok()?;
    match answer.status {
        200..300 => {}
        429 | 503 => assert!(answer.has_retry_after, "{}", answer.status),
        status => panic!("{status}"),
    }
    Some(answer.status)
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
