//! Sessions through every API: how each API shows each event of the ledger, and that every API shows the
//! sessions that another API created.
//!
//! A view is one API: how its clients create and see sessions, and its row of the table.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::Roles;
use session_ledger::domain::Position;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created, event};

const PROJECT: &str = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
const EVERY_PROJECT: &str = "00000000-0000-0000-0000-000000000000";

/// The last event of each session, in the order of the table's columns.
const HAPPENED: [&str; 7] = [
    "created",
    "refreshed",
    "terminated",
    "deleted",
    "handed_off",
    "child",
    "expired",
];

#[derive(Debug, Clone, Copy)]
pub(super) enum View {
    Native,
    A2a,
    Agi,
    AppHandoff,
    Otas,
    Truthlocks,
}

/// A caller whose key has every role in a tenant.
pub(super) struct Caller {
    pub(super) client: Client,
    tenant: &'static str,
    key: String,
}

/// A session and its agent.
struct Made {
    session: String,
    agent: String,
}

impl Caller {
    pub(super) async fn new(app: &App, tenant: &'static str) -> Self {
        let key = app.key(grant(tenant, Roles::ALL)).await;
        let client = app.client(tenant).with_key(&key);
        Self {
            client,
            tenant,
            key,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let json = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        let answer = self.client.send(Method::POST, path, &json, body);
        succeeded(&answer.await)
    }

    /// Sends a request of an OTAS page, or of an agent if there is a key.
    async fn otas(&self, path: &str, key: Option<&str>, body: Option<Value>) -> Answer {
        let shown = match key {
            Some(key) => vec![("x-otas-agent-key", key)],
            None => vec![
                ("x-otas-user-token", &*self.key),
                ("x-otas-project-id", self.tenant),
            ],
        };
        let headers: HeaderMap = shown
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let method = body.as_ref().map_or(Method::GET, |_| Method::POST);
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let path = format!("/compat/otas/api/agent/v1{path}");
        self.client.send_bare(method, &path, headers, body).await
    }
}

impl View {
    pub(super) const ALL: [Self; 6] = [
        Self::Native,
        Self::A2a,
        Self::Agi,
        Self::AppHandoff,
        Self::Otas,
        Self::Truthlocks,
    ];

    /// Returns what the API shows after each event: its own words, and the times that the event changed.
    /// Each session opened at 12:00 for an hour, the last for a minute. The other events are at 12:01.
    fn row(self) -> [&'static str; HAPPENED.len()] {
        match self {
            Self::Native => [
                "active until 13:00, alive 12:00",
                "active until 14:01, alive 12:01",
                "terminated until 13:00, alive 12:00",
                "terminated until 13:00, alive 12:00",
                "handed_off until 13:00, alive 12:00",
                "active until 13:00, alive 12:01",
                "expired until 12:01, alive 12:00",
            ],
            Self::A2a => [
                "TASK_STATE_WORKING since 12:00",
                "TASK_STATE_WORKING since 12:00",
                "TASK_STATE_CANCELED since 12:01",
                "TASK_STATE_CANCELED since 12:01",
                "TASK_STATE_COMPLETED since 12:01",
                "TASK_STATE_WORKING since 12:01 in the context handed_off",
                "TASK_STATE_FAILED since 12:01",
            ],
            Self::Agi => [
                "ready",
                "ready",
                "terminated",
                "gone",
                "terminated",
                "ready",
                "terminated",
            ],
            Self::AppHandoff => [
                "there as tester, connected 12:00, alive 12:00",
                "there as tester, connected 12:00, alive 12:01",
                "gone",
                "gone",
                "gone",
                "there as a2, connected 12:01, alive 12:01",
                "gone",
            ],
            Self::Otas => [
                "made 12:00",
                "made 12:00",
                "made 12:00",
                "made 12:00",
                "made 12:00",
                "made 12:01",
                "made 12:00",
            ],
            Self::Truthlocks => [
                "active, expires_at 13:00, updated_at 12:00",
                "active, expires_at 14:01, updated_at 12:01, refreshed_at 12:01",
                "terminated, expires_at 13:00, updated_at 12:01, terminated_at 12:01",
                "terminated, expires_at 13:00, updated_at 12:01, terminated_at 12:01",
                "handed_off, expires_at 13:00, updated_at 12:01, handed_off_to a2",
                "active, expires_at 13:00, updated_at 12:01, parent_session_id handed_off",
                "expired, expires_at 12:01, updated_at 12:01",
            ],
        }
    }

