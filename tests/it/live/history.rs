//! A random history of one tenant, which clients write over HTTP, or which is on the log before it is folded.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

const SESSIONS: usize = 12;
/// The most events of a batch, and how many each 16th batch may have.
const BATCH: usize = 8;
const LARGE_BATCH: usize = 300;
/// The most events that one tenant has on the log when the fold begins to catch up.
const BACKLOG: usize = 60;

pub(super) struct History {
    pub(super) rng: Rng,
    tenant: String,
    made: usize,
    /// Whether events can come before the session that they are about has opened.
    parks: bool,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            tenant: format!("t{seed}"),
            made: 0,
            parks: seed.is_multiple_of(2),
        }
    }

    pub(super) fn client(&self, app: &Client) -> Client {
        app.of(&self.tenant)
    }

    /// Whether an event can have the verdict `parked`.
    pub(super) fn parks(&self) -> bool {
        self.parks
    }

    /// Opens all sessions, unless events may come before that.
    pub(super) async fn begin(&self, client: &Client) {
        if !self.parks {
            let opened = |number| created(&format!("s{number}"), "a1", NOW);
            post(client, (0..SESSIONS).map(opened).collect()).await;
        }
    }

    /// Emits some events, which may be rejected, and waits for their verdicts.
    pub(super) async fn write(&mut self, client: &Client) {
        let most = match self.rng.u8(0..16) {
            0 => LARGE_BATCH,
            1..8 => 2,
            _ => BATCH,
        };
        let count = self.rng.usize(1..most);
        let events = (0..count).map(|_| self.event());
        post(client, events.collect()).await;
    }

    /// Appends events to the log, as runtimes on NATS do while no ledger runs.
    pub(super) async fn append(&mut self, app: &App) {
        for _ in 0..self.rng.usize(0..BACKLOG) {
            let event = self.event();
            let kind = event["type"].as_str().unwrap();
            let subject = format!("ledger.v1.{}.{kind}", self.tenant);
            app.publish(&subject, event.to_string()).await;
        }
    }

    fn session(&mut self) -> String {
        format!("s{}", self.rng.usize(0..SESSIONS))
    }

    fn event(&mut self) -> Value {
        self.made += 1;
        let id = format!("e{}", self.made);
        let session = self.session();
        let (kind, data) = match self.rng.u8(0..7) {
            0..=3 => return self.opening(&id),
            4 => ("session.refreshed", json!({"phase": "running"})),
            5 => {
                let next = format!("{session}-{id}");
                let data = json!({"to_agent_id": "a1", "session_id": next});
                ("session.handed_off", data)
            }
            _ => ("session.terminated", json!({"reason": "done"})),
        };
        event(&id, kind, &session, &data)
    }

    /// An opening of a session, which another one, a project and a user may have.
    fn opening(&mut self, id: &str) -> Value {
        let old = self.session();
        let session = if self.rng.bool() {
            old
        } else {
            format!("{old}-{id}")
        };
        let (agent, hour) = (self.rng.u8(0..3), self.rng.u8(0..24));
        let time = format!("2026-01-30T{hour:02}:00:00Z");
        let mut opened = created(&session, &format!("a{agent}"), &time);
        opened["id"] = json!(id);
        let mut parent = self.session();
        if parent == session {
            parent.push_str("-of-none");
        }
        let members = [
            ("parent_session_id", parent),
            ("project_id", format!("p{}", self.rng.u8(0..2))),
            ("user_id", format!("u{}", self.rng.u8(0..2))),
        ];
        for (name, value) in members {
            if self.rng.bool() {
                opened["data"][name] = json!(value);
            }
        }
        opened
    }
}

async fn post(client: &Client, batch: Vec<Value>) {
    let media_type = "application/cloudevents-batch+json";
    let body = Value::from(batch).to_string();
    client.post("/v1/events", media_type, body).await.ok();
}
