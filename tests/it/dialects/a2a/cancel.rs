//! Cancellations on a log that fails, with a fold that lags, and by several callers at the same time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::Method;
use session_ledger::domain::Position;

use super::{failures, get, send};
use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created};
use crate::support::faulty_log::{FaultyLog, UNAVAILABLE};

async fn cancel(client: &Client, id: &str) -> Answer {
    send(client, Method::POST, &format!("/tasks/{id}:cancel"), "{}").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_without_a_verdict_yet_is_accepted_with_the_task_as_it_is() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    app.fold_during(async {
        client.apply(&created("s1", "a1", NOW)).await;
    })
    .await;
    let accepted = cancel(&client, "s1").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let task = accepted.json();
    assert_eq!(task["status"]["state"], "TASK_STATE_WORKING");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_the_log_confirms_late_is_made_once() {
    let (app, log) = App::start_on_doubtful_log().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    log.doubts.store(2, Ordering::SeqCst);
    let canceled = cancel(&client, "s1").await.ok();
    assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELED");
    let events = client.get("/v1/agent-sessions/s1/events").await.ok();
    assert_eq!(events["total"], 2, "{events}");

    client.apply(&created("s2", "a1", NOW)).await;
    log.doubts.store(usize::MAX, Ordering::SeqCst);
    let doubtful = cancel(&client, "s2").await;
    failures::check(
        &doubtful,
        500,
        "INTERNAL_ERROR",
        "may or may not be written",
    );
    log.doubts.store(0, Ordering::SeqCst);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_wrote_nothing_may_be_sent_again() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    let opened = created(UNAVAILABLE, "a1", NOW).to_string();
    let position = app.publish("ledger.v1.acme.session.created", opened).await;
    app.projection.reach(Position::new(position)).await;
    let failed = cancel(&client, UNAVAILABLE).await;
    failures::check(&failed, 503, "UNAVAILABLE", "nothing was written");
    assert_eq!(failed.header("retry-after"), "1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_cancellations_at_the_same_time_one_succeeds() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let answers = tokio::join!(
        cancel(&client, "s1"),
        cancel(&client, "s1"),
        cancel(&client, "s1"),
        cancel(&client, "s1"),
    );
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let succeeded = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(succeeded.count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        failures::check(refused, 400, "TASK_NOT_CANCELABLE", "has ended");
    }
    let one = get(&client, "/tasks/s1").await.ok();
    assert_eq!(one["status"]["state"], "TASK_STATE_CANCELED");
    app.stop().await;
}
