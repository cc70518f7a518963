//! The verdicts that listeners on NATS get, and the notices about verdicts that they missed.

use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::Context;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use session_ledger::domain::limits::NOTICES_BEHIND_MAX;

use crate::support::client::{created, event};
use crate::support::nats::NatsServer;
use crate::support::nats_ledger::{CREATED, World, ledger, publish};

const TIME: &str = "2026-01-31T12:00:00Z";
const TERMINATED: &str = "ledger.v1.acme.session.terminated";
const SOON: Duration = Duration::from_secs(20);

/// Subscribes to the verdicts of the tenant `acme`.
async fn listen(nats: &NatsServer) -> Subscriber {
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let verdicts = listener.subscribe("ledger.verdict.v1.acme").await.unwrap();
    listener.flush().await.unwrap();
    verdicts
}

async fn next(verdicts: &mut Subscriber) -> Value {
    let told = tokio::time::timeout(SOON, verdicts.next()).await;
    serde_json::from_slice(&told.unwrap().unwrap().payload).unwrap()
}

/// Publishes this many messages that are not events. Returns the last position.
async fn noise(runtime: &Context, count: u64) -> u64 {
    let mut last = 0;
    let mut sent = Vec::new();
    for _ in 0..count {
        sent.push(runtime.publish(CREATED, "{]".into()).await.unwrap());
    }
    for ack in join_all(sent.into_iter().map(IntoFuture::into_future)).await {
        last = last.max(ack.unwrap().sequence);
    }
    last
}

#[tokio::test]
async fn a_parked_event_is_announced_again_when_it_is_settled() {
    let world = World::start().await;
    let runtime = world.runtime().await;
    let mut verdicts = listen(&world.nats).await;
    let end = |id: &str| event(id, "session.terminated", "s1", &json!({}));
    let first = publish(&runtime, TERMINATED, &end("t1")).await;
    let second = publish(&runtime, TERMINATED, &end("t2")).await;
    let opening = publish(&runtime, CREATED, &created("s1", "a1", TIME)).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        let verdict = next(&mut verdicts).await;
        let names = ["position", "verdict", "reason", "settled_at", "id"];
        told.push(names.map(|name| verdict[name].clone()));
    }
    let expected = [
        [
            json!(first),
            json!("parked"),
            json!(null),
            json!(null),
            json!("t1"),
        ],
        [
            json!(second),
            json!("parked"),
            json!(null),
            json!(null),
            json!("t2"),
        ],
        [
            json!(first),
            json!("applied"),
            json!(null),
            json!(opening),
            json!("t1"),
        ],
        [
            json!(second),
            json!("rejected"),
            json!("already_ended"),
            json!(opening),
            json!("t2"),
        ],
    ];
    assert_eq!(told, expected);
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_rejected_event_is_described_as_far_as_it_can_be_decoded() {
    let world = World::start().await;
    let runtime = world.runtime().await;
    let mut verdicts = listen(&world.nats).await;
    let mut mismatched = created("s1", "a1", TIME);
    mismatched["type"] = json!("session.terminated");
    let names = |verdict: &Value| {
        ["reason", "type", "subject", "id", "source"].map(|name| verdict[name].clone())
    };
    publish(&runtime, CREATED, &mismatched).await;
    let of = |name: &str| mismatched[name].clone();
    let expected = [
        json!("subject_mismatch"),
        json!("session.terminated"),
        json!("s1"),
        of("id"),
        of("source"),
    ];
    assert_eq!(names(&next(&mut verdicts).await), expected);
    let unfit = json!({"id": "e", "source": 7, "type": "no.such", "subject": "x".repeat(300)});
    publish(&runtime, CREATED, &unfit).await;
    let expected = [
        json!("unknown_type"),
        json!(null),
        json!(null),
        json!("e"),
        json!(null),
    ];
    assert_eq!(names(&next(&mut verdicts).await), expected);
    let twice = r#"{"id":"one","id":"two","source":"/s","type":"session.created"}"#;
    runtime
        .publish(CREATED, twice.into())
        .await
        .unwrap()
        .await
        .unwrap();
    let expected = [
        json!("invalid"),
        json!("session.created"),
        json!(null),
        json!(null),
        json!("/s"),
    ];
    assert_eq!(names(&next(&mut verdicts).await), expected);
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn listeners_learn_which_positions_a_fold_that_catches_up_skips() {
    let World {
        nats,
        ledger: first,
        dir,
    } = World::start().await;
    first.stop().await.unwrap();
    let mut verdicts = listen(&nats).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let runtime = async_nats::jetstream::new(client);
    let last = noise(&runtime, 2 * NOTICES_BEHIND_MAX).await;
    let again = ledger(&nats, dir.path()).await;
    let mut missing: Vec<u64> = (last + 1 - 2 * NOTICES_BEHIND_MAX..=last).collect();
    let mut marks = 0;
    while !missing.is_empty() {
        let told = next(&mut verdicts).await;
        if told.get("missed").is_some() {
            let bound = |name: &str| told[name].as_u64().unwrap();
            missing.retain(|position| !(bound("from")..=bound("to")).contains(position));
            marks += 1;
        } else {
            missing.retain(|position| json!(position) != told["position"]);
        }
    }
    assert_ne!(marks, 0);
    again.stop().await.unwrap();
}
