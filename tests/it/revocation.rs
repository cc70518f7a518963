//! The revocation reactor: it ends each session of a revoked agent once, and no other session.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, pending};
use serde_json::{Value, json};
use session_ledger::app::{Config, start};
use session_ledger::domain::Position;
use session_ledger::ledger::Reactor;
use session_ledger::log::{Appended, EventLog, NewRecord};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};
use crate::support::faulty_log::call_its_log;

const SOON: Duration = Duration::from_mins(1);
const REVOKED: &str = "2026-01-31T12:00:30.000000Z";

/// Opens this many sessions of an agent. Returns the position of the last.
async fn open(client: &Client, agent: &str, count: usize) -> u64 {
    let sessions: Vec<Value> = (0..count)
        .map(|number| created(&format!("{agent}-{number}"), agent, NOW))
        .collect();
    let mut last = 0;
    for batch in sessions.chunks(1000) {
        let body = Value::from(batch).to_string();
        let answer = client
            .post("/v1/events", "application/cloudevents-batch+json", body)
            .await;
        let results = answer.ok()["results"].clone();
        last = results[batch.len() - 1]["position"].as_u64().unwrap();
    }
    last
}

/// Returns an event that changes an agent's status.
fn status(agent: &str, kind: &str) -> Value {
    let mut event = event(&format!("{kind}-{agent}"), kind, agent, &json!({}));
    event["time"] = json!(REVOKED);
    event
}

async fn session(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/agent-sessions/{id}")).await.ok()
}

/// Waits until this many records are folded. The log must have no more.
async fn folded(app: &App, records: u64) {
    app.projection.wait_for(Position::new(records), SOON).await;
    assert_eq!(app.projection.position(), Position::new(records));
}

#[tokio::test]
async fn only_the_sessions_of_a_revoked_agent_end() {
    let mut app = App::start().await;
    app.start_revocation();
    let (acme, globex) = (app.client("acme"), app.client("globex"));
    for agent in ["a1", "a2", "a3"] {
        open(&acme, agent, 3).await;
    }
    open(&globex, "a1", 3).await;
    // One session is handed off from the agent to another agent, and one from another agent to it.
    for (parent, to, child) in [("a1-0", "a2", "from-a1"), ("a2-0", "a1", "from-a2")] {
        let data = json!({"to_agent_id": to, "session_id": child});
        let handed_off = event(child, "session.handed_off", parent, &data);
        acme.apply(&handed_off).await;
    }
    acme.apply(&status("a3", "agent.suspended")).await;
    let revoked = acme.apply(&status("a1", "agent.revoked")).await;
    folded(&app, revoked + 3).await;
    for id in ["a1-1", "a1-2", "from-a2"] {
        let row = session(&acme, id).await;
        assert_eq!(
            (&row["status"], &row["outcome"], &row["terminated_at"]),
            (&json!("terminated"), &json!("revoked"), &json!(REVOKED)),
            "{id}"
        );
    }
    assert_eq!(session(&acme, "a1-0").await["status"], "handed_off");
    for id in ["a2-1", "from-a1", "a3-0"] {
        assert_eq!(session(&acme, id).await["status"], "active", "{id}");
    }
    assert_eq!(session(&globex, "a1-0").await["status"], "active");
    let agent = acme.get("/v1/agents/a1").await.ok();
    assert_eq!(
        (&agent["session_count"], &agent["active_session_count"]),
        (&json!(4), &json!(0))
    );
    app.stop().await;
}

#[tokio::test]
async fn the_ledgers_event_names_the_revocation_and_has_its_time() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    open(&client, "a1", 1).await;
    // By its emitter's clock, this session opened after the revocation.
    let late = "2026-01-31T12:01:00.000000Z";
    client.apply(&created("late", "a1", late)).await;
    let revoked = client.apply(&status("a1", "agent.revoked")).await;
    folded(&app, revoked + 2).await;
    let events = client.get("/v1/agent-sessions/a1-0/events").await.ok();
    let ended = &events["events"][1]["event"];
    let expected = json!({
        "specversion": "1.0", "id": "revoked-1769860830000000",
        "source": "urn:session-ledger:revocation", "type": "session.terminated",
        "subject": "a1-0", "time": REVOKED, "tenantid": "acme",
        "data": {"reason": "the agent was revoked", "outcome": "revoked"},
    });
    assert_eq!(ended, &expected);
    assert_eq!(session(&client, "late").await["terminated_at"], late);
    app.stop().await;
}

/// A log that writes the first records of an append and then never answers, as in a crash.
struct DyingLog {
    log: Arc<dyn EventLog>,
    writes: usize,
}

impl EventLog for DyingLog {
    fn append(&self, mut records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        records.truncate(self.writes);
        Box::pin(async move {
            self.log.append(records).await;
            pending().await
        })
    }

    call_its_log!(append_after get recall tail head state notify);
}

#[tokio::test]
async fn another_node_ends_the_sessions_that_a_crashed_node_left() {
    const SESSIONS: usize = 50;
    const WRITTEN: usize = 20;
    let mut app = App::start().await;
    let client = app.client("acme");
    open(&client, "a1", SESSIONS).await;
    let revoked = client.apply(&status("a1", "agent.revoked")).await;
    let (stop, mut dying) = (CancellationToken::new(), JoinSet::new());
    let reactor = Reactor {
        log: Arc::new(DyingLog {
            log: app.log(),
            writes: WRITTEN,
        }),
        ..app.reactor()
    };
    dying.spawn(reactor.end_revoked(stop.clone()));
    folded(&app, revoked + WRITTEN as u64).await;
    stop.cancel();
    dying.join_all().await;
    let agent = client.get("/v1/agents/a1").await.ok();
    assert_eq!(agent["active_session_count"], SESSIONS - WRITTEN);
    app.start_revocation();
    folded(&app, revoked + SESSIONS as u64).await;
    let agent = client.get("/v1/agents/a1").await.ok();
    assert_eq!(agent["active_session_count"], 0);
    app.stop().await;
}

#[tokio::test]
async fn thousands_of_sessions_end_once_each_across_restarts() {
    const SESSIONS: usize = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::local(dir.path().join("ledger"), ([127, 0, 0, 1], 0).into());
    let ledger = Box::pin(start(config.clone())).await.unwrap();
    let client = Client::new(&ledger.url(), "acme");
    open(&client, "a1", SESSIONS).await;
    client.apply(&status("a1", "agent.revoked")).await;
    ledger.stop().await.unwrap();
    let ledger = Box::pin(start(config)).await.unwrap();
    let client = Client::new(&ledger.url(), "acme");
    let mut position = ledger.catch_up().await.unwrap();
    let active = async || client.get("/v1/agents/a1").await.ok()["active_session_count"].clone();
    while active().await != json!(0) {
        let next = format!("/v1/status?min_position={}", position.get());
        client.get(&next).await.ok();
        position = ledger.catch_up().await.unwrap();
    }
    let counts = client.get("/v1/agent-sessions/count").await.ok();
    assert_eq!(counts["by_status"]["terminated"], SESSIONS);
    for number in (0..SESSIONS).step_by(500) {
        let path = format!("/v1/agent-sessions/a1-{number}/events");
        let events = client.get(&path).await.ok();
        assert_eq!(events["total"], 2, "opened, and ended once");
    }
    ledger.stop().await.unwrap();
}
