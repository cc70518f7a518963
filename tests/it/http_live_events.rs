//! Streams of events: a client gets each event once, in the order of the log, whatever happens to its connection.

use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};
use crate::support::stream::Frames;

const PATH: &str = "/v1/events/stream";
const SEEDS: u64 = 200;
/// The sessions that each history has at its begin.
const SESSIONS: usize = 20;
const AT_A_TIME: usize = 8;

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

/// A random history of one tenant, and a client that follows it.
struct Seed {
    rng: Rng,
    client: Client,
    filter: &'static str,
    made: usize,
    frames: Frames,
    seen: Vec<Value>,
    /// The client has every event up to here.
    last: u64,
}

impl Seed {
    async fn new(app: &App, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let client = app.client(&format!("t{seed}"));
        let filters = [
            "",
            "&type=session.created",
            "&verdict=applied&agent_id=a1",
            "&verdict=rejected",
        ];
        let filter = rng.choice(filters).unwrap();
        // Without these, events would be parked, and their verdicts would change later.
        let opened = |number| created(&format!("s{number}"), "a1", NOW);
        post(&client, (0..SESSIONS).map(opened).collect()).await;
        let frames = client
            .follow(&format!("{PATH}?after=0{filter}"), None)
            .await;
        Self {
            rng,
            client,
            filter,
            made: 0,
            frames,
            seen: Vec::new(),
            last: 0,
        }
    }

    async fn write(&mut self) {
        let most = if self.rng.u8(0..16) == 0 { 300 } else { 8 };
        let count = self.rng.usize(1..most);
        let mut batch = Vec::new();
        for _ in 0..count {
            self.made += 1;
            let id = format!("e{}", self.made);
            let session = format!("s{}", self.rng.usize(0..2 * SESSIONS));
            batch.push(match self.rng.u8(0..3) {
                0 => created(&session, &format!("a{}", self.rng.u8(0..2)), NOW),
                kind => {
                    let session = format!("s{}", self.rng.usize(0..SESSIONS));
                    let (event_type, data) = match kind {
                        1 => ("session.refreshed", json!({"phase": "running"})),
                        _ => ("session.terminated", json!({"reason": "done"})),
                    };
                    event(&id, event_type, &session, &data)
                }
            });
        }
        post(&self.client, batch).await;
    }

    /// All events that match the filter.
    async fn expected(&self) -> Vec<Value> {
        let mut expected = Vec::new();
        let mut after = Some(0);
        while let Some(from) = after {
            let path = format!("/v1/events?limit=1000&after={from}{}", self.filter);
            let page = self.client.get(&path).await.ok();
            expected.extend(page["events"].as_array().unwrap().clone());
            after = page["next_after"].as_u64();
        }
        expected
    }

    /// Reads until the client has this event, at most `count` frames.
    async fn read(&mut self, position: u64, count: usize) {
        for _ in 0..count {
            if position <= self.last {
                return;
            }
            let frame = self.frames.next().await.unwrap();
            let at = [&frame["position"], &frame["as_of"]["position"]];
            self.last = at.into_iter().find_map(Value::as_u64).unwrap();
            self.seen.extend(events(&[frame]));
        }
    }

    async fn run(mut self) {
        for _ in 0..8 {
            self.write().await;
            let expected = self.expected().await;
            let position = expected
                .last()
                .map_or(0, |last| last["position"].as_u64().unwrap());
            match self.rng.u8(0..4) {
                // Reads nothing now.
                0 => {}
                // Breaks off in the middle.
                1 => {
                    let count = self.rng.usize(0..20);
                    self.read(position, count).await;
                    let path = format!("{PATH}?after={}{}", self.last, self.filter);
                    self.frames = self.client.follow(&path, None).await;
                }
                _ => {
                    self.read(position, usize::MAX).await;
                    assert_eq!(self.seen, expected);
                }
            }
        }
        let expected = self.expected().await;
        let position = expected
            .last()
            .map_or(0, |last| last["position"].as_u64().unwrap());
        self.read(position, usize::MAX).await;
        assert_eq!(self.seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_each_event_once_and_in_order() {
    let app = App::start().await;
    let seeds = stream::iter(0..SEEDS).for_each_concurrent(AT_A_TIME, async |seed| {
        Seed::new(&app, seed).await.run().await;
    });
    seeds.await;
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
