//! Streams of sessions: a client that does what the frames say holds the listing of their position.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::AgentId;
use session_ledger::domain::limits::{EVENT_FEEDS_MAX, PAGE_ROWS_DEFAULT};

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Client, created, event};
use crate::support::stream::Frames;

const PATH: &str = "/v1/agent-sessions/stream";
/// Random histories that are followed.
const SEEDS: u64 = 200;
/// How many of them at one time.
const AT_A_TIME: usize = 8;

/// What a client holds.
#[derive(Debug, Clone, PartialEq, Default)]
struct Held {
    rows: Vec<Value>,
    total: Value,
    by_status: Value,
}

impl Held {
    /// Does what a frame says. Returns the position up to which the client has everything.
    fn take(&mut self, frame: &Value) -> Option<u64> {
        match frame["frame"].as_str().unwrap() {
            "reset" => self.rows.clear(),
            "leave" => {
                let removed = self.remove(&frame["session_id"]);
                assert!(removed, "{frame}: {self:?}");
            }
            "upsert" => {
                self.remove(&frame["session"]["session_id"]);
                let index = usize::try_from(frame["index"].as_u64().unwrap()).unwrap();
                self.rows.insert(index, frame["session"].clone());
            }
            "synced" => {
                self.total = frame["total"].clone();
                self.by_status = frame["by_status"].clone();
                return frame["as_of"]["position"].as_u64();
            }
            other => panic!("{other}"),
        }
        None
    }

    fn remove(&mut self, session_id: &Value) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| row["session_id"] != *session_id);
        self.rows.len() < before
    }
}

/// A random history, and a client that follows a listing of it.
struct Seed {
    rng: Rng,
    client: Client,
    filter: &'static str,
    window: usize,
    events: usize,
    /// The listing after each event.
    listings: BTreeMap<u64, Held>,
    last: Option<u64>,
}

impl Seed {
    fn new(app: &App, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let filters = [
            "",
            "&agent_id=a1",
            "&status=active",
            "&status=terminated&status=expired",
            "&created_after=2026-01-30T12:00:00Z",
        ];
        let filter = rng.choice(filters).unwrap();
        let window = rng.usize(0..6);
        Self {
            rng,
            client: app.client(&format!("t{seed}")),
            filter,
            window,
            events: 0,
            listings: BTreeMap::new(),
            last: None,
        }
    }

    fn a_session(&mut self) -> String {
        format!("s{}", self.rng.u8(0..8))
    }

    /// Emits a random event, which may be rejected, and notes what the listing is then.
    async fn write(&mut self) {
        self.events += 1;
        let id = format!("e{}", self.events);
        let session = self.a_session();
        let event = match self.rng.u8(0..6) {
            0..=2 => {
                let hour = self.rng.u8(0..24);
                let agent = format!("a{}", self.rng.u8(0..3));
                created(&session, &agent, &format!("2026-01-30T{hour:02}:00:00Z"))
            }
            3 => event(
                &id,
                "session.refreshed",
                &session,
                &json!({"phase": "running"}),
            ),
            4 => {
                let next = json!({"to_agent_id": "a1", "session_id": format!("{session}-{id}")});
                event(&id, "session.handed_off", &session, &next)
            }
            _ => event(
                &id,
                "session.terminated",
                &session,
                &json!({"reason": "done"}),
            ),
        };
        let answer = self.client.emit(&event).await.json();
        // Rejected events are on the log as well.
        let position = answer["position"].as_u64().unwrap();
        let held = self.listing().await;
        self.listings.insert(position, held);
    }

    async fn listing(&self) -> Held {
        let (filter, limit) = (self.filter, self.window.max(1));
        let path = format!("/v1/agent-sessions?limit={limit}{filter}");
        let page = self.client.get(&path).await.ok();
        let filter = filter.trim_start_matches('&');
        let path = format!("/v1/agent-sessions/count?{filter}");
        let count = self.client.get(&path).await.ok();
        let mut rows = page["sessions"].as_array().unwrap().clone();
        rows.truncate(self.window);
        Held {
            rows,
            total: page["total"].clone(),
            by_status: count["by_status"].clone(),
        }
    }

    async fn connect(&self) -> (Frames, Held) {
        let path = format!("{PATH}?window={}{}", self.window, self.filter);
        (self.client.follow(&path, self.last).await, Held::default())
    }

    /// Reads up to the last event, and compares what the client holds at each position with the listing.
    async fn read(&mut self, frames: &mut Frames, held: &mut Held) {
        // Events that change nothing make no frame until the next one that says where the client stands.
        let pairs = self.listings.iter().zip(self.listings.iter().skip(1));
        let changes = pairs.filter(|((_, before), (_, after))| before != after);
        let last = changes.map(|(_, (position, _))| *position).max();
        let last = last.unwrap_or_default();
        if self.last.is_some_and(|has| last <= has) && !held.total.is_null() {
            return;
        }
        for frame in frames.until(last).await {
            let Some(position) = held.take(&frame) else {
                continue;
            };
            assert!(
                self.last <= Some(position),
                "{position} after {:?}",
                self.last
            );
            let (_, expected) = self.listings.range(..=position).next_back().unwrap();
            assert_eq!(held, expected, "at {position}");
            self.last = Some(position);
        }
    }

    async fn run(mut self) {
        self.write().await;
        let (mut frames, mut held) = self.connect().await;
        for _ in 0..12 {
            for _ in 0..self.rng.usize(0..4) {
                self.write().await;
            }
            match self.rng.u8(0..4) {
                // Reads slowly: nothing now.
                0 => {}
                1 => (frames, held) = self.connect().await,
                _ => self.read(&mut frames, &mut held).await,
            }
        }
        self.read(&mut frames, &mut held).await;
        assert_eq!(held, self.listing().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_follows_holds_the_listing_of_each_position() {
    let app = App::start().await;
    let seeds = stream::iter(0..SEEDS).for_each_concurrent(AT_A_TIME, async |seed| {
        Seed::new(&app, seed).run().await;
    });
    seeds.await;
    app.stop().await;
}

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