    /// Creates a session as the API's clients do.
    async fn make(self, caller: &Caller) -> Made {
        let (session, agent) = match self {
            Self::Native => {
                let agent = caller.post("/v1/agents", &json!({"agent_id": "a1"})).await;
                let wanted = json!({"agent_id": "a1"});
                let made = caller.post("/v1/agent-sessions", &wanted).await;
                (
                    text(&made["session"]["session_id"]),
                    text(&agent["agent"]["agent_id"]),
                )
            }
            Self::Agi => {
                let wanted = json!({"agent_name": "agi-0"});
                let made = caller.post("/compat/agi/v1/sessions", &wanted).await;
                (text(&made["session_id"]), text(&made["agent_name"]))
            }
            // These APIs have no such call. Their runtimes emit events.
            Self::A2a => {
                caller.client.apply(&created("of-a2a", "a5", NOW)).await;
                ("of-a2a".to_owned(), "a5".to_owned())
            }
            Self::AppHandoff => {
                let mut connected = created("of-apphandoff", "a2", NOW);
                connected["data"]["project_id"] = json!(PROJECT);
                caller.client.apply(&connected).await;
                ("of-apphandoff".to_owned(), "a2".to_owned())
            }
            Self::Otas => {
                let wanted = json!({"agent_name": "a3", "agent_provider": "x"});
                let made = caller.otas("/create/", None, Some(wanted)).await;
                let made = succeeded(&made);
                let agent = text(&made["response"]["agent"]["id"]);
                let key = text(&made["response"]["agent_key"]["api_key"]);
                let opened = caller.otas("/session/create/", Some(&key), Some(json!({})));
                succeeded(&opened.await);
                // The answer has the id only in a token, which servers read.
                let rows = Self::Otas.list(caller, &agent).await;
                (text(&rows[0]["id"]), agent)
            }
            Self::Truthlocks => {
                let v1 = "/compat/truthlocks/v1";
                let wanted = json!({"display_name": "a4"});
                let agent = caller.post(&format!("{v1}/agents"), &wanted).await;
                let wanted = json!({"agent_id": agent["agent_id"]});
                let path = format!("{v1}/agent-sessions");
                let made = caller.post(&path, &wanted).await;
                (text(&made["session_id"]), text(&made["agent_id"]))
            }
        };
        Made { session, agent }
    }

    /// Returns a short form of a session in the API's list.
    async fn show(self, caller: &Caller, made: &Made) -> String {
        let rows = self.list(caller, &made.agent).await;
        let id = match self {
            Self::Native | Self::Agi | Self::AppHandoff | Self::Truthlocks => "session_id",
            Self::A2a | Self::Otas => "id",
        };
        let mut found = rows.iter().filter(|row| row[id] == made.session);
        let Some(row) = found.next() else {
            return "gone".to_owned();
        };
        assert!(found.next().is_none(), "{self:?}: {rows:?}");
        let text = |name: &str| row[name].as_str().unwrap();
        let time = |name: &str| row[name].as_str().map_or("no", |time| &time[11..16]);
        match self {
            Self::Native => {
                let (status, alive) = (text("status"), time("last_activity_at"));
                format!("{status} until {}, alive {alive}", time("expires_at"))
            }
            Self::A2a => {
                let status = &row["status"];
                let [state, since] = ["state", "timestamp"].map(|it| status[it].as_str().unwrap());
                let context = text("contextId");
                let of = format!(" in the context {context}");
                let of = if context == text("id") { "" } else { &*of };
                format!("{state} since {}{of}", &since[11..16])
            }
            Self::Agi => text("status").to_owned(),
            Self::AppHandoff => {
                let (role, since) = (text("caller_role"), time("connected_at"));
                let alive = time("last_activity_at");
                format!("there as {role}, connected {since}, alive {alive}")
            }
            Self::Otas => format!("made {}", time("created_at")),
            Self::Truthlocks => {
                let moved = [
                    "expires_at",
                    "updated_at",
                    "refreshed_at",
                    "terminated_at",
                    "handed_off_to",
                    "parent_session_id",
                ];
                let said = moved.into_iter().filter(|name| row[name].is_string());
                said.fold(text("status").to_owned(), |shown, name| {
                    let said = if name.ends_with("_at") {
                        time(name)
                    } else {
                        text(name)
                    };
                    format!("{shown}, {name} {said}")
                })
            }
        }
    }

