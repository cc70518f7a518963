//! A thousand clients that follow listings and histories, while 2,000 events a second are published.

mod check;
pub(crate) mod followed;
mod publish;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::filled::LARGEST;
use crate::follower::Follower;
use crate::http::{self, Follows};
use crate::nats::{NatsServer, Preset};
use crate::node::{self, Ledger};
use crate::paced::PACE;
use crate::postgres::{ListTable, Shown};
use crate::publish::Publisher;
use crate::report::{Report, Row, Section};
use crate::stats::{Figure, MIB, float, per_second, percentile, sorted};
use crate::targets;
use crate::workload::Stamped;
use followed::{HISTORIES, LISTINGS};
use publish::{Load, Published};

const FOLLOWERS: usize = 1_000;
/// The connections of the followers (HTTP/2).
const CONNECTIONS: usize = 20;
const TIME: Duration = Duration::from_secs(20);
/// Until every follower has its first rows.
const SETTLE: Duration = Duration::from_secs(3);
/// Events of a request before the measurement.
const FILL: u64 = 1_000;

pub(crate) async fn run(report: &mut Report, sessions: u64, with_postgres: bool) {
    let theirs = if with_postgres {
        ListTable::shown(sessions, TIME).await
    } else {
        None
    };
    for (name, preset) in [("built-in log", None), ("NATS", Some(Preset::Fast))] {
        let nats = match preset {
            Some(preset) => Some(NatsServer::start(preset).await),
            None => None,
        };
        let ledger = Ledger::new(nats.as_ref().map(NatsServer::url));
        let key = ledger.issue_key(LARGEST);
        let node = ledger.start();
        let publisher = match &nats {
            Some(nats) => Some(Publisher::connect(nats.url()).await),
            None => None,
        };
        let load = Load {
            node: &node,
            key: &key,
            publisher: publisher.as_ref(),
            started: Instant::now(),
            stamped: RefCell::new(Stamped::new()),
            free: RefCell::default(),
        };
        fill(&load, sessions).await;
        one(report, (name, sessions), &load, theirs.as_ref()).await;
        drop(load);
        node.stop();
    }
}

/// Opens the sessions that are there before.
async fn fill(load: &Load<'_>, sessions: u64) {
    let mut connection = load.node.connect().await;
    let mut left = sessions;
    while left != 0 {
        let count = left.min(FILL);
        left -= count;
        let bodies = (0..count).map(|_| load.stamped.borrow_mut().before().body());
        let bodies: Vec<String> = bodies.collect();
        let request = http::post_events(load.key, &format!("[{}]", bodies.join(",")));
        connection.ok(&request).await;
    }
}

async fn one(
    report: &mut Report,
    (name, sessions): (&str, u64),
    load: &Load<'_>,
    theirs: Option<&Shown>,
) {
    let node = load.node;
    let [before, _] = node.memory();
    let mut connection = node.connect().await;
    let since = node::metrics(&mut connection).await.head;
    let end = Arc::new(AtomicU64::new(u64::MAX));
    let (ready, connected) = oneshot::channel();
    // A thread of its own: behind the publishes in a queue of tasks, it would measure these.
    let following = spawn_blocking({
        let all = All {
            addr: node.addr,
            key: load.key.to_owned(),
            started: load.started,
            since,
            end: Arc::clone(&end),
        };
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(all.follow(ready))
        }
    });
    connected.await.unwrap();
    sleep(SETTLE).await;
    let began = Instant::now();
    let published = load.run(TIME).await;
    let rate = per_second(published.events, began.elapsed().min(TIME));
    let head = node::metrics(&mut connection).await.head;
    node.caught_up(head, Instant::now()).await;
    end.store(head, Ordering::Relaxed);
    let followers = following.await.unwrap();
    let wrong = check::wrong(&mut connection, load.key, since, &followers).await;
    let mut section = Section::new(
        "live",
        format!(
            "{name}: {FOLLOWERS} clients of {} listings and {} histories on {CONNECTIONS} connections, {PACE} events a \
             second for {} s on top of {sessions} sessions",
            LISTINGS.len(),
            HISTORIES.len(),
            TIME.as_secs(),
        ),
    );
    section.row(Row::new("published", "events/s", Figure::one(rate)));
    times(&mut section, published, &followers, theirs);
    let mib = |bytes: u64| Figure::one(float(bytes / MIB));
    let [_, most] = node.memory();
    section.row(Row::new(
        "server's resident memory before",
        "MiB",
        mib(before),
    ));
    let most = Row::new("  at most", "MiB", mib(most));
    section.row(most.must(targets::MEMORY_FOLLOWED_MIB));
    for (what, count) in wrong {
        section.row(Row::new(what, "clients", Figure::one(float(count))).must(targets::WRONG));
    }
    section.note("The clients and the publishes are two threads on the cores that the server has.");
    report.add(section);
}

