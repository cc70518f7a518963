//! What an `Idempotency-Key` decides: the ids of events stay what they are, so that a retry that
//! comes after an upgrade has the id of its first try.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::app::App;
use crate::support::client::Client;

const SESSIONS: &str = "/v1/agent-sessions";
const AGI: &str = "/compat/agi/v1/sessions";

/// The id of the event of a command of the tenant `acme`, from a client without a credential.
fn event_id(command: &str, about: &str, key: &str) -> String {
    let mut hasher = Sha256::new();
    for part in ["acme", "", command, about, key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    format!("{command}-{}", hex::encode(&hasher.finalize()[..16]))
}

async fn give(client: &Client, method: Method, path: &str, body: &str) -> Value {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let answer = client.send(method, path, &headers, body.into()).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.text);
    answer.json()
}

/// The ids and the data of all events, in their order.
async fn events(client: &Client) -> Vec<(String, Value)> {
    let page = client.get("/v1/events?limit=1000").await.ok();
    let events = page["events"].as_array().unwrap().iter();
    let parts = events.map(|one| {
        let id = one["event"]["id"].as_str().unwrap().to_owned();
        (id, one["event"]["data"].clone())
    });
    parts.collect()
}

#[tokio::test]
async fn the_key_and_the_command_decide_the_id_of_the_event() {
    let app = App::start().await;
    let client = app.client("acme");
    let post =
        async |path: &str, body: Value| give(&client, Method::POST, path, &body.to_string()).await;
    post("/v1/agents", json!({"agent_id": "a1"})).await;
    give(
        &client,
        Method::PATCH,
        "/v1/agents/a1",
        r#"{"key_id": "x"}"#,
    )
    .await;
    post("/v1/agents/a1/suspend", json!({"reason": "r"})).await;
    post("/v1/agents/a1/reinstate", json!({})).await;
    let body = json!({"agent_id": "a1", "session_id": "s1"});
    let created = post(SESSIONS, body).await;
    let body = json!({"refresh_token": created["refresh_token"]});
    post(&format!("{SESSIONS}/s1/refresh"), body).await;
    let body = json!({"to_agent_id": "a1", "session_id": "s2"});
    post(&format!("{SESSIONS}/s1/handoff"), body).await;
    give(&client, Method::DELETE, &format!("{SESSIONS}/s2"), "").await;
    post("/v1/agents/a1/revoke", json!({})).await;
    let opened = post(AGI, json!({})).await;
    let session = opened["session_id"].as_str().unwrap();
    post(&format!("{AGI}/{session}/pause"), json!({})).await;
    give(&client, Method::DELETE, &format!("{AGI}/{session}"), "").await;
    let expected = [
        ("register", ""),
        ("update", "a1"),
        ("suspend", "a1"),
        ("reinstate", "a1"),
        ("create", ""),
        ("refresh", "s1"),
        ("handoff", "s1"),
        ("terminate", "s2"),
        ("revoke", "a1"),
        ("open", ""),
        ("note", session),
        ("end", session),
    ];
    let expected = expected.map(|(command, about)| event_id(command, about, "k"));
    let ids: Vec<String> = events(&client)
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, expected);
    app.stop().await;
}

#[tokio::test]
async fn a_retry_may_order_and_write_its_body_in_another_way() {
    let app = App::start().await;
    let client = app.client("acme");
    let register = r#"{"agent_id": "a1", "scopes": ["b", "a"], "trust_score": 0.50}"#;
    let first = give(&client, Method::POST, "/v1/agents", register).await;
    let again = r#"{"trust_score":5e-1,"metadata":null,"scopes":["\u0062","a"],"agent_id":"a1"}"#;
    let again = give(&client, Method::POST, "/v1/agents", again).await;
    assert_eq!(
        (&again["verdict"], &again["agent"]),
        (&json!("duplicate"), &first["agent"])
    );
    let create =
        r#"{"agent_id": "a1", "expires_at": "2026-02-01T00:00:00+00:00", "metadata": {"n": 1.50}}"#;
    let first = give(&client, Method::POST, SESSIONS, create).await;
    let again =
        r#"{"metadata":{"n": 1.50},"expires_at":"2026-02-01T00:00:00.000Z","agent_id":"a1"}"#;
    let again = give(&client, Method::POST, SESSIONS, again).await;
    assert_eq!(again["verdict"], "duplicate");
    assert_eq!(again["token"], first["token"]);
    let (_, data) = events(&client).await.swap_remove(2);
    let expected = json!({
        "agent_id": "a1",
        "expires_at": "2026-02-01T00:00:00.000000Z",
        "metadata": {"n": 1.50},
    });
    assert_eq!(data, expected);
    let other =
        r#"{"agent_id": "a1", "expires_at": "2026-02-01T00:00:01Z", "metadata": {"n": 1.50}}"#;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let answer = client
        .send(Method::POST, SESSIONS, &headers, other.into())
        .await;
    answer.problem(409, "id_reused");
    app.stop().await;
}

#[tokio::test]
async fn every_wrong_field_of_a_body_is_named() {
    let app = App::start().await;
    let client = app.client("acme");
    let json = [("content-type", "application/json")];
    let body = r#"{"agent_id": 7, "session_id": "a/b", "ttl_seconds": 0}"#;
    let answer = client
        .send(Method::POST, SESSIONS, &json, body.into())
        .await;
    let problem = answer.problem(400, "invalid");
    let errors = problem["errors"].as_array().unwrap().iter();
    let fields: Vec<&str> = errors.map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["session_id", "agent_id", "ttl_seconds"]);
    assert!(app.is_empty());
    app.stop().await;
}