    /// Returns the rows of the API's list, for an agent if the list needs one.
    pub(super) async fn list(self, caller: &Caller, agent: &str) -> Vec<Value> {
        let (answer, rows) = match self {
            Self::Native => (caller.client.get("/v1/agent-sessions").await, "/sessions"),
            Self::A2a => (caller.client.get("/compat/a2a/tasks").await, "/tasks"),
            Self::Agi => (caller.client.get("/compat/agi/v1/sessions").await, ""),
            Self::AppHandoff => {
                let projects = "/compat/apphandoff/api/projects";
                let path = format!("{projects}/{EVERY_PROJECT}/agent-sessions");
                (caller.client.get(&path).await, "/sessions")
            }
            Self::Otas => {
                let path = format!("/sessions/list/?agent_id={agent}");
                let answer = caller.otas(&path, None, None).await;
                if answer.status == 403 {
                    // The project has no such agent, and so no session of it.
                    let word = &answer.json()["status_description"];
                    assert_eq!(word, "agent_not_found_or_no_access");
                    return Vec::new();
                }
                (answer, "/response/sessions")
            }
            Self::Truthlocks => {
                let path = "/compat/truthlocks/v1/agent-sessions";
                (caller.client.get(path).await, "/sessions")
            }
        };
        let listed = succeeded(&answer);
        listed.pointer(rows).unwrap().as_array().unwrap().clone()
    }
}

#[track_caller]
fn succeeded(answer: &Answer) -> Value {
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_api_shows_each_event_in_its_own_words() {
    let mut app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    for id in HAPPENED.into_iter().filter(|id| *id != "child") {
        let mut opened = created(id, "a1", NOW);
        opened["data"]["caller_role"] = json!("tester");
        opened["data"]["ttl_seconds"] = json!(if id == "expired" { 60 } else { 3600 });
        caller.client.apply(&opened).await;
    }
    app.set_time("2026-01-31T12:00:59.999999Z");
    let to = json!({"to_agent_id": "a2", "session_id": "child"});
    let mut last = 0;
    for (id, event_type, data) in [
        (
            "refreshed",
            "session.refreshed",
            json!({"ttl_seconds": 7200}),
        ),
        (
            "terminated",
            "session.terminated",
            json!({"reason": "done"}),
        ),
        (
            "deleted",
            "session.terminated",
            json!({"outcome": "deleted"}),
        ),
        ("handed_off", "session.handed_off", to),
    ] {
        let mut happens = event("e", event_type, id, &data);
        happens["time"] = json!("2026-01-31T12:01:00Z");
        last = caller.client.apply(&happens).await;
    }
    app.set_time("2026-01-31T12:01:00Z");
    // The ledger itself writes the last event.
    app.start_expiry();
    let (expired, at_most) = (Position::new(last + 1), Duration::from_mins(1));
    app.projection.wait_for(expired, at_most).await;

    for view in View::ALL {
        for (happened, expected) in HAPPENED.into_iter().zip(view.row()) {
            let made = Made {
                session: happened.to_owned(),
                agent: if happened == "child" { "a2" } else { "a1" }.to_owned(),
            };
            let shown = view.show(&caller, &made).await;
            assert_eq!(shown, expected, "{happened} in {view:?}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_made_through_one_api_is_seen_through_every_other() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let caller = Caller::new(&app, "acme").await;
    let foreign = Caller::new(&app, "globex").await;
    for maker in View::ALL {
        let made = maker.make(&caller).await;
        for view in View::ALL {
            // Roles and deadlines differ between the APIs, so only the first word is compared.
            let first_word = |shown: &str| shown.split([' ', ',']).next().unwrap().to_owned();
            let [expected, ..] = view.row().map(first_word);
            let shown = first_word(&view.show(&caller, &made).await);
            assert_eq!(shown, expected, "made by {maker:?}, seen in {view:?}");
            let shown = view.show(&foreign, &made).await;
            assert_eq!(shown, "gone", "made by {maker:?}, seen in {view:?}");
        }
    }
    app.stop().await;
}
