//! Streams of events: their frames and their pages. `live` has the property that each event comes once and in order.

use std::time::Duration;

use serde_json::{Value, json};
use session_ledger::domain::limits::{FEED_BATCH_EVENTS_MAX, FEED_BATCHES_MAX, STREAM_TIME_MS};

use crate::support::app::{App, NOW, Serving};
use crate::support::client::{Client, created, event};
use crate::support::clock;
use crate::support::connection::ENDLESS;
use crate::support::stream::Frames;

const PATH: &str = "/v1/events/stream";

/// The events of a list of frames, without what makes them frames.
fn events(frames: &[Value]) -> Vec<Value> {
    let events = frames.iter().filter(|frame| frame["frame"] == "event");
    let event = |frame: &Value| {
        let mut event = frame.clone();
        event.as_object_mut().unwrap().remove("frame");
        event
    };
    events.map(event).collect()
}

/// Emits events as one batch. Returns the position of the last.
async fn post(client: &Client, batch: Vec<Value>) -> u64 {
    let media_type = "application/cloudevents-batch+json";
    let body = Value::from(batch).to_string();
    let answer = client.post("/v1/events", media_type, body).await.ok();
    let results = answer["results"].as_array().unwrap();
    results.last().unwrap()["position"].as_u64().unwrap()
}

/// Emits openings of sessions as one batch. Returns the position of the last.
async fn open(client: &Client, prefix: &str, count: usize) -> u64 {
    let opened = |number| created(&format!("{prefix}-{number}"), "a1", NOW);
    post(client, (0..count).map(opened).collect()).await
}

/// All events of the tenant.
async fn all(client: &Client) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let path = format!("/v1/events?limit=1000&after={from}");
        let page = client.get(&path).await.ok();
        all.extend(page["events"].as_array().unwrap().clone());
        after = page["next_after"].as_u64();
    }
    all
}

/// Over HTTP/2, the server can send only what the client reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_gets_the_events_that_its_feed_no_longer_keeps() {
    let app = App::start().await;
    let client = app.client("acme");
    let first = open(&client, "first", 1).await;
    let mut slow = client.follow_slowly(PATH, None, 1_000).await;
    let mut frames = slow.until(first).await;
    // From here on, it gets what the feed keeps for it. A few batches may be on their way.
    let mut last = first;
    for batch in 0..2 * FEED_BATCHES_MAX {
        last = open(&client, &batch.to_string(), FEED_BATCH_EVENTS_MAX).await;
    }
    frames.extend(slow.until(last).await);
    assert_eq!(events(&frames), all(&client).await);
    app.stop().await;
}

#[tokio::test]
async fn a_stream_whose_time_ends_in_the_middle_of_a_history_goes_on_in_the_next_one() {
    let app = App::start_serving(Serving {
        patience: ENDLESS,
        ..Serving::default()
    });
    let app = app.await;
    let client = app.client("acme");
    let last = open(&client, "s", 900).await;
    let mut slow = client.follow_slowly(PATH, None, 1_000).await;
    let mut frames = vec![slow.next().await.unwrap()];
    clock::pass(Duration::from_millis(STREAM_TIME_MS)).await;
    frames.extend(slow.rest().await);
    let bye = frames.pop().unwrap();
    assert_eq!(
        (&bye["frame"], &bye["reason"]),
        (&json!("bye"), &json!("renew"))
    );
    let has = frames.last().unwrap()["position"].as_u64().unwrap();
    assert!(has < last);
    let mut next = client.follow(PATH, Some(has)).await;
    frames.extend(next.until(last).await);
    assert_eq!(events(&frames), all(&client).await);
    drop(next);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_history_is_one_answer() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut last = 0;
    for batch in 0..3 {
        let opened = |number| created(&format!("s{batch}-{number}"), "a1", NOW);
        last = post(&client, (0..900).map(opened).collect()).await;
    }
    let frames = client
        .follow(&format!("{PATH}?follow=false"), None)
        .await
        .rest()
        .await;
    assert_eq!(events(&frames).len(), 2_700);
    let synced = frames.last().unwrap();
    assert_eq!(
        (&synced["frame"], &synced["as_of"]["position"]),
        (&json!("synced"), &json!(last))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_a_server_sent_event_whose_id_is_its_position() {
    let app = App::start().await;
    let client = app.client("acme");
    let position = client.apply(&created("s1", "a1", NOW)).await;
    let path = format!("{PATH}?follow=false");
    let (headers, body) = client.fetch(&path, &[("accept", "*/*")]).await;
    assert_eq!(headers["content-type"], "text/event-stream");
    let event = client.get(&format!("/v1/events/{position}")).await.text;
    let expected = format!(
        "id: {position}\nevent: event\ndata: {{\"frame\":\"event\",{}\n\n\
         id: {position}\nevent: synced\ndata: {{\"frame\":\"synced\",\
         \"as_of\":{{\"position\":{position},\"time\":null,\"caught_up\":true}}}}\n\n",
        &event[1..]
    );
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_is_sent_once_and_only_without_a_filter_that_it_cannot_match() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let mut all = client.follow(PATH, None).await;
    let mut of_session = client.follow(&format!("{PATH}?session_id=s2"), None).await;
    let refreshed = event(
        "r1",
        "session.refreshed",
        "s2",
        &json!({"phase": "running"}),
    );
    client.emit(&refreshed).await;
    let last = client.apply(&created("s2", "a1", NOW)).await;
    let verdicts = |frames: Vec<Value>| -> Vec<Value> {
        events(&frames)
            .iter()
            .map(|event| event["verdict"].clone())
            .collect()
    };
    let until = async |frames: &mut Frames| {
        let mut read = Vec::new();
        while read
            .last()
            .is_none_or(|frame: &Value| frame["position"] != last)
        {
            read.push(frames.next().await.unwrap());
        }
        verdicts(read)
    };
    assert_eq!(until(&mut all).await, ["applied", "parked", "applied"]);
    assert_eq!(until(&mut of_session).await, ["applied"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_search_says_how_far_it_has_come() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let mut last = 0;
    for batch in 0..21 {
        let opened = |number| created(&format!("s{batch}-{number}"), "a2", NOW);
        last = post(&client, (0..1_000).map(opened).collect()).await;
    }
    let path = format!("{PATH}?follow=false&agent_id=a1&after=2");
    let frames = client.follow(&path, None).await.rest().await;
    let names: Vec<_> = frames.iter().map(|frame| &frame["frame"]).collect();
    assert_eq!(names, ["searched", "synced"]);
    assert!(frames[0]["position"].as_u64().unwrap() < last);
    app.stop().await;
}
