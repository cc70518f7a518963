//! The expiry reactor: it writes each deadline that has passed once, and only if it still holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Clock, Position, Timestamp, Verdict};
use session_ledger::ledger::Reactor;
use session_ledger::log::EmbeddedLog;
use tokio_util::sync::CancellationToken;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};
use crate::support::clock::{AheadClock, ManualClock};
use crate::support::faulty_log::AwayLog;
use crate::support::node::{self, Node};

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

fn with_ttl(session: &str, seconds: u64) -> Value {
    let mut event = created(session, "a1", NOW);
    event["data"]["ttl_seconds"] = json!(seconds);
    event
}

async fn counts(client: &Client) -> Value {
    client.get("/v1/agent-sessions/count").await.ok()["by_status"].clone()
}

/// The metrics about deadlines: how many have passed, and how many pass within ten minutes.
async fn due_and_soon(client: &Client) -> (u64, u64) {
    let metrics = client.get("/metrics").await.text;
    let gauge = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().parse().unwrap()
    };
    let names = ["expiries_due", "expiries_soon"].map(|name| format!("session_ledger_{name} "));
    (gauge(&names[0]), gauge(&names[1]))
}

/// Waits until this many events are folded, after the record of the rules. The log must have no more.
async fn folded(app: &App, events: u64) {
    let last = Position::new(events + 1);
    app.projection.wait_for(last, SOON).await;
    assert_eq!(app.projection.position(), last);
}

#[tokio::test]
async fn a_passed_deadline_is_written_and_a_later_one_is_not() {
    let mut app = App::start().await;
    let client = app.client("acme");
    client.apply(&with_ttl("short", 60)).await;
    client.apply(&with_ttl("long", 3600)).await;
    assert_eq!(due_and_soon(&client).await, (0, 1));
    app.set_time("2026-01-31T12:01:00Z");
    assert_eq!(due_and_soon(&client).await, (1, 0));
    app.start_expiry();
    folded(&app, 3).await;
    assert_eq!(due_and_soon(&client).await, (0, 0));
    let by_status = counts(&client).await;
    assert_eq!(
        (&by_status["active"], &by_status["expired"]),
        (&json!(1), &json!(1))
    );
    let events = client.get("/v1/agent-sessions/short/events").await.ok();
    let last = &events["events"][1];
    assert_eq!(last["type"], "session.expired");
    assert_eq!(last["event"]["time"], "2026-01-31T12:01:00.000000Z");
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_that_came_first_wins() {
    let mut app = App::start().await;
    let client = app.client("acme");
    client.apply(&with_ttl("s", 60)).await;
    app.set_time("2026-01-31T12:00:59Z");
    let mut refresh = event("r", "session.refreshed", "s", &json!({"ttl_seconds": 60}));
    refresh["time"] = json!("2026-01-31T12:00:59Z");
    client.apply(&refresh).await;
    app.set_time("2026-01-31T12:01:30Z");
    app.start_expiry();
    // The reactor checks again after every batch. After this one, nothing is due.
    client.apply(&with_ttl("other", 3600)).await;
    assert_eq!(counts(&client).await["expired"], 0);
    app.set_time("2026-01-31T12:01:59Z");
    client.apply(&with_ttl("another", 3600)).await;
    folded(&app, 5).await;
    assert_eq!(counts(&client).await["expired"], 1);
    app.stop().await;
}

#[tokio::test]
async fn after_a_long_downtime_due_sessions_expire_in_the_order_of_deadlines() {
    let mut app = App::start().await;
    let client = app.client("acme");
    for number in 0..20 {
        client
            .apply(&with_ttl(&format!("s{number}"), 3600 - 60 * number))
            .await;
    }
    app.set_time("2026-02-01T12:00:00Z");
    app.start_expiry();
    folded(&app, 40).await;
    assert_eq!(counts(&client).await["expired"], 20);
    let expired = client.get("/v1/events?type=session.expired").await.ok();
    let order: Vec<&str> = expired["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["subject"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..20).rev().map(|number| format!("s{number}")).collect();
    assert_eq!(order, expected);
    app.stop().await;
}

#[tokio::test]
async fn a_reactor_whose_clock_is_ahead_writes_one_early_expiry_and_then_waits() {
    let mut app = App::start().await;
    let client = app.client("acme");
    for number in 0..20 {
        client.apply(&with_ttl(&format!("s{number}"), 60)).await;
    }
    app.start_expiry_by(clock_at(Timestamp::parse("2026-01-31T12:01:00Z").unwrap()));
    app.projection.wait_for(Position::new(21), SOON).await;
    // The reactor checks again whenever a record is folded.
    for number in 0..5 {
        client.apply(&with_ttl(&format!("t{number}"), 3600)).await;
    }
    app.set_time("2026-01-31T12:01:00Z");
    client.apply(&with_ttl("last", 3600)).await;
    folded(&app, 20 + 1 + 5 + 1 + 20).await;
    assert_eq!(counts(&client).await["expired"], 20);
    let rejected = client.get("/v1/rejections?reason=not_due").await.ok();
    assert_eq!(rejected["total"], 1);
    app.stop().await;
}

/// Starts a node with sessions. The log's clock is right, and the reactor's is ahead by `ahead_us`.
async fn start_ahead(dir: &Path, sessions: i64, ahead_us: i64) -> (Node, Arc<AheadClock>) {
    let log = EmbeddedLog::open(&dir.join("log.redb"), Arc::new(SystemClock)).unwrap();
    let mut node = Node::start(Arc::new(log), &dir.join("model.redb"));
    let start = SystemClock.now().plus_micros(500_000);
    let sessions = (0..sessions).map(|number| {
        let deadline = start.plus_micros(number * 20_000);
        node::session("acme", &format!("s{number}"), deadline)
    });
    node.append(sessions.collect()).await;
    let clock = Arc::new(AheadClock::by_micros(ahead_us));
    node.start_expiry(Arc::<AheadClock>::clone(&clock));
    (node, clock)
}

#[tokio::test]
async fn a_reactor_whose_clock_is_two_minutes_ahead_writes_few_early_expiries() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _clock) = start_ahead(dir.path(), 60, 120_000_000).await;
    node.until_left(0).await;
    let said = node.expiries().await;
    let applied = said.iter().filter(|said| said.verdict == Verdict::Applied);
    assert_eq!(applied.count(), 60);
    assert!((61..=70).contains(&said.len()), "{}", said.len());
    node.stop().await;
}

