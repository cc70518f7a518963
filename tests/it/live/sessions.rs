//! A client that follows a listing of sessions and does what the frames say.

use fastrand::Rng;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::stream::Frames;

use super::{SLOW_WINDOW_BYTES, read_of_past};

const PATH: &str = "/v1/agent-sessions/stream";
const FILTERS: [&str; 13] = [
    "",
    "&agent_id=a1",
    "&agent_id=a0&agent_id=a2",
    "&agent_id=a0&agent_id=a1&root=true&status=active",
    "&root=true",
    "&root=true&status=active",
    "&root=false",
    "&parent_session_id=s1",
    "&user_id=u0",
    "&user_id=u1&root=true",
    "&project_id=p0&status=active",
    "&status=terminated&status=expired",
    "&created_after=2026-01-30T12:00:00Z",
];

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
            "bye" => {}
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

pub(super) struct ListFollower {
    filter: &'static str,
    window: usize,
    frames: Option<Frames>,
    held: Held,
    /// Whether it holds the rows of one position, and not a part of them.
    is_whole: bool,
    last: Option<u64>,
    /// What it held at each position that a `synced` named since the last check.
    to_check: Vec<(u64, Held)>,
}

impl ListFollower {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            filter: rng.choice(FILTERS).unwrap(),
            window: rng.usize(0..6),
            frames: None,
            held: Held::default(),
            is_whole: false,
            last: None,
            to_check: Vec::new(),
        }
    }

    pub(super) async fn connect(&mut self, client: &Client, slowly: bool) {
        let path = format!("{PATH}?window={}{}", self.window, self.filter);
        self.frames = Some(if slowly {
            let frames = client.follow_slowly(&path, self.last, SLOW_WINDOW_BYTES);
            frames.await
        } else {
            client.follow(&path, self.last).await
        });
        self.held = Held::default();
        self.is_whole = false;
    }

    /// Reads a frame. Returns whether there was one.
    async fn read_one(&mut self) -> bool {
        let frames = self.frames.as_mut().expect("it is connected");
        let Some(frame) = frames.next().await else {
            self.frames = None;
            return false;
        };
        let synced = self.held.take(&frame);
        self.is_whole = synced.is_some();
        if let Some(position) = synced {
            assert!(self.last <= Some(position), "{position}: {:?}", self.last);
            self.last = Some(position);
            self.to_check.push((position, self.held.clone()));
        }
        true
    }

    /// Reads some frames of the first group, which is there in any case.
    pub(super) async fn read_some(&mut self, count: usize) {
        for _ in 0..count {
            if self.is_whole {
                return;
            }
            self.read_one().await;
        }
    }

    pub(super) fn break_off(&mut self) {
        self.frames = None;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.frames.is_some()
    }

    /// Reads until it holds the present listing, which nobody changes meanwhile.
    pub(super) async fn catch_up(&mut self, client: &Client) {
        let present = self.listing(client, None).await;
        while !self.is_whole || self.held != present {
            assert!(self.read_one().await, "the stream goes on");
        }
    }

    /// Reads until the server ends the stream.
    pub(super) async fn read_to_the_end(&mut self) {
        while self.frames.is_some() {
            self.read_one().await;
        }
    }

    /// Compares what it held at each position with the listing of that position.
    pub(super) async fn check(&mut self, client: &Client) {
        for (position, held) in std::mem::take(&mut self.to_check) {
            let listing = self.listing(client, Some(position)).await;
            assert_eq!(held, listing, "{} at {position}", self.filter);
        }
    }

    async fn listing(&self, client: &Client, position: Option<u64>) -> Held {
        let (filter, limit) = (self.filter, self.window.max(1));
        let path = format!("/v1/agent-sessions?limit={limit}{filter}");
        let page = read_of_past(client, &path, position).await;
        let path = format!(
            "/v1/agent-sessions/count?{}",
            filter.trim_start_matches('&')
        );
        let count = read_of_past(client, &path, position).await;
        let mut rows = page["sessions"].as_array().unwrap().clone();
        rows.truncate(self.window);
        Held {
            rows,
            total: page["total"].clone(),
            by_status: count["by_status"].clone(),
        }
    }
}