/// What the followers need.
struct All {
    addr: SocketAddr,
    key: String,
    started: Instant,
    /// Followers of histories begin after this position.
    since: u64,
    end: Arc<AtomicU64>,
}

impl All {
    async fn follow(self, ready: oneshot::Sender<()>) -> Vec<Follower> {
        let follows = Follows::open(self.addr, CONNECTIONS).await;
        let mut running = JoinSet::new();
        for (number, (what, target)) in self.targets().into_iter().enumerate() {
            let body = follows.follow(number, &self.key, &target).await;
            let follower = Follower::new(what);
            running.spawn(follower.run(body, self.started, Arc::clone(&self.end)));
        }
        ready.send(()).expect("the measurement waits");
        running.join_all().await
    }

    /// What each client follows. Histories have the numbers after those of the listings.
    fn targets(&self) -> Vec<(usize, String)> {
        let mut targets = Vec::new();
        for (number, (query, clients)) in (LISTINGS.len()..).zip(HISTORIES) {
            let target = format!("/v1/events/stream?{query}after={}", self.since);
            targets.extend((0..clients).map(|_| (number, target.clone())));
        }
        for number in (0..LISTINGS.len()).cycle() {
            if targets.len() == FOLLOWERS {
                break;
            }
            let listing = &LISTINGS[number];
            let (query, window) = (listing.query, listing.window);
            let target = format!("/v1/agent-sessions/stream?{query}window={window}");
            targets.push((number, target));
        }
        targets
    }
}

fn times(
    section: &mut Section,
    published: Published,
    followers: &[Follower],
    theirs: Option<&Shown>,
) {
    let (acked, listed) = (sorted(published.acked), sorted(published.listed));
    let frames = |of_listings: bool| {
        let followers = followers.iter();
        let some = followers.filter(|one| (one.what < LISTINGS.len()) == of_listings);
        let times = some.flat_map(|one| &one.times_us);
        sorted(times.map(|us| float(*us) / 1e3).collect())
    };
    let (rows, events) = (frames(true), frames(false));
    let count = Figure::one(float(rows.len() as u64));
    section.row(Row::new("frames that showed a new session", "", count));
    let all = [
        ("acknowledgement", &acked),
        ("a listing shows it", &listed),
        ("a client has the frame with the session", &rows),
        ("a client has the frame with the event", &events),
    ];
    for (what, times) in all {
        for percent in [50, 99, 100] {
            let time = percentile(times, percent);
            let what = format!("from publish until {what}: p{percent}");
            let mut row = Row::new(what, "ms", Figure::one(time));
            if std::ptr::eq(times, &raw const rows) || std::ptr::eq(times, &raw const events) {
                row = row.against("a listing", Some(percentile(&listed, percent)));
                if percent == 99 {
                    row = row.ratio_must(targets::FRAME_TO_LISTING);
                }
            }
            if std::ptr::eq(times, &raw const rows) {
                let theirs = theirs.map(|shown| percentile(&shown.times_ms, percent));
                row = row.against("PostgreSQL, read again and again", theirs);
            }
            section.row(row);
        }
    }
}
