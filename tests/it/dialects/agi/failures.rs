//! AGI on a log that fails, and with a fold that lags.
//!
//! Clients retry after any 5xx, without an idempotency key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::domain::Position;

use super::{check_failure, create, list, send};
use crate::support::app::{App, NOW};
use crate::support::client::created;
use crate::support::faulty_log::{FaultyLog, UNAVAILABLE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unconfirmed_create_makes_one_session_and_asks_for_no_retry() {
    let (app, log) = App::start_on_doubtful_log().await;
    let client = app.client("acme");
    // The log keeps the event, and confirms it late.
    log.doubts.store(2, Ordering::SeqCst);
    let id = create(&client, "{}").await;
    assert_eq!(list(&client).await[0]["session_id"], json!(id));
    assert_eq!(list(&client).await.len(), 1);
    // The log keeps the event, but never confirms it. The answer must not ask for a retry.
    log.doubts.store(usize::MAX, Ordering::SeqCst);
    let answer = send(&client, Method::POST, "", "{}").await;
    check_failure(&answer, 409, "may or may not be written");
    log.doubts.store(0, Ordering::SeqCst);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_wrote_nothing_may_be_retried() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    let fails = r#"{"agent_name":"fails-unavailable"}"#;
    let answer = send(&client, Method::POST, "", fails).await;
    check_failure(&answer, 503, "nothing was written");
    assert_eq!(answer.header("retry-after"), "1");
    app.stop_fold().await;
    let answer = send(&client, Method::POST, "", "{}").await;
    check_failure(&answer, 503, "the fold has stopped");
    assert_eq!(list(&client).await, [Value::Null; 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_verdict_yet_is_initializing() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let desktop = r#"{"agent_session_type": "desktop"}"#;
    let answer = send(&client, Method::POST, "", desktop).await;
    assert_eq!(answer.status, 202);
    let made = answer.json();
    assert_eq!(made["agent_session_type"], "desktop");
    assert_eq!(made["status"], "initializing");
    assert_eq!(made["agent_name"], "agi-0");
    assert_eq!(made["created_at"], "2026-01-31T12:00:00.000Z");
    app.stop().await;
}

/// Opens a session directly on the log. The API's log rejects every event about it.
async fn open_unendable(app: &App) {
    let opened = created(UNAVAILABLE, "a1", "2026-01-31T11:00:00Z");
    let subject = "ledger.v1.acme.session.created";
    let position = app.publish(subject, opened.to_string()).await;
    app.projection.reach(Position::new(position)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_of_all_that_fails_halfway_does_not_claim_that_nothing_was_written() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    open_unendable(&app).await;
    let alone = send(&client, Method::DELETE, "", "").await;
    check_failure(&alone, 503, "nothing was written");
    // A part of a page is written.
    for id in ["s1", "s2"] {
        client.apply(&created(id, "a1", NOW)).await;
    }
    let part = send(&client, Method::DELETE, "", "").await;
    check_failure(&part, 409, "may or may not be written");
    assert_eq!(list(&client).await.len(), 1);
    // One page is written, and nothing of the next.
    let page: Vec<Value> = (0..200)
        .map(|number| created(&format!("t{number}"), "a1", NOW))
        .collect();
    let batched = "application/cloudevents-batch+json";
    let page = serde_json::to_vec(&page).unwrap();
    client.post("/v1/events", batched, page).await.ok();
    let page = send(&client, Method::DELETE, "", "").await;
    check_failure(
        &page,
        409,
        "at least 200 sessions were deleted before this failed (unavailable)",
    );
    let left = list(&client).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["session_id"], UNAVAILABLE);
    let one = send(&client, Method::DELETE, &format!("/{UNAVAILABLE}"), "").await;
    check_failure(&one, 503, "nothing was written");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_the_log_confirms_late_is_made_once() {
    let (app, log) = App::start_on_doubtful_log().await;
    let client = app.client("acme");
    let id = create(&client, "{}").await;
    for (method, call) in [
        (Method::POST, "/pause"),
        (Method::POST, "/resume"),
        (Method::POST, "/cancel"),
        (Method::DELETE, ""),
    ] {
        log.doubts.store(2, Ordering::SeqCst);
        let answer = send(&client, method, &format!("/{id}{call}"), "").await;
        assert_eq!(answer.ok()["success"], true);
    }
    let path = format!("/v1/agent-sessions/{id}/events");
    let events = client.get(&path).await.ok();
    assert_eq!(events["total"], 5, "{events}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_a_verdict_yet_is_announced() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    app.fold_during(async {
        for id in ["s1", "s2", "s3"] {
            client.apply(&created(id, "a1", NOW)).await;
        }
    })
    .await;
    let (paused, one, all) = tokio::join!(
        send(&client, Method::POST, "/s1/pause", ""),
        send(&client, Method::DELETE, "/s2", ""),
        send(&client, Method::DELETE, "", ""),
    );
    for (answer, said) in [
        (paused, "The session is about to be paused"),
        (one, "The session is about to be deleted"),
        (all, "Deleted 3 sessions"),
    ] {
        assert_eq!(answer.status, 202);
        let told = answer.json();
        assert_eq!(
            (&told["success"], &told["message"]),
            (&json!(true), &json!(said))
        );
    }
    let head = app.log().head().await.unwrap();
    app.fold_during(app.projection.reach(head)).await;
    assert_eq!(list(&client).await, [Value::Null; 0]);
    app.stop().await;
}
