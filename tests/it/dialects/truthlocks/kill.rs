//! The kill switch and the revocation: both revoke an agent, and answer when the agent's sessions have
//! ended.

use reqwest::Method;
use serde_json::{Value, json};

use super::{MOUNT, agent, check_failure, get, post, session};
use crate::support::app::App;
use crate::support::client::{Client, created, event};

const NOW: &str = crate::support::app::NOW;

async fn kill(client: &Client, id: &str, body: &Value) -> Value {
    post(client, &format!("/v1/agents/{id}/kill"), body)
        .await
        .ok()
}

async fn active(client: &Client, agent: &str) -> Value {
    let path = format!("/v1/agent-sessions?agent_id={agent}&status=active");
    get(client, &path).await["total"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_is_revoked_and_its_sessions_have_ended_before_the_answer() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    let (id, other) = (
        agent(&client, &["a:b"]).await,
        agent(&client, &["a:b"]).await,
    );
    let mut sessions = Vec::new();
    for owner in [&id, &id, &id, &other] {
        sessions.push(session(&client, owner).await);
    }
    // This session has ended before, so it is not counted.
    let path = format!("{}/terminate", super::path_of(&sessions[0]));
    post(&client, &path, &json!({})).await.ok();
    let body = json!({"reason": "key leaked", "operator_id": "sec-1", "cascade": false});
    let killed = kill(&client, &id, &body).await;
    assert_eq!(killed["terminated_sessions"], 2);
    assert_eq!(killed["terminatedSessions"], 2);
    assert_eq!(
        (&killed["agent_id"], &killed["status"]),
        (&json!(id), &json!("revoked"))
    );
    assert_eq!(
        (&killed["reason"], &killed["operator_id"]),
        (&json!("key leaked"), &json!("sec-1"))
    );
    assert_eq!(
        killed["agent"],
        get(&client, &format!("/v1/agents/{id}")).await
    );
    assert_eq!(active(&client, &id).await, 0);
    assert_eq!(active(&client, &other).await, 1);
    for ended in &sessions[1..3] {
        assert_eq!(
            get(&client, &super::path_of(ended)).await["status"],
            "terminated"
        );
    }
    let answer = post(&client, "/v1/agent-sessions", &json!({"agent_id": id})).await;
    check_failure(&answer, 409, "CONFLICT", "the agent is revoked");
    // The log names the operator forever.
    let events = client.get("/v1/events?type=agent.revoked").await.text;
    assert!(events.contains("key leaked (operator: sec-1)"), "{events}");
    app.stop().await;
}

/// The first answer may have been lost, so the retry must return the number again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_kill_returns_the_same_number() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    for _ in 0..2 {
        session(&client, &id).await;
    }
    let path = format!("{MOUNT}/v1/agents/{id}/kill");
    let key = [("idempotency-key", "k-1")];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = client.send(Method::POST, &path, &key, b"{}".into());
        answers.push(answer.await.ok());
    }
    // This also holds without an idempotency key.
    answers.push(kill(&client, &id, &json!({})).await);
    assert_eq!(answers[0]["terminated_sessions"], 2);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_counts_only_the_sessions_that_the_revocation_ended() {
    let mut app = App::start().await;
    let client = app.client("acme");
    for id in ["s1", "s2", "s3", "s4"] {
        client.apply(&created(id, "a1", NOW)).await;
    }
    let end = async |id: &str, kind: &str, data: Value| {
        client.apply(&event("end", kind, id, &data)).await;
    };
    end("s1", "session.terminated", json!({})).await;
    let revoked = post(&client, "/v1/agents/a1/revoke", &json!({})).await;
    assert_eq!(revoked.status, 202, "{}", revoked.text);
    // This session ends before the ledger ends it.
    end("s2", "session.terminated", json!({"outcome": "completed"})).await;
    app.start_revocation();
    assert_eq!(
        kill(&client, "a1", &json!({})).await["terminated_sessions"],
        2
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_and_a_revocation_are_answered_when_the_sessions_have_ended() {
    const SESSIONS: usize = 20;
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    for call in ["kill", "revoke"] {
        let id = agent(&client, &["a:b"]).await;
        for _ in 0..SESSIONS {
            session(&client, &id).await;
        }
        let path = format!("/v1/agents/{id}/{call}");
        let first = post(&client, &path, &json!({})).await.ok();
        assert_eq!(first["terminated_sessions"], SESSIONS, "{call}");
        let position = &first["settled_position"];
        let native = "/v1/agent-sessions?status=active&agent_id=";
        let native = format!("{native}{id}&min_position={position}");
        assert_eq!(client.get(&native).await.ok()["total"], 0, "{call}");
        assert_eq!(active(&client, &id).await, 0, "{call}");
        assert_eq!(post(&client, &path, &json!({})).await.ok(), first, "{call}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_says_when_sessions_are_still_open() {
    // The revocation reactor does not run.
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let answer = post(&client, "/v1/agents/a1/revoke", &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let pending = answer.json();
    assert_eq!(pending["status"], "revoked");
    assert_eq!(pending["terminated_sessions"], 0);
    assert_eq!(pending["settled_position"], Value::Null);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_of_a_killed_agent_is_counted_once() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    let sessions: Vec<Value> = (0..900)
        .map(|number| created(&format!("s{number}"), "a1", NOW))
        .collect();
    let batched = "application/cloudevents-batch+json";
    let body = Value::from(sessions).to_string();
    assert_eq!(client.post("/v1/events", batched, body).await.status, 200);
    assert_eq!(
        kill(&client, "a1", &json!({"reason": "r"})).await["terminated_sessions"],
        900
    );
    assert_eq!(active(&client, "a1").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_says_when_sessions_are_still_open() {
    // The revocation reactor does not run.
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let answer = post(&client, "/v1/agents/a1/kill", &json!({"reason": "r"})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json()["terminated_sessions"], 0);
    assert_eq!(answer.json()["status"], "revoked");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_without_a_verdict_has_the_number_of_ended_sessions_too() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let id = app.fold_during(agent(&client, &["a:b"])).await;
    let answer = post(&client, &format!("/v1/agents/{id}/kill"), &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let pending = answer.json();
    assert_eq!(
        (&pending["status"], &pending["agent_id"]),
        (&json!("pending"), &json!(id))
    );
    assert_eq!(
        (
            &pending["terminated_sessions"],
            &pending["terminatedSessions"]
        ),
        (&json!(0), &json!(0))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsupported_kill_changes_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    let path = format!("/v1/agents/{id}/kill");
    let long = "x".repeat(1025);
    for (body, said) in [
        (json!({"cascade": true}), "cascade must be false"),
        (json!({"cascade": "no"}), "cascade must be false"),
        (json!({"reason": 5}), "reason must be a string"),
        (json!({"operator_id": []}), "operator_id must be a string"),
        (json!({"reason": long}), "reason must have at most 1024"),
    ] {
        check_failure(
            &post(&client, &path, &body).await,
            400,
            "INVALID_INPUT",
            said,
        );
    }
    assert_eq!(
        get(&client, &format!("/v1/agents/{id}")).await["status"],
        "active"
    );
    let none = post(&client, "/v1/agents/none/kill", &json!({})).await;
    check_failure(&none, 404, "NOT_FOUND", "there is no such agent");
    app.stop().await;
}
