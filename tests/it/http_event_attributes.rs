//! Filters of events by `source` and `actor`, which no index has.

use serde_json::{Value, json};
use session_ledger::domain::limits::EVENTS_COMPARED_MAX;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created};

/// More events than one page compares.
const EVENTS: usize = EVENTS_COMPARED_MAX + 300;

fn source_of(number: usize) -> &'static str {
    match number {
        // So that the first page has no event of this source.
        1_100.. => "urn:late",
        number if number % 7 == 0 => "/some times",
        _ => "/often",
    }
}

/// Emits openings from several sources, and returns position and source of each.
async fn fill(client: &Client) -> Vec<(u64, &'static str)> {
    let mut filled = Vec::new();
    let numbers: Vec<usize> = (0..EVENTS).collect();
    for numbers in numbers.chunks(100) {
        let events = numbers.iter().map(|number| {
            let mut event = created(&format!("s{number}"), "a1", NOW);
            event["source"] = json!(source_of(*number));
            event
        });
        let body = events.collect::<Value>().to_string();
        let media_type = "application/cloudevents-batch+json";
        let answer = client.post("/v1/events", media_type, body).await.ok();
        let results = answer["results"].as_array().unwrap();
        for (result, number) in results.iter().zip(numbers) {
            filled.push((result["position"].as_u64().unwrap(), source_of(*number)));
        }
    }
    filled
}

fn positions(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

/// Reads all pages.
async fn walk(client: &Client, query: &str, next: &str) -> Vec<u64> {
    let (mut found, mut path) = (Vec::new(), format!("/v1/events?{query}"));
    loop {
        let page = client.get(&path).await.ok();
        found.extend(positions(&page));
        match page[format!("next_{next}")].as_u64() {
            Some(at) => path = format!("/v1/events?{query}&{next}={at}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_streams_of_a_source_have_each_of_its_events_once_and_no_other() {
    let app = App::start().await;
    let client = app.client("acme");
    let filled = fill(&client).await;
    for source in ["/some times", "/often", "urn:late", "/never"] {
        let of_source = filled.iter().filter(|(_, of)| *of == source);
        let mut expected: Vec<u64> = of_source.map(|(position, _)| *position).collect();
        let query = format!("source={}", source.replace(' ', "%20"));
        for limit in [3, 1_000] {
            let query = format!("{query}&limit={limit}");
            assert_eq!(walk(&client, &query, "after").await, expected, "{query}");
            expected.reverse();
            let newest = format!("{query}&order=newest");
            assert_eq!(walk(&client, &newest, "before").await, expected, "{newest}");
            expected.reverse();
        }
        let path = format!("/v1/events/stream?{query}&follow=false");
        let frames = client.follow(&path, None).await.rest().await;
        let events = frames.iter().filter(|frame| frame["frame"] == "event");
        let streamed: Vec<_> = events
            .map(|event| event["position"].as_u64().unwrap())
            .collect();
        assert_eq!(streamed, expected, "{path}");
    }
    let first = client.get("/v1/events?source=urn:late").await.ok();
    assert_eq!(positions(&first), Vec::<u64>::new());
    assert!(first["next_after"].is_u64(), "{first}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_a_source_gets_its_new_events() {
    let app = App::start().await;
    let client = app.client("acme");
    let path = "/v1/events/stream?source=/wanted";
    let mut frames = client.follow(path, None).await;
    let mut positions = Vec::new();
    for number in 0..6 {
        let mut event = created(&format!("s{number}"), "a1", NOW);
        let source = ["/wanted", "/other"][number % 2];
        event["source"] = json!(source);
        let position = client.apply(&event).await;
        if source == "/wanted" {
            positions.push(position);
        }
    }
    let mut found = Vec::new();
    while found.len() < positions.len() {
        let frame = frames.next().await.expect("the stream goes on");
        if frame["frame"] == "event" {
            assert_eq!(frame["event"]["source"], "/wanted");
            found.push(frame["position"].as_u64().unwrap());
        }
    }
    assert_eq!(found, positions);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_no_event_can_have_is_refused() {
    let app = App::start().await;
    let client = app.client("acme");
    for path in ["/v1/events?source=", "/v1/events/stream?source="] {
        let problem = client.get(path).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["field"], "source", "{problem}");
    }
    app.stop().await;
}
