//! Sessions: every spelling of a request, every field of an answer.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::domain::limits::TEXT_CHARS_MAX;

use super::{agent, check_failure, get, in_both_spellings, made, path_of, post, send, session};
use crate::support::app::{App, NOW};
use crate::support::client::{created, event};

/// Returns an answer without its tokens.
fn without_tokens(mut answer: Value) -> Value {
    let members = answer.as_object_mut().unwrap();
    for name in ["token", "refresh_token", "refreshToken", "session"] {
        assert!(members.remove(name).is_some(), "{name}");
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_every_field_in_both_spellings_and_tokens_only_when_created() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["documents/*:read", "documents/*:write"]).await;
    let body = format!(
        r#"{{"agent_id": "{id}", "scopes": ["documents/7:read"], "ttl_minutes": 30,
            "metadata": {{"task": "t-1", "weight": 1.50}}}}"#
    );
    let agent_headers = [
        ("content-type", "application/json"),
        ("user-agent", "curl/8.5.0"),
    ];
    let path = "/compat/truthlocks/v1/agent-sessions";
    let answer = client.send(Method::POST, path, &agent_headers, body.into());
    let answer = made(&answer.await);
    let sid = answer["session_id"].as_str().unwrap();
    let row = in_both_spellings(&json!({
        "id": sid, "session_id": sid, "agent_id": id, "status": "active",
        "scopes": ["documents/7:read"],
        "scope": {"actions": ["read"], "resources": ["documents/7"], "constraints": {}},
        "metadata": {"task": "t-1", "weight": 1.5}, "expires_at": "2026-01-31T12:30:00.000000Z",
        "parent_session_id": null, "handed_off_to": null, "ip_address": null,
        "user_agent": "curl/8.5.0", "refreshed_at": null, "terminated_at": null,
        "created_at": NOW, "updated_at": NOW,
    }));
    assert_eq!(answer["session"], row);
    assert!(answer["token"].as_str().unwrap().starts_with("slat_"));
    assert_eq!(answer["refreshToken"], answer["refresh_token"]);
    assert_eq!(without_tokens(answer.clone()), row);
    assert_eq!(get(&client, &path_of(&answer)).await, row);
    let page = json!({"sessions": [row], "items": [row], "total": 1, "limit": 50, "offset": 0});
    assert_eq!(get(&client, "/v1/agent-sessions").await, page);
    // The numbers that the caller stored keep all their digits.
    let text = client.get("/v1/events?type=session.created").await.text;
    assert!(text.contains("1.50"), "{text}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_created_with_the_field_names_of_documents_playground_and_sdks() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["documents/*:read", "documents/*:write"]).await;
    let all = json!(["documents/*:read", "documents/*:write"]);
    for (body, scopes, expires_at) in [
        (json!({"agent_id": id}), &all, "13:00:00"),
        (
            json!({"agentId": id, "ttlSeconds": null, "scope": null}),
            &all,
            "13:00:00",
        ),
        (
            json!({"agent_id": id, "scopes": ["documents/1:write"], "ttl_minutes": 5}),
            &json!(["documents/1:write"]),
            "12:05:00",
        ),
        (
            json!({"agent_id": id, "scopes": [], "ttl_seconds": 1800}),
            &json!([]),
            "12:30:00",
        ),
        (
            json!({
                "agentId": id, "ttlSeconds": 7200,
                "scope": {"actions": ["read"], "resources": ["documents/1"], "constraints": {}},
            }),
            &json!(["documents/1:read"]),
            "14:00:00",
        ),
        (
            json!({"agent_id": id, "ttl_minutes": 1440, "unknown": 1}),
            &all,
            "12:00:00",
        ),
    ] {
        for path in ["/v1/agent-sessions", "/v1/sessions"] {
            let answer = made(&post(&client, path, &body).await);
            assert_eq!(&answer["scopes"], scopes, "{body}");
            let found = answer["expires_at"].as_str().unwrap();
            assert!(found.contains(expires_at), "{body}: {found}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_retried_with_its_idempotency_key_makes_one_session() {
    let app = App::start().await;
    let client = app.client("acme");
    let body = json!({"agent_id": agent(&client, &["a:b"]).await}).to_string();
    let path = "/compat/truthlocks/v1/agent-sessions";
    let mut answers = Vec::new();
    // The program may have been updated between the two tries.
    for (status, program) in [(201, "sdk/1"), (200, "sdk/2")] {
        let key = [("idempotency-key", "k-1"), ("user-agent", program)];
        let answer = client.send(Method::POST, path, &key, body.clone().into());
        let answer = answer.await;
        assert_eq!(answer.status, status, "{}", answer.text);
        answers.push(answer.json());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["user_agent"], Value::Null);
    assert_eq!(get(&client, "/v1/sessions").await["total"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_created_with_any_user_agent() {
    let app = App::start().await;
    let client = app.client("acme");
    let body = json!({"agent_id": agent(&client, &["a:b"]).await}).to_string();
    let path = "/compat/truthlocks/v1/sessions";
    let long = "x".repeat(TEXT_CHARS_MAX + 1);
    for (program, kept) in [
        ("sdk/1\t(linux)", json!("sdk/1(linux)")),
        ("", json!("")),
        (&*long, json!(long[1..])),
        ("\u{e9}", Value::Null),
    ] {
        let headers = [("user-agent", program)];
        let answer = client.send(Method::POST, path, &headers, body.clone().into());
        assert_eq!(made(&answer.await)["user_agent"], kept, "{program}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_shows_every_change_of_its_session() {
    let app = App::start().await;
    let client = app.client("acme");
    let data = json!({"agent_id": "a1", "ttl_seconds": 600, "scopes": ["a:b", "!a:c"]});
    client
        .apply(&event("c1", "session.created", "s1", &data))
        .await;
    let row = get(&client, "/v1/sessions/s1").await;
    assert_eq!(
        (&row["status"], &row["refreshed_at"]),
        (&json!("active"), &Value::Null)
    );
    // Actions and resources cannot express a denied scope.
    assert_eq!(row["scopes"], json!(["a:b", "!a:c"]));
    assert_eq!(row["scope"]["actions"], json!(["b"]));

    app.set_time("2026-01-31T12:01:00Z");
    let data = json!({"ttl_seconds": 600, "metadata": {"a": "b"}});
    client
        .apply(&event("r1", "session.refreshed", "s1", &data))
        .await;
    let row = get(&client, "/v1/sessions/s1").await;
    assert_eq!(row["refreshed_at"], "2026-01-31T12:01:00.000000Z");
    assert_eq!(row["expires_at"], "2026-01-31T12:11:00.000000Z");
    assert_eq!(row["updated_at"], row["refreshed_at"]);

    let data = json!({"to_agent_id": "a2", "session_id": "s2"});
    client
        .apply(&event("h1", "session.handed_off", "s1", &data))
        .await;
    let parent = get(&client, "/v1/sessions/s1").await;
    assert_eq!(
        (&parent["status"], &parent["handed_off_to"]),
        (&json!("handed_off"), &json!("a2"))
    );
    assert_eq!(parent["terminated_at"], Value::Null);
    let child = get(&client, "/v1/sessions/s2").await;
    assert_eq!(
        (&child["status"], &child["parent_session_id"]),
        (&json!("active"), &json!("s1"))
    );

    client.apply(&created("s3", "a1", NOW)).await;
    assert_eq!(
        get(&client, "/v1/sessions/s3").await["expires_at"],
        Value::Null
    );
    client
        .apply(&event("t1", "session.terminated", "s3", &json!({})))
        .await;
    let ended = get(&client, "/v1/sessions/s3").await;
    assert_eq!(ended["status"], "terminated");
    assert_eq!(ended["terminated_at"], "2026-01-31T12:01:00.000000Z");

    app.set_time("2026-01-31T12:11:00Z");
    let expired = get(&client, "/v1/sessions/s2").await;
    assert_eq!(
        (&expired["status"], &expired["terminated_at"]),
        (&json!("expired"), &Value::Null)
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_with_colons_is_found_raw_and_encoded() {
    let app = App::start().await;
    let client = app.client("acme");
    let session = "maip-sess:a1b2c3d4:9f8e7d6c5b4a3210";
    client
        .apply(&created(
            session,
            "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH",
            NOW,
        ))
        .await;
    for (path, name, id) in [
        ("/v1/agent-sessions", "session_id", session),
        ("/v1/sessions", "id", session),
        (
            "/v1/agents",
            "id",
            "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH",
        ),
    ] {
        for id_in_path in [
            id.to_owned(),
            id.replace(':', "%3A"),
            id.replace(':', "%3a"),
        ] {
            let found = get(&client, &format!("{path}/{id_in_path}")).await;
            assert_eq!(found[name], id);
        }
    }
    let encoded = session.replace(':', "%3A");
    let path = format!("/v1/sessions/{encoded}/terminate");
    assert_eq!(
        send(&client, Method::POST, &path, "{}").await.ok()["status"],
        "terminated"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_another_tenant_looks_missing() {
    let app = App::start().await;
    let (acme, globex) = (app.client("acme"), app.client("globex"));
    let ours = agent(&acme, &["a:b"]).await;
    let path = path_of(&session(&acme, &ours).await);
    for (method, call, body) in [
        (Method::GET, "", ""),
        (Method::DELETE, "", ""),
        (Method::POST, "/terminate", "{}"),
        (Method::POST, "/refresh", r#"{"refresh_token": "x"}"#),
        (Method::POST, "/handoff", r#"{"target_agent_id": "a"}"#),
    ] {
        let theirs = send(&globex, method.clone(), &format!("{path}{call}"), body).await;
        let none = send(
            &globex,
            method,
            &format!("/v1/agent-sessions/none{call}"),
            body,
        )
        .await;
        let words = ["code", "message", "details"];
        let theirs = check_failure(&theirs, 404, "NOT_FOUND", "there is no such session");
        assert_eq!(
            words.map(|word| theirs[word].clone()),
            words.map(|word| none.json()[word].clone())
        );
    }
    assert_eq!(get(&globex, "/v1/sessions").await["total"], 0);
    // A session cannot be handed off to another tenant's agent.
    let theirs = session(&globex, &agent(&globex, &["a:b"]).await).await;
    let handoff = format!("{}/handoff", path_of(&theirs));
    let answer = post(&globex, &handoff, &json!({"target_agent_id": ours})).await;
    check_failure(&answer, 404, "NOT_FOUND", "the agent is not known");
    app.stop().await;
}
