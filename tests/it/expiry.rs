//! The expiry reactor: deadlines become facts, once, and only while they hold.

use std::sync::Arc;

use serde_json::{Value, json};
use session_ledger::domain::{Position, Timestamp};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};
use crate::support::clock::ManualClock;

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

fn with_ttl(session: &str, seconds: u64) -> Value {
    let mut event = created(session, "a1", NOW);
    event["data"]["ttl_seconds"] = json!(seconds);
    event
}

async fn counts(client: &Client) -> Value {
    client.get("/v1/agent-sessions/count").await.ok()["by_status"].clone()
}

/// Waits until the log has this many records and all are folded.
async fn folded(app: &App, records: u64) {
    app.projection.wait_for(Position::new(records), SOON).await;
    assert_eq!(app.projection.position(), Position::new(records));
}

#[tokio::test]
async fn a_deadline_that_passes_becomes_a_fact_and_a_later_one_does_not() {
    let mut app = App::start().await;
    let client = app.client("acme");
    client.apply(&with_ttl("short", 60)).await;
    client.apply(&with_ttl("long", 3600)).await;
    app.set_time("2026-01-31T12:01:00Z");
    app.start_expiry();
    folded(&app, 3).await;
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
    // The reactor looks again with every batch; this one passes without anything due.
    client.apply(&with_ttl("other", 3600)).await;
    assert_eq!(counts(&client).await["expired"], 0);
    app.set_time("2026-01-31T12:01:59Z");
    client.apply(&with_ttl("another", 3600)).await;
    folded(&app, 5).await;
    assert_eq!(counts(&client).await["expired"], 1);
    app.stop().await;
}

#[tokio::test]
async fn after_a_long_absence_everything_due_expires_in_the_order_of_deadlines() {
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

/// A clock ahead of the log's once made the reactor append everything due twenty times a second.
#[tokio::test]
async fn a_clock_ahead_of_the_logs_asks_with_one_deadline_at_a_time() {
    let mut app = App::start().await;
    let client = app.client("acme");
    for number in 0..20 {
        client.apply(&with_ttl(&format!("s{number}"), 60)).await;
    }
    let ahead = Arc::new(ManualClock::default());
    ahead.set_micros(Timestamp::parse("2026-01-31T12:01:00Z").unwrap().micros());
    app.start_expiry_by(ahead);
    // All of them once, then one at a time.
    let probed = Position::new(20 + 20 + 2);
    app.projection.wait_for(probed, SOON).await;
    let rejected = client
        .get("/v1/rejections?reason=not_due&limit=1")
        .await
        .ok();
    assert!(rejected["total"].as_u64().unwrap() < 30, "{rejected}");
    app.set_time("2026-01-31T12:01:00Z");
    let mut folded = app.projection.watch();
    while counts(&client).await["expired"] != json!(20) {
        tokio::time::timeout(SOON, folded.changed())
            .await
            .unwrap()
            .unwrap();
    }
    app.stop().await;
}
