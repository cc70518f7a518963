//! Streams of sessions: their frames, their ends and their limits. `live` has the property of what followers hold.

use std::time::Duration;

use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::AgentId;
use session_ledger::domain::limits::{
    EVENT_FEEDS_MAX, PAGE_ROWS_DEFAULT, STREAM_TIME_MS, STREAM_TIME_SPREAD_MS,
};

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Client, created, event};
use crate::support::clock;

const PATH: &str = "/v1/agent-sessions/stream";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_server_sent_events_whose_ids_are_positions() {
    let app = App::start().await;
    let client = app.client("acme");
    let position = client.apply(&created("s1", "a1", NOW)).await;
    let (headers, body) = client.fetch(&format!("{PATH}?follow=false"), &[]).await;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    let row = client.get("/v1/agent-sessions/s1").await.text;
    let expected = format!(
        "event: reset\ndata: {{\"frame\":\"reset\"}}\n\n\
         event: upsert\ndata: {{\"frame\":\"upsert\",\"index\":0,\"session\":{row}}}\n\n\
         id: {position}\nevent: synced\ndata: {{\"frame\":\"synced\",\"total\":1,\
         \"by_status\":{{\"active\":1,\"terminated\":0,\"expired\":0,\"handed_off\":0}},\
         \"as_of\":{{\"position\":{position},\"time\":\"{NOW}\",\"caught_up\":true}}}}\n\n"
    );
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_has_changed_is_sent() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..3 {
        client
            .apply(&created(&format!("s{number}"), "a1", NOW))
            .await;
    }
    let mut frames = client
        .follow(&format!("{PATH}?window=2&status=active"), None)
        .await;
    let names = |frames: &[Value]| -> Vec<String> {
        let name = |frame: &Value| {
            let session = [&frame["session"]["session_id"], &frame["session_id"]];
            let session = session.into_iter().find_map(Value::as_str);
            format!(
                "{} {}",
                frame["frame"].as_str().unwrap(),
                session.unwrap_or_default()
            )
        };
        frames.iter().map(name).collect()
    };
    let first = names(&frames.until(4).await);
    assert_eq!(first, ["reset ", "upsert s2", "upsert s1", "synced "]);
    // A row below the window takes the place of one that leaves.
    let ended = event("t1", "session.terminated", "s2", &json!({"reason": "done"}));
    let position = client.apply(&ended).await;
    let second = names(&frames.until(position).await);
    assert_eq!(second, ["leave s2", "upsert s0", "synced "]);
    // A row above it pushes another one out.
    let position = client.apply(&created("s3", "a2", NOW)).await;
    let third = names(&frames.until(position).await);
    assert_eq!(third, ["leave s0", "upsert s3", "synced "]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_server_and_says_when_to_come_back() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let mut sessions = client.follow(PATH, None).await;
    let mut events = client.follow("/v1/events/stream", None).await;
    sessions.until(2).await;
    events.until(2).await;
    assert!(app.metrics.text().contains("session_ledger_streams 2\n"));
    let bye = json!({"frame": "bye", "reason": "restart", "retry_ms": 1_000});
    let (sessions, events, ()) = tokio::join!(sessions.rest(), events.rest(), app.stop());
    assert_eq!(sessions, std::slice::from_ref(&bye));
    assert_eq!(events, [bye]);
}

#[tokio::test]
async fn a_stream_ends_after_its_time_and_the_next_one_goes_on() {
    let app = App::start().await;
    let client = app.client("acme");
    let first = client.apply(&created("s1", "a1", NOW)).await;
    let mut sessions = client.follow(PATH, None).await;
    let mut events = client.follow("/v1/events/stream", None).await;
    sessions.until(first).await;
    events.until(first).await;
    // Streams that begin together end at different times, but none before this one.
    let shortest_ms = STREAM_TIME_MS - STREAM_TIME_SPREAD_MS;
    clock::pass(Duration::from_millis(shortest_ms - 10_000)).await;
    for frames in [&mut sessions, &mut events] {
        assert_eq!(frames.next().await.unwrap()["frame"], "synced");
    }
    clock::pass(Duration::from_millis(STREAM_TIME_SPREAD_MS + 10_000)).await;
    let bye = json!({"frame": "bye", "reason": "renew", "retry_ms": 0});
    assert_eq!(sessions.rest().await, std::slice::from_ref(&bye));
    assert_eq!(events.rest().await, [bye]);
    let second = client.apply(&created("s2", "a1", NOW)).await;
    let names = |frames: Vec<Value>| -> Vec<Value> {
        frames.iter().map(|frame| frame["frame"].clone()).collect()
    };
    let mut sessions = client.follow(PATH, Some(first)).await;
    let again = names(sessions.until(second).await);
    assert_eq!(again, ["reset", "upsert", "upsert", "synced"]);
    let mut events = client.follow("/v1/events/stream", Some(first)).await;
    assert_eq!(names(events.until(second).await), ["event", "synced"]);
    drop((sessions, events));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_skips_to_the_newest_rows() {
    let app = App::start().await;
    let client = app.client("acme");
    let first = client.apply(&created("s0", "a1", NOW)).await;
    // Less than a row: the server cannot send what the client does not read.
    let path = format!("{PATH}?window=3");
    let mut slow = client.follow_slowly(&path, None, 200).await;
    slow.until(first).await;
    let mut last = first;
    for number in 1..=50 {
        let opened = created(&format!("s{number}"), "a1", NOW);
        last = client.apply(&opened).await;
    }
    let frames = slow.until(last).await;
    let synced = frames.iter().filter(|frame| frame["frame"] == "synced");
    let groups = synced.count();
    assert!(groups < 10, "{groups} groups");
    let rows: Vec<_> = frames.iter().rev().skip(1).take(3).collect();
    for (row, number) in rows.into_iter().zip(48..) {
        assert_eq!(row["session"]["session_id"], json!(format!("s{number}")));
    }
    assert_eq!(frames.last().unwrap()["total"], 51);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_of_another_log_is_no_error() {
    let app = App::start().await;
    let client = app.client("acme");
    let position = client.apply(&created("s1", "a1", NOW)).await;
    let ids = |frames: Vec<Value>| -> Vec<Value> {
        frames.iter().map(|frame| frame["frame"].clone()).collect()
    };
    let mut frames = client.follow(PATH, Some(1_000)).await;
    let first = ids(frames.until(position).await);
    assert_eq!(first, ["reset", "upsert", "synced"]);
    let mut frames = client.follow("/v1/events/stream", Some(1_000)).await;
    let first = ids(frames.until(position).await);
    assert_eq!(first, ["reset", "event", "synced"]);
    let headers = [("last-event-id", "x")];
    let answer = client.send(reqwest::Method::GET, PATH, &headers, Vec::new());
    let problem = answer.await.problem(400, "invalid_parameter");
    assert_eq!(problem["errors"][0]["field"], "Last-Event-ID");
    let path = format!("{PATH}?min_position=1000");
    client.get(&path).await.problem(409, "position_beyond_head");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_as_many_rows_as_a_page_by_default_and_shows_own_writes() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut position = 0;
    for number in 0..=PAGE_ROWS_DEFAULT {
        position = client
            .apply(&created(&format!("s{number}"), "a1", NOW))
            .await;
    }
    let path = format!("{PATH}?follow=false&min_position={position}");
    let frames = client.follow(&path, None).await.rest().await;
    assert_eq!(frames.len(), usize::from(PAGE_ROWS_DEFAULT) + 2);
    let last = frames.last().unwrap();
    assert_eq!(
        (&last["total"], &last["as_of"]["position"]),
        (&json!(PAGE_ROWS_DEFAULT + 1), &json!(position))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_joins_a_quiet_feed_gets_the_present_position() {
    let app = App::start().await;
    let (quiet, busy) = (app.client("quiet"), app.client("busy"));
    let first = quiet.apply(&created("s1", "a1", NOW)).await;
    let mut early = quiet.follow(PATH, None).await;
    early.until(first).await;
    // The other tenant's event changes nothing for the feed.
    let position = busy.apply(&created("s1", "a1", NOW)).await;
    let late = quiet
        .follow(&format!("{PATH}?follow=false"), Some(position))
        .await;
    let frames = late.rest().await;
    assert_eq!(frames.last().unwrap()["as_of"]["position"], json!(position));
    assert_eq!(frames.last().unwrap()["total"], 1);
    // After a while without changes, the first follower learns the position too.
    let frames = early.until(position).await;
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0]["as_of"]["caught_up"], true);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_is_bound_to_an_agent_follows_that_agent_only() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let acme = app.client_with_key("acme", Roles::ALL).await;
    let globex = app.client_with_key("globex", Roles::ALL).await;
    let bound = app.key(Grant {
        agent: Some(AgentId::parse("a1").unwrap()),
        ..grant("acme", [Role::Read, Role::Audit].into_iter().collect())
    });
    let bound = app.client("acme").with_key(&bound.await);
    acme.apply(&created("s1", "a1", NOW)).await;
    let seen = async |client: &Client, path: &str, last: u64| -> Vec<Value> {
        let mut frames = client.follow(path, None).await;
        let frames = frames.until(last).await.into_iter();
        let rows = frames.filter(|frame| frame["frame"] == "upsert" || frame["frame"] == "event");
        rows.map(|frame| {
            let id = [&frame["session"]["session_id"], &frame["event"]["subject"]];
            id.into_iter().find(|id| !id.is_null()).unwrap().clone()
        })
        .collect()
    };
    for path in [PATH, "/v1/events/stream"] {
        // The feed of the whole tenant is there first, and must not be shared.
        let mut whole = acme.follow(path, None).await;
        whole.next().await;
        let last = acme
            .apply(&created(&format!("s2{}", path.len()), "a2", NOW))
            .await;
        assert_eq!(seen(&bound, path, last).await, [json!("s1")], "{path}");
        assert_eq!(
            seen(&globex, path, last).await,
            Vec::<Value>::new(),
            "{path}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_feeds_is_limited_and_a_feed_ends_with_its_last_follower() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let path = |number: usize| format!("/v1/events/stream?session_id=s{number}");
    let mut streams = Vec::new();
    for number in 0..EVENT_FEEDS_MAX {
        let mut stream = client.follow(&path(number), None).await;
        stream.next().await;
        streams.push(stream);
    }
    let refused = client.get(&path(EVENT_FEEDS_MAX)).await;
    refused.problem(503, "too_many_followers");
    assert_eq!(refused.header("retry-after"), "1");
    // A follower of a feed that is there already, and one that needs no feed.
    client.follow(&path(0), None).await.next().await.unwrap();
    let once = format!("{}&follow=false", path(EVENT_FEEDS_MAX));
    assert_eq!(client.follow(&once, None).await.rest().await.len(), 1);
    drop(streams);
    let again = async {
        while client.open(&path(EVENT_FEEDS_MAX), &[]).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .unwrap();
    app.stop().await;
}