#[tokio::test]
async fn a_corrected_clock_is_noticed_while_the_log_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let (node, clock) = start_ahead(dir.path(), 1, 3_600_000_000).await;
    // The log has the session's opening and an early expiry.
    node.folded(Position::new(2)).await;
    clock.set_micros(0);
    node.until_left(0).await;
    assert_eq!(node.expiries().await.len(), 2);
    node.stop().await;
}

fn now() -> Timestamp {
    Timestamp::parse(NOW).unwrap()
}

fn clock_at(now: Timestamp) -> Arc<ManualClock> {
    let clock = ManualClock::default();
    clock.set_micros(now.micros());
    Arc::new(clock)
}

/// Starts a ledger on the built-in log.
fn start(dir: &Path, clock: &Arc<ManualClock>) -> Node {
    let as_clock = Arc::<ManualClock>::clone(clock);
    let log = EmbeddedLog::open(&dir.join("log.redb"), as_clock).unwrap();
    Node::start(Arc::new(log), &dir.join("model.redb"))
}

#[tokio::test]
async fn after_a_day_of_downtime_each_expiry_is_written_once_in_the_order_of_deadlines() {
    const SESSIONS: i64 = 5_000;
    const DAY_US: i64 = 24 * 3600 * 1_000_000;
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock_at(now()));
    let mut before = start(dir.path(), &clock);
    before.start_expiry(Arc::<ManualClock>::clone(&clock));
    let sessions = (0..SESSIONS).map(|number| {
        let second = 1 + (number * 7919) % SESSIONS;
        let deadline = now().plus_micros(second * 1_000_000);
        node::session("acme", &format!("s{number}"), deadline)
    });
    before.append(sessions.collect()).await;
    before.stop().await;

    clock.set_micros(now().plus_micros(DAY_US).micros());
    let mut after = start(dir.path(), &clock);
    after.start_expiry(Arc::<ManualClock>::clone(&clock));
    after.until_left(0).await;
    let said = after.expiries().await;
    let deadlines: Vec<&str> = said.iter().map(|said| said.deadline.as_str()).collect();
    assert_eq!(deadlines.len(), 5_000);
    assert!(deadlines.is_sorted_by(|one, next| one < next));
    after.stop().await;
}

