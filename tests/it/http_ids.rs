//! Every API finds an id that the ledger generated in any spelling. An id that a caller chose must match
//! exactly.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created};

const UPPER: &str = "0198C7A0-5E0F-7D3A-9C43-1F6A2B3C4D5E";

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    client
        .send(method, path, &json, body.to_string().into())
        .await
}

async fn post(client: &Client, path: &str, body: &Value) -> Value {
    let answer = send(client, Method::POST, path, body).await;
    assert!(answer.status < 300, "{path}: {}", answer.text);
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Creates an agent and a session of it with generated ids.
async fn made(client: &Client) -> (String, String, String) {
    let agent = post(client, "/v1/agents", &json!({"scopes": ["a:b"]})).await;
    let agent = text(&agent["agent"]["agent_id"]);
    let opened = post(client, "/v1/agent-sessions", &json!({"agent_id": agent})).await;
    let session = text(&opened["session"]["session_id"]);
    (agent, session, text(&opened["refresh_token"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_finds_generated_ids_in_capitals() {
    let app = App::start().await;
    let client = app.client("acme");
    let (agent, session, _token) = made(&client).await;
    let (upper_agent, upper) = (agent.to_uppercase(), session.to_uppercase());
    assert_ne!((&upper_agent, &upper), (&agent, &session));
    for (path, pointer, expected) in [
        (
            format!("/v1/agent-sessions/{upper}"),
            "/session_id",
            &session,
        ),
        (
            format!("/v1/agent-sessions/{upper}/events"),
            "/events/0/event/subject",
            &session,
        ),
        (format!("/v1/agents/{upper_agent}"), "/agent_id", &agent),
        (
            format!("/v1/agent-sessions?agent_id={upper_agent}"),
            "/sessions/0/session_id",
            &session,
        ),
        (
            format!("/v1/events?session_id={upper}&agent_id={upper_agent}"),
            "/events/0/event/subject",
            &session,
        ),
        (
            format!("/compat/agi/v1/sessions/{upper}"),
            "/session_id",
            &session,
        ),
        (
            format!("/compat/truthlocks/v1/sessions/{upper}"),
            "/session_id",
            &session,
        ),
        (
            format!("/compat/truthlocks/v1/agents/{upper_agent}"),
            "/agent_id",
            &agent,
        ),
        (
            format!("/compat/truthlocks/v1/agents/{upper_agent}/trust-score"),
            "/agent_id",
            &agent,
        ),
        (
            format!("/compat/truthlocks/v1/sessions?agent_id={upper_agent}"),
            "/items/0/session_id",
            &session,
        ),
    ] {
        let found = client.get(&path).await.ok();
        assert_eq!(
            found.pointer(pointer),
            Some(&json!(expected)),
            "{path}: {found}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_otas_list_finds_a_generated_agent_id_in_capitals() {
    let app = App::start().await;
    let client = app.client("acme");
    let (agent, session, _token) = made(&client).await;
    let upper_agent = agent.to_uppercase();
    let headers = [
        ("x-otas-project-id", "acme"),
        ("x-otas-user-token", "anybody"),
    ];
    let path = format!("/compat/otas/api/agent/v1/sessions/list/?agent_id={upper_agent}");
    let listed = client
        .send(Method::GET, &path, &headers, Vec::new())
        .await
        .ok();
    assert_eq!(listed["response"]["agent_id"], json!(agent));
    assert_eq!(listed["response"]["sessions"][0]["id"], json!(session));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_accepts_generated_ids_in_capitals_and_events_keep_the_generated_spelling() {
    let app = App::start().await;
    let client = app.client("acme");
    let (agent, session, token) = made(&client).await;
    let (upper_agent, upper) = (agent.to_uppercase(), session.to_uppercase());
    let one = format!("/v1/agent-sessions/{upper}");
    let path = format!("{one}/refresh");
    let refreshed = post(&client, &path, &json!({"refresh_token": token})).await;
    assert_eq!(refreshed["session"]["session_id"], json!(session));
    let path = format!("{one}/handoff");
    let child = post(&client, &path, &json!({"to_agent_id": upper_agent})).await;
    let child = child["session"].clone();
    assert_eq!(child["agent_id"], json!(agent));
    assert_eq!(child["parent_session_id"], json!(session));
    let child = text(&child["session_id"]).to_uppercase();
    let path = format!("/v1/agent-sessions/{child}");
    let ended = send(&client, Method::DELETE, &path, &json!({})).await;
    assert_eq!(ended.ok()["session"]["status"], "terminated");

    let opened = json!({"agent_id": upper_agent, "parent_session_id": upper});
    let opened = post(&client, "/v1/agent-sessions", &opened).await;
    assert_eq!(opened["session"]["agent_id"], json!(agent));
    assert_eq!(opened["session"]["parent_session_id"], json!(session));
    let opened = json!({"agentId": upper_agent});
    let opened = post(&client, "/compat/truthlocks/v1/sessions", &opened).await;
    assert_eq!(opened["agent_id"], json!(agent));
    let upper = text(&opened["id"]).to_uppercase();
    let agi = format!("/compat/agi/v1/sessions/{upper}");
    post(&client, &format!("{agi}/pause"), &json!({})).await;
    let deleted = send(&client, Method::DELETE, &agi, &json!({})).await.ok();
    assert_eq!(deleted["deleted"], true);
    let opened = json!({"agent_name": upper_agent});
    let opened = post(&client, "/compat/agi/v1/sessions", &opened).await;
    assert_eq!(opened["agent_name"], json!(agent));

    for (path, status) in [("suspend", "suspended"), ("reinstate", "active")] {
        let path = format!("/v1/agents/{upper_agent}/{path}");
        let changed = post(&client, &path, &json!({})).await;
        assert_eq!(changed["agent"]["status"], status);
    }
    let killed = format!("/compat/truthlocks/v1/agents/{upper_agent}/revoke");
    assert_eq!(
        post(&client, &killed, &json!({})).await["status"],
        "revoked"
    );
    // No event has the caller's spelling, and only one agent is known.
    let events = client.get("/v1/events").await.text;
    assert!(
        !events.contains(&upper_agent) && !events.contains(&upper),
        "{events}"
    );
    assert_eq!(client.get("/v1/agents").await.ok()["total"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_ids_match_exactly() {
    let app = App::start().await;
    let client = app.client("acme");
    let lower = UPPER.to_lowercase();
    for (session, agent) in [("Own", "Own-agent"), (UPPER, UPPER)] {
        client.apply(&created(session, agent, NOW)).await;
    }
    for missing in ["own", "OWN", &lower] {
        for api in [
            "/v1/agent-sessions",
            "/compat/agi/v1/sessions",
            "/compat/truthlocks/v1/sessions",
        ] {
            let path = format!("{api}/{missing}");
            assert_eq!(client.get(&path).await.status, 404, "{path}");
        }
    }
    // A caller chose a UUID in capitals. The UUID in lower case is another id.
    client.apply(&created(&lower, &lower, NOW)).await;
    for id in [UPPER, &lower] {
        let path = format!("/v1/agent-sessions/{id}");
        assert_eq!(client.get(&path).await.ok()["session_id"], json!(id));
        let path = format!("/v1/agent-sessions?agent_id={id}");
        assert_eq!(client.get(&path).await.ok()["total"], 1);
        let path = format!("/compat/agi/v1/sessions/{id}/pause");
        post(&client, &path, &json!({})).await;
        let path = format!("/v1/agent-sessions/{id}/events");
        assert_eq!(client.get(&path).await.ok()["total"], 2);
    }
    app.stop().await;
}
