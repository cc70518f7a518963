//! Many clients send commands about the same sessions at once. Every answer must be true.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::app::{Access, Config, LogSource, Running, start};
use session_ledger::log::jetstream::JetStreamConfig;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Client};
use crate::support::nats::NatsServer;

const CLIENTS: usize = 64;
const SESSIONS: usize = 12;
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Refresh,
    HandOff,
    Terminate,
}

/// A client's step, and the answer to it.
#[derive(Debug)]
struct Outcome {
    session: usize,
    step: Step,
    answer: Answer,
}

impl Outcome {
    fn position(&self) -> u64 {
        self.answer.json()["position"].as_u64().unwrap()
    }

    /// Whether the answer says that this step took effect, and not an earlier one.
    fn won(&self) -> bool {
        let is_first = |ended: &Value| ended["session"]["terminated_at"].is_string();
        match (self.step, self.answer.status) {
            (Step::Refresh, 200) | (Step::HandOff, 201) => true,
            (Step::Terminate, 200) => is_first(&self.answer.json()),
            _ => false,
        }
    }
}

async fn ledger(log: LogSource, dir: &Path) -> Running {
    let config = Config {
        log,
        ..Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    assert!(matches!(config.access, Access::Local));
    Box::pin(start(config)).await.unwrap()
}

async fn create(client: &Client, number: usize) -> Value {
    let body = json!({"session_id": format!("s{number}"), "agent_id": "a1", "ttl_seconds": 3600});
    let body = body.to_string().into_bytes();
    let answer = client
        .send(Method::POST, "/v1/agent-sessions", &JSON, body)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn take(client: &Client, number: usize, session: usize, token: Value) -> Outcome {
    let path = format!("/v1/agent-sessions/s{session}");
    let step = [Step::Refresh, Step::HandOff, Step::Terminate][(number + session) % 3];
    let (method, path, body) = match step {
        Step::Refresh => (
            Method::POST,
            format!("{path}/refresh"),
            json!({"refresh_token": token}),
        ),
        Step::HandOff => (
            Method::POST,
            format!("{path}/handoff"),
            json!({"to_agent_id": "a2"}),
        ),
        Step::Terminate => (Method::DELETE, path, json!({})),
    };
    let body = body.to_string().into_bytes();
    let answer = client.send(method, &path, &JSON, body).await;
    Outcome {
        session,
        step,
        answer,
    }
}

/// Lets every client take one step on every session, all at the same time.
async fn race(clients: &[Client]) -> Vec<Outcome> {
    let first = &clients[0];
    for agent in ["a1", "a2"] {
        let body = json!({"agent_id": agent}).to_string().into_bytes();
        let made = first.send(Method::POST, "/v1/agents", &JSON, body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let mut tokens = Vec::new();
    let mut position = json!(0);
    for number in 0..SESSIONS {
        let created = create(first, number).await;
        tokens.push(created["refresh_token"].clone());
        position = created["position"].clone();
    }
    for client in clients {
        // Wait until every server knows the sessions, which is not part of the race.
        let path = format!("/v1/status?min_position={position}");
        client.get(&path).await.ok();
    }
    let mut racers = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, tokens) = (clients[number % clients.len()].clone(), tokens.clone());
        racers.spawn(async move {
            let mut outcomes = Vec::new();
            for turn in 0..SESSIONS {
                let session = (turn + number) % SESSIONS;
                outcomes.push(take(&client, number, session, tokens[session].clone()).await);
            }
            outcomes
        });
    }
    let outcomes: Vec<Outcome> = racers.join_all().await.into_iter().flatten().collect();
    for step in [Step::Refresh, Step::HandOff, Step::Terminate] {
        // Each step comes first on a third of the sessions.
        assert!(
            outcomes.iter().any(|one| one.step == step && one.won()),
            "{step:?}"
        );
    }
    outcomes
}

/// Checks that every answer agrees with the history.
async fn check(client: &Client, outcomes: &[Outcome]) {
    let last = outcomes.iter().map(Outcome::position).max().unwrap();
    for number in 0..SESSIONS {
        let path = format!("/v1/agent-sessions/s{number}?min_position={last}");
        let row = client.get(&path).await.ok();
        let path = format!("/v1/agent-sessions/s{number}/events?limit=1000");
        let history = client.get(&path).await.ok();
        let mut applied = BTreeMap::new();
        for event in history["events"].as_array().unwrap() {
            let kind = event["type"].as_str().unwrap().to_owned();
            applied.insert(event["position"].as_u64().unwrap(), kind);
        }
        let about: Vec<&Outcome> = outcomes
            .iter()
            .filter(|one| one.session == number)
            .collect();
        check_session(&row, &applied, &about);
    }
}

fn check_session(row: &Value, applied: &BTreeMap<u64, String>, outcomes: &[&Outcome]) {
    let count = |kind: &str| applied.values().filter(|applied| *applied == kind).count();
    assert_eq!(count("session.created"), 1);
    assert!(count("session.refreshed") <= 1, "one token, one refresh");
    let ends = count("session.handed_off") + count("session.terminated");
    assert_eq!(ends, 1, "{applied:?}");
    let status = if count("session.handed_off") == 1 {
        "handed_off"
    } else {
        "terminated"
    };
    assert_eq!(row["status"], status);
    for one in outcomes {
        let is_applied = applied.contains_key(&one.position());
        match one.step {
            Step::Refresh | Step::HandOff => assert_eq!(one.won(), is_applied, "{one:?}"),
            // A later termination returns the time of the first.
            Step::Terminate => assert!(one.won() || !is_applied, "{one:?}"),
        }
        match (one.step, one.answer.status) {
            (Step::Refresh, 200) => assert!(one.answer.json()["token"].is_string()),
            (Step::Refresh, _) => {
                let code = &one.answer.json()["code"];
                assert!(code == "token_stale" || code == "not_active", "{one:?}");
            }
            (Step::HandOff, 201) => {
                assert_eq!(
                    one.answer.json()["session"]["session_id"],
                    row["handed_off_session_id"]
                );
            }
            (Step::Terminate, 200) => {
                let session = &one.answer.json()["session"];
                assert_eq!(session["terminated_at"], row["terminated_at"]);
                assert_eq!(status, "terminated");
            }
            (Step::HandOff | Step::Terminate, _) => {
                let problem = one.answer.problem(409, "not_active");
                assert_eq!(problem["current_status"], status);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_server_every_racing_client_gets_a_true_answer() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(LogSource::Embedded, dir.path()).await;
    let client = Client::new(&ledger.url(), "acme");
    let outcomes = race(std::slice::from_ref(&client)).await;
    check(&client, &outcomes).await;
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_servers_of_one_stream_every_racing_client_gets_a_true_answer() {
    let nats = NatsServer::start().await;
    let log = || LogSource::JetStream(JetStreamConfig::new(vec![nats.url().to_owned()]));
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ledgers = [
        ledger(log(), dirs[0].path()).await,
        ledger(log(), dirs[1].path()).await,
    ];
    let clients = ledgers
        .each_ref()
        .map(|ledger| Client::new(&ledger.url(), "acme"));
    let outcomes = race(&clients).await;
    for client in &clients {
        check(client, &outcomes).await;
    }
    for ledger in ledgers {
        ledger.stop().await.unwrap();
    }
}