/// A clock that counts how often it is read.
struct CountingClock(Arc<ManualClock>, AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }
}

#[tokio::test]
async fn a_ledger_with_nothing_due_checks_once_a_minute_and_writes_nothing() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock_at(now()));
    let counting = Arc::new(CountingClock(Arc::clone(&clock), AtomicUsize::new(0)));
    let mut node = start(dir.path(), &clock);
    let tomorrow = now().plus_micros(24 * 3600 * 1_000_000);
    node.append(vec![node::session("acme", "s", tomorrow)])
        .await;
    node.start_expiry(Arc::<CountingClock>::clone(&counting));
    // By now the fold has also finished the work that it does when the log becomes quiet.
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let looked = counting.1.load(Ordering::SeqCst);
    assert!(looked > 0);
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    // Each check reads the clock twice: to find due sessions, and to compute the pause.
    let looked = counting.1.load(Ordering::SeqCst) - looked;
    assert!((60..=124).contains(&looked), "{looked}");
    assert_eq!(node.log.head().await.unwrap(), Position::new(1));
    node.stop().await;
}

#[tokio::test]
async fn an_early_forged_or_outdated_expiry_changes_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&with_ttl("s", 60)).await;
    let expired = |deadline: &str| {
        let data = json!({"expires_at": deadline});
        event(deadline, "session.expired", "s", &data).to_string()
    };
    let (old, new) = ("2026-01-31T12:01:00.000000Z", "2026-01-31T12:02:00.000000Z");
    let ledgers = "ledger.sys.v1.acme.session.expired";
    let early = app.publish(ledgers, expired(old)).await;
    // No stream has this subject. On this log, the record belongs to no tenant.
    app.publish("ledger.v1.acme.session.expired", expired(old))
        .await;
    app.set_time("2026-01-31T12:00:59Z");
    let mut refresh = event("r", "session.refreshed", "s", &json!({"expires_at": new}));
    refresh["time"] = json!("2026-01-31T12:00:59Z");
    client.apply(&refresh).await;
    app.set_time("2026-01-31T12:01:30Z");
    let of_old = app.publish(ledgers, format!("{} ", expired(old))).await;
    let mut posted = serde_json::from_str::<Value>(&expired(old)).unwrap();
    posted["id"] = json!("posted");
    client.emit(&posted).await.problem(403, "reserved_type");
    folded(&app, of_old - 1).await;
    let rejections = client.get("/v1/rejections").await.ok();
    let rejected = rejections["events"].as_array().unwrap().iter();
    let rejected: Vec<_> = rejected
        .map(|one| (one["position"].as_u64().unwrap(), one["reason"].clone()))
        .collect();
    assert_eq!(
        rejected,
        [
            (of_old, json!("refreshed_since")),
            (early, json!("not_due"))
        ]
    );
    assert_eq!(counts(&client).await["active"], 1);
    let session = client.get("/v1/agent-sessions/s").await.ok();
    assert_eq!(session["expires_at"], new);
    app.stop().await;
}

/// If the pauses grew for as long as the log is unavailable, the last would take seconds by now.
#[tokio::test]
async fn due_expiries_are_written_as_soon_as_the_log_is_back() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&with_ttl("s", 60)).await;
    app.set_time("2026-01-31T12:01:00Z");
    let away = Arc::new(AwayLog {
        log: app.log(),
        away: AtomicBool::new(true),
        tries: AtomicUsize::new(0),
    });
    let reactor = Reactor {
        log: Arc::<AwayLog>::clone(&away),
        ..app.reactor()
    };
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(reactor.expire(stop.clone()));
    while away.tries.load(Ordering::SeqCst) < 8 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    away.away.store(false, Ordering::SeqCst);
    let wait = std::time::Duration::from_secs(2);
    app.projection.wait_for(Position::new(3), wait).await;
    assert_eq!(counts(&client).await["expired"], 1);
    stop.cancel();
    tasks.join_all().await;
    app.stop().await;
}
