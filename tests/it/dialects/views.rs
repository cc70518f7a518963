//! The same sessions through every API: what each event of the ledger shows as, and that a session
//! which is made through one API is seen through all others.
//!
//! A view is one API: how its clients make a session, how they see one, and its row of the table.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::domain::Position;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

const PROJECT: &str = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";

/// What became of a session, in the order of the table's columns.
const HAPPENED: [&str; 6] = [
    "created",
    "refreshed",
    "terminated",
    "handed_off",
    "child",
    "expired",
];

#[derive(Debug, Clone, Copy)]
enum View {
    Native,
    Agi,
    AppHandoff,
}

impl View {
    const ALL: [Self; 3] = [Self::Native, Self::Agi, Self::AppHandoff];

    /// What a session shows after each that may happen to it: its own words, and what an event
    /// moved. Each opened at 12:00, and the rest happened at 12:01.
    fn row(self) -> [&'static str; HAPPENED.len()] {
        match self {
            Self::Native => [
                "active, alive 12:00",
                "active, alive 12:01",
                "terminated, alive 12:00",
                "handed_off, alive 12:00",
                "active, alive 12:01",
                "expired, alive 12:00",
            ],
            Self::Agi => [
                "ready",
                "ready",
                "terminated",
                "terminated",
                "ready",
                "terminated",
            ],
            Self::AppHandoff => [
                "there, alive 12:00",
                "there, alive 12:01",
                "gone",
                "gone",
                "there, alive 12:01",
                "gone",
            ],
        }
    }

    /// Makes a session as the API's clients do; its id.
    async fn make(self, client: &Client) -> String {
        let post = async |path: &str, body: Value| {
            let json = [("content-type", "application/json")];
            let body = body.to_string().into_bytes();
            let answer = client.send(Method::POST, path, &json, body).await;
            assert!((200..=201).contains(&answer.status), "{}", answer.text);
            answer.json()
        };
        let made = match self {
            Self::Native => {
                post("/v1/agents", json!({"agent_id": "a1"})).await;
                let made = post("/v1/agent-sessions", json!({"agent_id": "a1"})).await;
                made["session"].clone()
            }
            Self::Agi => post("/compat/agi/v1/sessions", json!({"agent_name": "a1"})).await,
            // It has no such call: its runtimes emit.
            Self::AppHandoff => {
                let mut connected = created("of-apphandoff", "a1", NOW);
                connected["data"]["project_id"] = json!(PROJECT);
                client.apply(&connected).await;
                json!({"session_id": "of-apphandoff"})
            }
        };
        made["session_id"].as_str().unwrap().to_owned()
    }

    /// A session as the API's list has it, in few words.
    async fn show(self, client: &Client, id: &str) -> String {
        let rows = self.list(client).await;
        let mut found = rows.iter().filter(|row| row["session_id"] == id);
        let Some(row) = found.next() else {
            return "gone".to_owned();
        };
        assert!(found.next().is_none(), "{self:?} has {id} twice");
        let text = |name: &str| row[name].as_str().unwrap();
        let alive = || text("last_activity_at").get(11..16).unwrap();
        match self {
            Self::Native => format!("{}, alive {}", text("status"), alive()),
            Self::Agi => text("status").to_owned(),
            Self::AppHandoff => format!("there, alive {}", alive()),
        }
    }

    async fn list(self, client: &Client) -> Vec<Value> {
        let (path, rows) = match self {
            Self::Native => ("/v1/agent-sessions", "/sessions"),
            Self::Agi => ("/compat/agi/v1/sessions", ""),
            Self::AppHandoff => (
                "/compat/apphandoff/api/projects/00000000-0000-0000-0000-000000000000/agent-sessions",
                "/sessions",
            ),
        };
        let listed = client.get(path).await.ok();
        listed.pointer(rows).unwrap().as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_shows_in_every_api_in_its_own_words() {
    let mut app = App::start().await;
    app.start_expiry();
    let client = app.client("acme");
    for id in HAPPENED.into_iter().filter(|id| *id != "child") {
        let mut opened = created(id, "a1", NOW);
        if id == "expired" {
            opened["data"]["ttl_seconds"] = json!(60);
        }
        client.apply(&opened).await;
    }
    app.set_time("2026-01-31T12:00:59.999999Z");
    let mut last = 0;
    for (id, data) in [
        ("refreshed", json!({})),
        ("terminated", json!({"reason": "done"})),
        (
            "handed_off",
            json!({"to_agent_id": "a2", "session_id": "child"}),
        ),
    ] {
        let mut happens = event("e", &format!("session.{id}"), id, &data);
        happens["time"] = json!("2026-01-31T12:01:00Z");
        last = client.apply(&happens).await;
    }
    app.set_time("2026-01-31T12:01:00Z");
    // The ledger itself writes the last.
    let expired = Position::new(last + 1);
    app.projection
        .wait_for(expired, Duration::from_mins(1))
        .await;

    for view in View::ALL {
        for (happened, expected) in HAPPENED.into_iter().zip(view.row()) {
            let shown = view.show(&client, happened).await;
            assert_eq!(shown, expected, "{happened} in {view:?}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_made_through_one_api_is_seen_through_every_other() {
    let app = App::start().await;
    let client = app.client("acme");
    for maker in View::ALL {
        let id = maker.make(&client).await;
        for view in View::ALL {
            let [expected, ..] = view.row();
            let shown = view.show(&client, &id).await;
            assert_eq!(shown, expected, "made by {maker:?}, seen in {view:?}");
            let foreign = view.show(&app.client("globex"), &id).await;
            assert_eq!(foreign, "gone", "made by {maker:?}, seen in {view:?}");
        }
    }
    for view in View::ALL {
        assert_eq!(view.list(&client).await.len(), View::ALL.len(), "{view:?}");
    }
    app.stop().await;
}
