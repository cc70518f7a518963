//! Refresh, hand-off and termination.

use reqwest::Method;
use serde_json::{Value, json};

use super::{agent, check_failure, get, made, path_of, post, send, session};
use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

async fn refresh(client: &Client, session: &Value, token: &Value) -> Value {
    let path = format!("{}/refresh", path_of(session));
    post(client, &path, &json!({"refresh_token": token}))
        .await
        .ok()
}

/// Whether an access token is active.
async fn is_good(client: &Client, token: &Value) -> bool {
    let body = json!({"token": token}).to_string();
    let answer = client
        .post("/v1/agent-sessions/introspect", "application/json", body)
        .await;
    answer.ok()["active"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_replaces_both_tokens_and_restarts_the_time_to_live() {
    let app = App::start().await;
    let client = app.client("acme");
    let first = session(&client, &agent(&client, &["a:b"]).await).await;
    app.set_time("2026-01-31T12:10:00Z");
    let second = refresh(&client, &first, &first["refresh_token"]).await;
    assert_eq!(second["session"]["session_id"], first["session_id"]);
    assert_eq!(second["refreshed_at"], "2026-01-31T12:10:00.000000Z");
    assert_eq!(second["updated_at"], second["refreshed_at"]);
    assert_eq!(second["expires_at"], "2026-01-31T13:10:00.000000Z");
    assert!(!is_good(&client, &first["token"]).await);
    assert!(is_good(&client, &second["token"]).await);
    // The other spelling works at the other path.
    let path = format!("/v1/sessions/{}/refresh", first["id"].as_str().unwrap());
    let body = json!({"refreshToken": second["refreshToken"]});
    assert_eq!(post(&client, &path, &body).await.ok()["status"], "active");
    // A used token, and one that was never issued.
    for token in [
        &first["refresh_token"],
        &second["refresh_token"],
        &json!("x"),
    ] {
        let answer = post(&client, &path, &json!({"refresh_token": token})).await;
        check_failure(
            &answer,
            401,
            "UNAUTHORIZED",
            "was used before or is not this session's",
        );
    }
    for body in ["", "{}", r#"{"refresh_token": null}"#] {
        let answer = send(&client, Method::POST, &path, body).await;
        check_failure(&answer, 400, "INVALID_INPUT", "refresh_token is required");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_no_longer_than_a_day_however_often_it_is_refreshed() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    let body = json!({"agent_id": id, "ttl_minutes": 1440});
    let mut latest = made(&post(&client, "/v1/agent-sessions", &body).await);
    let body = json!({"agent_id": id, "ttl_minutes": 720});
    let mut shorter = made(&post(&client, "/v1/agent-sessions", &body).await);
    let day = json!("2026-02-01T12:00:00.000000Z");
    for (time, deadline) in [
        ("2026-01-31T18:00:00Z", json!("2026-02-01T06:00:00.000000Z")),
        ("2026-01-31T23:59:54Z", json!("2026-02-01T11:59:54.000000Z")),
        ("2026-02-01T00:00:01Z", day.clone()),
        ("2026-02-01T11:59:59Z", day.clone()),
    ] {
        app.set_time(time);
        latest = refresh(&client, &latest, &latest["refresh_token"]).await;
        assert_eq!(latest["expires_at"], day, "{time}");
        shorter = refresh(&client, &shorter, &shorter["refresh_token"]).await;
        assert_eq!(shorter["expires_at"], deadline, "{time}");
    }
    app.set_time("2026-02-01T12:00:00Z");
    let path = format!("{}/refresh", path_of(&latest));
    let body = json!({"refresh_token": latest["refresh_token"]});
    let answer = post(&client, &path, &body).await;
    check_failure(&answer, 409, "CONFLICT", "it is expired");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_does_not_shorten_a_longer_deadline_from_another_api() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    for ttl_seconds in [json!(30 * 24 * 3600), Value::Null] {
        app.set_time("2026-01-31T12:00:00Z");
        let body = json!({"agent_id": id, "ttl_seconds": ttl_seconds}).to_string();
        let given = client
            .post("/v1/agent-sessions", "application/json", body)
            .await;
        let given = made(&given);
        app.set_time("2026-02-10T12:00:00Z");
        let after = refresh(&client, &given["session"], &given["refresh_token"]).await;
        assert_eq!(after["expires_at"], given["session"]["expires_at"]);
        assert_eq!(after["refreshed_at"], "2026-02-10T12:00:00.000000Z");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_off_ends_the_session_and_opens_its_child() {
    let app = App::start().await;
    let client = app.client("acme");
    let (from, to) = (
        agent(&client, &["a:*"]).await,
        agent(&client, &["a:*"]).await,
    );
    let body = json!({"agent_id": from}).to_string().into();
    let program = [("user-agent", "sdk/1")];
    let path = "/compat/truthlocks/v1/agent-sessions";
    let parent = made(&client.send(Method::POST, path, &program, body).await);
    app.set_time("2026-01-31T12:10:00Z");
    let path = format!("{}/handoff", path_of(&parent));
    let body = json!({
        "target_agent_id": to, "scopes": ["a:read"], "reason": "a shift ends",
        "metadata": {"shift": "2"},
    });
    let child = made(&post(&client, &path, &body).await);
    let row = &child["session"];
    assert_eq!(
        (&row["agent_id"], &row["scopes"]),
        (&json!(to), &json!(["a:read"]))
    );
    assert_eq!(row["parent_session_id"], parent["session_id"]);
    assert_eq!(row["user_agent"], Value::Null);
    assert_eq!(row["metadata"], json!({"shift": "2"}));
    assert_eq!(row["expires_at"], parent["expires_at"]);
    assert!(is_good(&client, &child["token"]).await);
    assert!(!is_good(&client, &parent["token"]).await);
    let ended = get(&client, &path_of(&parent)).await;
    assert_eq!(
        (&ended["status"], &ended["handed_off_to"]),
        (&json!("handed_off"), &json!(to))
    );
    assert_eq!(ended["terminated_at"], Value::Null);
    for (call, body) in [
        ("/handoff", json!({"target_agent_id": to})),
        ("/terminate", json!({})),
        (
            "/refresh",
            json!({"refresh_token": parent["refresh_token"]}),
        ),
    ] {
        let answer = post(&client, &format!("{}{call}", path_of(&parent)), &body).await;
        check_failure(&answer, 409, "CONFLICT", "it is handed_off");
    }
    // A hand-off can only narrow scopes, and needs a known agent. Other spellings work as well.
    let path = format!("/v1/sessions/{}/handoff", child["id"].as_str().unwrap());
    let wider = json!({"toAgentId": from, "scope": {"actions": ["*"], "resources": ["a"]}});
    check_failure(
        &post(&client, &path, &wider).await,
        403,
        "FORBIDDEN",
        "scopes go beyond",
    );
    let answer = post(&client, &path, &json!({"to_agent_id": "none"})).await;
    check_failure(&answer, 404, "NOT_FOUND", "the agent is not known");
    let answer = post(&client, &path, &json!({})).await;
    check_failure(&answer, 400, "INVALID_INPUT", "target_agent_id is required");
    let body = json!({"targetAgentId": from, "ttlSeconds": 60});
    let grandchild = made(&post(&client, &path, &body).await);
    assert_eq!(grandchild["expires_at"], "2026-01-31T12:11:00.000000Z");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_terminated_in_each_way_and_again() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    let reason = r#"{"reason": "Task completed. Cleaning up session resources."}"#;
    for (hour, (method, path, call, body)) in [
        (Method::DELETE, "/v1/agent-sessions", "", reason),
        (Method::DELETE, "/v1/agent-sessions", "", ""),
        (Method::POST, "/v1/agent-sessions", "/terminate", "{}"),
        (Method::POST, "/v1/sessions", "/terminate", reason),
        (Method::POST, "/v1/sessions", "/terminate", ""),
        (Method::DELETE, "/v1/sessions", "", "{}"),
    ]
    .into_iter()
    .enumerate()
    {
        let time = |minute: u32| format!("2026-02-01T{hour:02}:{minute:02}:00.000000Z");
        app.set_time(&time(0));
        let opened = session(&client, &id).await;
        let sid = opened["session_id"].as_str().unwrap();
        let path = format!("{path}/{sid}{call}");
        let mut answers = Vec::new();
        for minute in [1, 2] {
            app.set_time(&time(minute));
            answers.push(send(&client, method.clone(), &path, body).await.ok());
        }
        let ended = &answers[0];
        assert_eq!(
            (&ended["status"], &ended["session_id"]),
            (&json!("terminated"), &json!(sid))
        );
        assert_eq!(ended["terminated_at"], time(1));
        assert!(ended.get("token").is_none() && ended.get("session").is_none());
        assert_eq!(answers[0], answers[1]);
        assert_eq!(get(&client, &path_of(&opened)).await, *ended);
        assert!(!is_good(&client, &opened["token"]).await);
    }
    let events = client.get("/v1/events?type=session.terminated").await.text;
    assert_eq!(events.matches("Cleaning up").count(), 4);
    app.stop().await;
}

/// The documents describe this recipe: list the active sessions of an agent, and end each one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sessions_of_an_agent_are_ended_by_a_list_and_a_delete_for_each() {
    let app = App::start().await;
    let client = app.client("acme");
    let owner = "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH";
    for number in 0..3 {
        let id = format!("maip-sess:a1b2c3d4:{number:016x}");
        client.apply(&created(&id, owner, NOW)).await;
    }
    client.apply(&created("other", "a2", NOW)).await;
    let list = format!("/v1/agent-sessions?agent_id={owner}&status=active");
    let page = get(&client, &list).await;
    assert_eq!(page["total"], 3);
    for row in page["sessions"].as_array().unwrap() {
        let answer = send(&client, Method::DELETE, &path_of(row), "").await;
        assert_eq!(answer.ok()["status"], "terminated");
    }
    assert_eq!(get(&client, &list).await["total"], 0);
    assert_eq!(
        get(&client, "/v1/agent-sessions/other").await["status"],
        "active"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_cannot_be_terminated() {
    let mut app = App::start().await;
    let client = app.client("acme");
    let data = json!({"agent_id": "a1", "ttl_seconds": 60});
    let opened = client
        .apply(&event("c", "session.created", "s1", &data))
        .await;
    app.set_time("2026-01-31T12:01:00Z");
    app.start_expiry();
    let fact = session_ledger::domain::Position::new(opened + 1);
    app.projection
        .wait_for(fact, std::time::Duration::from_mins(1))
        .await;
    let answer = send(&client, Method::DELETE, "/v1/agent-sessions/s1", "").await;
    check_failure(&answer, 409, "CONFLICT", "it is expired");
    app.stop().await;
}
