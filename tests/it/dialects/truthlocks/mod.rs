//! Truthlocks: the published Python client, and requests from its documents and editors.

mod agents;
mod editors;
mod failures;
mod kill;
mod lists;
mod sessions;
mod steps;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use crate::support::app::{App, grant};
use crate::support::cli::Server;
use crate::support::client::{Answer, Client};
use crate::support::python;

const CLIENT: &str = include_str!("client.py");
const MOUNT: &str = "/compat/truthlocks";

/// Sends a body with the content type of JSON.
async fn send(client: &Client, method: Method, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let path = format!("{MOUNT}{path}");
    client.send(method, &path, &json, body.into()).await
}

async fn get(client: &Client, path: &str) -> Value {
    client.get(&format!("{MOUNT}{path}")).await.ok()
}

async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    send(client, Method::POST, path, &body.to_string()).await
}

/// Returns the body of a 201.
#[track_caller]
fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

/// Registers an agent with these scopes. Returns its id.
async fn agent(client: &Client, scopes: &[&str]) -> String {
    let body = json!({"agent_type": "worker", "display_name": "Ann", "scopes": scopes});
    let agent = made(&post(client, "/v1/agents", &body).await);
    agent["agent_id"].as_str().unwrap().to_owned()
}

/// Creates a session of an agent. Returns the whole answer.
async fn session(client: &Client, agent: &str) -> Value {
    made(&post(client, "/v1/agent-sessions", &json!({"agent_id": agent})).await)
}

/// Adds to an object each name in camel case.
fn in_both_spellings(snake: &Value) -> Value {
    let mut both = snake.clone();
    let members = both.as_object_mut().unwrap();
    for (name, value) in snake.as_object().unwrap() {
        let mut words = name.split('_').map(str::to_owned);
        let mut camel = words.next().unwrap();
        for word in words {
            camel.push_str(&word[..1].to_uppercase());
            camel.push_str(&word[1..]);
        }
        members.insert(camel, value.clone());
    }
    both
}

/// Returns the path of a session.
fn path_of(session: &Value) -> String {
    let id = session["session_id"].as_str().unwrap();
    format!("/v1/agent-sessions/{id}")
}

/// Checks that an answer is a failure in the envelope that clients expect.
#[track_caller]
fn check_failure(answer: &Answer, status: u16, code: &str, said: &str) -> Value {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (status, &json!(code)),
        "{body}"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(said), "{said}: {body}");
    assert_eq!(body["status"], json!(status));
    assert_eq!(body["http_status"], json!(status));
    assert_eq!(body["trace_id"], json!(answer.header("x-request-id")));
    assert!(body["details"].is_object(), "{body}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_agents_and_sessions_with_keys_of_the_ledger() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let foreign = app.key(grant("globex", Roles::ALL)).await;
    let url = format!("http://{}{MOUNT}", app.host());
    let printed = python::run(CLIENT, &[&url, &key, &foreign]).await;

    // The native API and another dialect show these sessions, too.
    let ids: Vec<&str> = printed.split_whitespace().collect();
    let acme = app.client("acme").with_key(&key);
    let row = acme
        .get(&format!("/v1/agent-sessions/{}", ids[2]))
        .await
        .ok();
    assert_eq!(row["status"], "terminated");
    assert_eq!(row["agent_id"], ids[0]);
    assert_eq!(row["scopes"], json!(["documents/7:read"]));
    assert_eq!(row["user_agent"], "truthlocks-maip-python/0.1.0");
    let agi = acme
        .get(&format!("/compat/agi/v1/sessions/{}", ids[1]))
        .await;
    assert_eq!(agi.ok()["status"], "ready");
    let agent = acme.get(&format!("/v1/agents/{}", ids[0])).await.ok();
    assert_eq!(
        agent["scopes"],
        json!(["documents/*:read", "documents/*:write"])
    );
    assert_eq!(agent["session_count"], 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_agents_and_sessions_at_the_dialects_own_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--dialect", "truthlocks=127.0.0.1:0"]);
    let (_, rest) = server
        .started()
        .split_once("only the dialect `truthlocks` on ")
        .unwrap();
    let url = rest.split_whitespace().next().unwrap();
    python::run(CLIENT, &[url, "tenant:acme", "tenant:globex"]).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_health_needs_no_credential() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let nobody = app.client("acme").with_key("nobody");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(&nobody, path).await, json!({"status": "ok"}));
    }
    app.stop_fold().await;
    let answer = nobody.get(&format!("{MOUNT}/health/ready")).await;
    check_failure(&answer, 503, "UNAVAILABLE", "the fold has stopped");
    assert_eq!(answer.header("retry-after"), "1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_prefix_leads_to_the_same_calls() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    let session = session(&client, &id).await;
    let sid = session["id"].as_str().unwrap();
    for prefix in ["/v1", "/v1/machine-identity"] {
        assert_eq!(get(&client, &format!("{prefix}/agents")).await["total"], 1);
        assert_eq!(
            get(&client, &format!("{prefix}/agents/{id}")).await["id"],
            *id
        );
        for sessions in ["agent-sessions", "sessions"] {
            let path = format!("{prefix}/{sessions}");
            assert_eq!(get(&client, &path).await["total"], 1);
            assert_eq!(get(&client, &format!("{path}/{sid}")).await["id"], sid);
        }
    }
    app.stop().await;
}
