//! AGI: the published Python client, and requests that it cannot send.

mod deletion;
mod failures;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use crate::support::app::{App, NOW, grant};
use crate::support::cli::Server;
use crate::support::client::{Answer, Client, created, event};
use crate::support::python;

const CLIENT: &str = include_str!("client.py");
const SESSIONS: &str = "/compat/agi/v1/sessions";

async fn send(client: &Client, method: Method, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let path = format!("{SESSIONS}{path}");
    client.send(method, &path, &json, body.into()).await
}

async fn list(client: &Client) -> Vec<Value> {
    let listed = client.get(SESSIONS).await.ok();
    listed.as_array().unwrap().clone()
}

/// Creates a session. Returns its id.
async fn create(client: &Client, body: &str) -> String {
    let made = send(client, Method::POST, "", body).await.ok();
    made["session_id"].as_str().unwrap().to_owned()
}

/// Checks that an answer is a failure in the envelope that clients expect.
#[track_caller]
fn check_failure(answer: &Answer, status: u16, said: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains(said), "{said}: {body}");
    assert_eq!(body["message"], body["detail"]);
    assert!(body.get("error").is_none(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_sessions_with_keys_of_the_ledger() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let foreign = app.key(grant("globex", Roles::ALL)).await;
    let url = format!("http://{}/compat/agi", app.host());
    let printed = python::run(CLIENT, &[&url, &key, &foreign]).await;

    // The deleted sessions are on the ledger, without the data that must not stay there.
    let acme = app.client("acme").with_key(&key);
    let path = format!("/v1/agent-sessions/{}", printed.trim());
    let kept = acme.get(&path).await.ok();
    assert_eq!(kept["status"], "terminated");
    assert_eq!(kept["outcome"], "deleted");
    assert_eq!(kept["agent_id"], "agi-2-claude");
    assert_eq!(kept["expires_at"], Value::Null);
    assert_eq!(
        kept["metadata"],
        json!({
            "agent_session_type": "desktop",
            "environment_type": "ubuntu-1",
            "restore_from_environment_id": "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e",
        })
    );
    let events = acme.get("/v1/events").await.text;
    for unkept in ["calculator", "hooks.example", "cdp.example"] {
        assert!(!events.contains(unkept), "{unkept}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_sessions_at_the_dialects_own_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--dialect", "agi=127.0.0.1:0"]);
    let (_, rest) = server
        .started()
        .split_once("only the dialect `agi` on ")
        .unwrap();
    let url = rest.split_whitespace().next().unwrap();
    python::run(CLIENT, &[url, "tenant:acme", "tenant:globex"]).await;
    server.terminate();
}

/// Returns the status of a session and the status of its work.
async fn seen(client: &Client, id: &str) -> [String; 2] {
    let one = client.get(&format!("{SESSIONS}/{id}")).await.ok();
    let work = client.get(&format!("{SESSIONS}/{id}/status")).await.ok();
    let rows = list(client).await;
    let row = rows.iter().find(|row| row["session_id"] == id).unwrap();
    assert_eq!(row["status"], one["status"]);
    [&one["status"], &work["status"]].map(|word| word.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_ledger_has_its_phase_as_status() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let row = json!({
        "session_id": "s1",
        "agent_name": "a1",
        "status": "ready",
        "created_at": "2026-01-31T12:00:00.000Z",
    });
    assert_eq!(list(&client).await, std::slice::from_ref(&row));
    let mut one = row;
    one["vnc_url"] = Value::Null;
    assert_eq!(client.get(&format!("{SESSIONS}/s1")).await.ok(), one);

    for (phase, work) in [
        ("initializing", "running"),
        ("running", "running"),
        ("paused", "paused"),
        ("ready", "ready"),
    ] {
        let data = json!({"phase": phase});
        client
            .apply(&event(phase, "session.refreshed", "s1", &data))
            .await;
        assert_eq!(seen(&client, "s1").await, [phase, work]);
    }
    app.stop().await;
}

/// A call takes effect after every event that it can see, even an event with a future time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_paused_after_a_refresh_with_a_future_time() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let mut runs = event("r", "session.refreshed", "s1", &json!({"phase": "running"}));
    runs["time"] = json!("2026-01-31T12:00:50Z");
    client.apply(&runs).await;
    for (call, phase) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "ready"),
    ] {
        let path = format!("/s1/{call}");
        send(&client, Method::POST, &path, "").await.ok();
        assert_eq!(seen(&client, "s1").await[0], phase);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_ledger_shows_how_it_ended() {
    let mut app = App::start().await;
    app.start_expiry();
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let named = json!({"agent_id": "a1", "agent_name": "Ann", "ttl_seconds": 60});
    client
        .apply(&event("c2", "session.created", "s2", &named))
        .await;
    assert_eq!(list(&client).await[0]["agent_name"], "Ann");
    let to = json!({"to_agent_id": "a2", "session_id": "s3"});
    client
        .apply(&event("h1", "session.handed_off", "s1", &to))
        .await;
    assert_eq!(seen(&client, "s1").await, ["terminated", "finished"]);
    assert_eq!(seen(&client, "s3").await, ["ready", "ready"]);
    app.set_time("2026-01-31T12:01:00Z");
    assert_eq!(seen(&client, "s2").await, ["terminated", "finished"]);
    for (id, outcome, expected) in [
        ("o1", json!("completed"), ["completed", "finished"]),
        ("o2", json!("error"), ["error", "error"]),
        ("o3", json!("revoked"), ["terminated", "finished"]),
        ("o4", Value::Null, ["terminated", "finished"]),
    ] {
        client.apply(&created(id, "a1", NOW)).await;
        let data = json!({"outcome": outcome});
        client
            .apply(&event("t", "session.terminated", id, &data))
            .await;
        assert_eq!(seen(&client, id).await, expected);
        // No call changes a session that has ended.
        for call in ["pause", "resume", "cancel"] {
            let path = format!("/{id}/{call}");
            let answer = send(&client, Method::POST, &path, "").await;
            check_failure(&answer, 409, "has ended");
        }
    }
    client.apply(&created("o5", "a1", NOW)).await;
    let deleted = json!({"outcome": "deleted"});
    client
        .apply(&event("t", "session.terminated", "o5", &deleted))
        .await;
    check_failure(
        &client.get(&format!("{SESSIONS}/o5")).await,
        404,
        "not found",
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_request_is_rejected_and_writes_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    let long = format!(r#"{{"agent_name":"{}"}}"#, "x".repeat(257));
    let url = format!(r#"{{"webhook_url":"https://{}"}}"#, "x".repeat(2000));
    for (body, said) in [
        ("[]", "the body must be a JSON object"),
        ("null", "the body must be"),
        (
            "{",
            "the body is not JSON: it ends unexpectedly at line 1, column 2",
        ),
        (
            r#"{"agent_name":NaN}"#,
            "the body is not JSON: at line 1, column 15, NaN is not a JSON number",
        ),
        ("\u{0}", "the body is not JSON"),
        (r#"{"agent_name":5}"#, "agent_name must be a string"),
        (r#"{"agent_name":""}"#, "agent_name must have 1 to 256"),
        (r#"{"agent_name":"a/b"}"#, "agent_name must not hold"),
        (r#"{"agent_name":"a\u0000"}"#, "agent_name must not hold"),
        (&*long, "agent_name must have 1 to 256"),
        (&*url, "webhook_url must be"),
        (r#"{"webhook_url":"ftp://h"}"#, "webhook_url must be"),
        (r#"{"max_steps":"7"}"#, "max_steps must be a whole number"),
        (r#"{"max_steps":-1}"#, "max_steps must be a whole number"),
        (r#"{"goal":["x"]}"#, "goal must be a string"),
        (r#"{"environment_type":1}"#, "environment_type must be"),
    ] {
        let answer = send(&client, Method::POST, "", body).await;
        check_failure(&answer, 422, said);
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    check_failure(
        &send(&client, Method::POST, "", &deep).await,
        422,
        "the body",
    );
    for id in ["none", "count", "a%2Fb", "%ff", &"x".repeat(300)] {
        let missing = send(&client, Method::DELETE, &format!("/{id}"), "").await;
        assert_eq!(missing.ok()["deleted"], false, "{id}");
        for (method, call) in [
            (Method::GET, ""),
            (Method::GET, "/status"),
            (Method::POST, "/pause"),
            (Method::POST, "/resume"),
            (Method::POST, "/cancel"),
        ] {
            let path = format!("/{id}{call}");
            let answer = send(&client, method, &path, "{}").await;
            check_failure(&answer, 404, "Session not found");
        }
    }
    assert!(app.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_ids_are_read_as_leniently_as_by_the_vendors_servers() {
    let app = App::start().await;
    let client = app.client("acme");
    for (content_type, body) in [
        ("application/json", ""),
        (
            "text/plain",
            r#"{"agent_name": null, "model": "x", "webhook_url": "HTTPS://a.example"}"#,
        ),
        ("application/json; charset=utf-8", " {} "),
    ] {
        let headers = [("content-type", content_type)];
        let answer = client
            .send(Method::POST, SESSIONS, &headers, body.into())
            .await;
        assert_eq!(answer.ok()["agent_name"], "agi-0");
    }
    client.apply(&created("maip-sess:1:2", "a1", NOW)).await;
    for id in ["maip-sess:1:2", "maip-sess%3A1%3A2"] {
        let one = client.get(&format!("{SESSIONS}/{id}")).await.ok();
        assert_eq!(one["session_id"], "maip-sess:1:2");
    }
    app.stop().await;
}
