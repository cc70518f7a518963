//! A client that follows the events of a tenant.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::stream::Frames;

use super::SLOW_WINDOW_BYTES;
use super::history::History;

const PATH: &str = "/v1/events/stream";
const FILTERS: [&str; 5] = [
    "",
    "&type=session.created",
    "&type=session.refreshed&type=session.terminated",
    "&verdict=applied&agent_id=a1",
    "&verdict=rejected",
];
/// A parked event matches these, and its later verdict does not change that.
const FILTERS_WITH_PARKED: usize = 3;

pub(super) struct EventFollower {
    filter: &'static str,
    frames: Option<Frames>,
    seen: Vec<Value>,
    /// It has every event up to here.
    last: u64,
}

impl EventFollower {
    pub(super) fn new(history: &mut History) -> Self {
        let filters = if history.parks() {
            FILTERS_WITH_PARKED
        } else {
            FILTERS.len()
        };
        Self {
            filter: history.rng.choice(&FILTERS[..filters]).unwrap(),
            frames: None,
            seen: Vec::new(),
            last: 0,
        }
    }

    pub(super) async fn connect(&mut self, client: &Client, slowly: bool) {
        let path = format!("{PATH}?after={}{}", self.last, self.filter);
        self.frames = Some(if slowly {
            client.follow_slowly(&path, None, SLOW_WINDOW_BYTES).await
        } else {
            client.follow(&path, None).await
        });
    }

    /// Reads a frame. Returns whether there was one.
    async fn read_one(&mut self) -> bool {
        let frames = self.frames.as_mut().expect("it is connected");
        let Some(mut frame) = frames.next().await else {
            self.frames = None;
            return false;
        };
        let at = [&frame["position"], &frame["as_of"]["position"]];
        if let Some(last) = at.into_iter().find_map(Value::as_u64) {
            self.last = last;
        }
        if frame["frame"] == "event" {
            frame.as_object_mut().unwrap().remove("frame");
            self.seen.push(frame);
        }
        true
    }

    /// Reads some frames, as far as there are any.
    pub(super) async fn read_some(&mut self, client: &Client, count: usize) {
        let expected = self.expected(client).await;
        for _ in 0..count {
            if expected.len() <= self.seen.len() {
                return;
            }
            self.read_one().await;
        }
    }

    pub(super) fn break_off(&mut self) {
        self.frames = None;
    }

    /// Reads until it has all events, and compares them with the history.
    pub(super) async fn catch_up(&mut self, client: &Client) {
        let expected = self.expected(client).await;
        while self.seen.len() < expected.len() {
            assert!(self.read_one().await, "the stream goes on");
        }
        self.check(&expected);
    }

    /// Reads until the server ends the stream.
    pub(super) async fn read_to_the_end(&mut self) {
        while self.frames.is_some() {
            self.read_one().await;
        }
    }

    /// Each event came once and in order. One that came as parked may have another verdict by now.
    fn check(&self, expected: &[Value]) {
        for (seen, event) in self.seen.iter().zip(expected) {
            if seen["verdict"] == "parked" {
                let what = |of: &Value| [of["position"].clone(), of["event"].clone()];
                assert_eq!(what(seen), what(event), "{}", self.filter);
            } else {
                assert_eq!(seen, event, "{}", self.filter);
            }
        }
        assert_eq!(self.seen.len(), expected.len(), "{}", self.filter);
    }

    /// All events that match the filter.
    async fn expected(&self, client: &Client) -> Vec<Value> {
        let mut expected = Vec::new();
        let mut after = Some(0);
        while let Some(from) = after {
            let path = format!("/v1/events?limit=1000&after={from}{}", self.filter);
            let page = client.get(&path).await.ok();
            expected.extend(page["events"].as_array().unwrap().clone());
            after = page["next_after"].as_u64();
        }
        expected
    }
}
