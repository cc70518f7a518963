//! Agents: register, list, change, and trust.

use reqwest::Method;
use serde_json::{Value, json};

use super::{agent, check_failure, get, in_both_spellings, made, post, send};
use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

async fn patch(client: &Client, id: &str, body: &Value) -> Value {
    let path = format!("/v1/agents/{id}");
    send(client, Method::PATCH, &path, &body.to_string())
        .await
        .ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_has_every_field_in_both_spellings() {
    let app = App::start().await;
    let client = app.client("acme");
    let body = json!({
        "agent_type": "orchestrator", "display_name": "Ann", "description": "reads\nmail",
        "scopes": ["mail:read", "!mail:send"], "metadata": {"team": "search"},
        "public_key": "AAAA", "key_id": "k-1", "parent_agent_id": "root",
        "expires_at": "2027-01-31T12:00:00Z",
    });
    let row = made(&post(&client, "/v1/agents", &body).await);
    let id = row["agent_id"].as_str().unwrap();
    let key = in_both_spellings(&json!({
        "kid": "k-1", "algorithm": null, "public_key": "AAAA", "status": "active",
    }));
    let expected = in_both_spellings(&json!({
        "id": id, "agent_id": id, "tenant_id": "acme", "agent_type": "orchestrator",
        "display_name": "Ann", "name": "Ann", "description": "reads\nmail", "status": "active",
        "trust_level": "authenticated", "trust_score": 0.5,
        "scopes": ["mail:read", "!mail:send"], "capabilities": ["mail:read", "!mail:send"],
        "scope": {"actions": ["read"], "resources": ["mail"], "constraints": {}},
        "metadata": {"team": "search"}, "public_key": "AAAA", "key_id": "k-1", "keys": [key],
        "session_count": 0, "parent_agent_id": "root", "delegation_depth": null,
        "created_by_user_id": null, "compromised_at": null,
        "expires_at": "2027-01-31T12:00:00.000000Z", "suspended_at": null, "revoked_at": null,
        "created_at": NOW, "updated_at": NOW,
    }));
    assert_eq!(row, expected);
    assert_eq!(get(&client, &format!("/v1/agents/{id}")).await, expected);
    let rows = json!([row]);
    let page = json!({
        "agents": rows, "items": rows, "data": rows, "total": 1, "limit": 50, "offset": 0,
    });
    assert_eq!(get(&client, "/v1/agents").await, page);
    app.stop().await;
}

/// Editors read these members as texts, numbers and lists, and do not expect null.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_data_has_a_default_for_every_member_that_clients_read() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    client
        .apply(&event("r", "agent.registered", "a2", &json!({})))
        .await;
    for id in ["a1", "a2"] {
        let row = get(&client, &format!("/v1/agents/{id}")).await;
        for (name, expected) in [
            ("name", json!(id)),
            ("display_name", json!(id)),
            ("agent_type", json!("unknown")),
            ("trust_level", json!("unknown")),
            ("trust_score", json!(0.5)),
            ("scopes", json!(["*"])),
            ("capabilities", json!(["*"])),
            ("metadata", json!({})),
            ("keys", json!([])),
            ("delegation_depth", json!(0)),
        ] {
            assert_eq!(row[name], expected, "{name}");
        }
        let trust = get(&client, &format!("/v1/agents/{id}/trust-score")).await;
        assert_eq!(
            (&trust["score"], &trust["level"]),
            (&json!(0.5), &json!("unknown"))
        );
    }
    // Not all of these defaults match a filter.
    for (query, total) in [("agent_type=unknown", 1), ("trust_level=unknown", 0)] {
        let page = get(&client, &format!("/v1/agents?{query}")).await;
        assert_eq!(page["total"], total, "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_listed_by_type_status_and_trust() {
    let app = App::start().await;
    let client = app.client("acme");
    for (number, agent_type, level) in [(0, "bot", "low"), (1, "bot", "high"), (2, "llm", "low")] {
        let data = json!({"agent_type": agent_type, "trust_level": level});
        let id = format!("a{number}");
        let mut registered = event("r", "agent.registered", &id, &data);
        registered["time"] = json!(format!("2026-01-31T11:00:0{number}Z"));
        client.apply(&registered).await;
    }
    post(&client, "/v1/agents/a1/suspend", &json!({}))
        .await
        .ok();
    for (query, expected) in [
        ("", vec!["a2", "a1", "a0"]),
        ("?limit=1&offset=1", vec!["a1"]),
        ("?agent_type=bot", vec!["a1", "a0"]),
        ("?type=bot", vec!["a1", "a0"]),
        ("?status=active", vec!["a2", "a0"]),
        (
            "?status=suspended&agent_type=bot&trust_level=high",
            vec!["a1"],
        ),
        ("?status=revoked", vec![]),
        ("?trust_level=low&limit=200", vec!["a2", "a0"]),
        ("?agentType=bot&trustLevel=low", vec!["a0"]),
        ("?agent_type=editor", vec![]),
        ("?trust_score_min=0.9", vec!["a2", "a1", "a0"]),
    ] {
        let page = get(&client, &format!("/v1/agents{query}")).await;
        assert_eq!(page["agents"], page["items"]);
        let rows = page["agents"].as_array().unwrap();
        let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    for (query, said) in [
        ("limit=0", "limit must be a whole number from 1 to 200"),
        (
            "status=dead",
            "status must be one of: active, suspended, revoked",
        ),
        ("type=a&type=b", "type must be given once"),
    ] {
        let answer = client
            .get(&format!("/compat/truthlocks/v1/agents?{query}"))
            .await;
        check_failure(&answer, 400, "INVALID_INPUT", said);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_only_the_named_fields() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:*"]).await;
    app.set_time("2026-01-31T12:01:00Z");
    let row = patch(
        &client,
        &id,
        &json!({"display_name": "Anna", "metadata": {"a": "b"}}),
    )
    .await;
    assert_eq!(
        (&row["name"], &row["metadata"]),
        (&json!("Anna"), &json!({"a": "b"}))
    );
    assert_eq!(
        (&row["scopes"], &row["created_at"]),
        (&json!(["a:*"]), &json!(NOW))
    );
    assert_eq!(row["updated_at"], "2026-01-31T12:01:00.000000Z");
    // Metadata is replaced as a whole. Scopes may change, as one of the documents says.
    let body = json!({"name": "Bea", "description": "d", "metadata": {}, "scopes": ["a:b"]});
    let row = patch(&client, &id, &body).await;
    assert_eq!(
        (&row["name"], &row["description"]),
        (&json!("Bea"), &json!("d"))
    );
    assert_eq!(
        (&row["metadata"], &row["scopes"]),
        (&json!({}), &json!(["a:b"]))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_suspends_and_reinstates_and_rejects_other_changes() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    // Suspend, suspend again, and reinstate together with another field.
    for (body, status) in [
        (json!({"status": "suspended"}), "suspended"),
        (json!({"status": "suspended"}), "suspended"),
        (json!({"status": "active", "description": "back"}), "active"),
        (json!({"status": "active"}), "active"),
    ] {
        assert_eq!(patch(&client, &id, &body).await["status"], status);
    }
    assert_eq!(
        get(&client, &format!("/v1/agents/{id}")).await["description"],
        "back"
    );
    let path = format!("/v1/agents/{id}");
    for (body, said) in [
        ("{}", "must name at least one of"),
        ("", "must name at least one of"),
        (r#"{"description": null}"#, "must name at least one of"),
        (r#"{"agent_type": "bot"}"#, "agent_type cannot be changed"),
        (
            r#"{"name": "b", "trustScore": 1}"#,
            "trustScore cannot be changed",
        ),
        (
            r#"{"name": "x", "expiresAt": "2027-01-31T12:00:00Z"}"#,
            "expiresAt cannot be changed",
        ),
        (r#"{"display_name": ""}"#, "display_name must not be empty"),
        (
            r#"{"name": "", "status": "suspended"}"#,
            "display_name must not be empty",
        ),
        (
            r#"{"status": "revoked"}"#,
            "status must be one of: active, suspended",
        ),
        (r#"{"metadata": []}"#, "metadata must be a JSON object"),
        (r#"{"display_name": 5}"#, "display_name must be a string"),
    ] {
        let answer = send(&client, Method::PATCH, &path, body).await;
        check_failure(&answer, 400, "INVALID_INPUT", said);
    }
    let none = send(
        &client,
        Method::PATCH,
        "/v1/agents/none",
        r#"{"name": "x"}"#,
    )
    .await;
    check_failure(&none, 404, "NOT_FOUND", "there is no such agent");
    post(&client, &format!("{path}/revoke"), &json!({}))
        .await
        .ok();
    let answer = send(&client, Method::PATCH, &path, r#"{"status": "active"}"#).await;
    check_failure(&answer, 409, "CONFLICT", "revoked for good");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_another_tenant_looks_missing() {
    let app = App::start().await;
    let (acme, globex) = (app.client("acme"), app.client("globex"));
    let path = format!("/v1/agents/{}", agent(&acme, &["a:b"]).await);
    let before = get(&acme, &path).await;
    for (method, call, body) in [
        (Method::GET, "", ""),
        (Method::PATCH, "", r#"{"name": "x", "status": "suspended"}"#),
        (Method::POST, "/suspend", "{}"),
        (Method::POST, "/revoke", "{}"),
        (Method::POST, "/kill", "{}"),
        (Method::GET, "/trust-score", ""),
        (Method::POST, "/trust-score/compute", "{}"),
    ] {
        let answer = send(&globex, method, &format!("{path}{call}"), body).await;
        check_failure(&answer, 404, "NOT_FOUND", "there is no such agent");
    }
    assert_eq!(get(&acme, &path).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_past_its_deadline_opens_no_session_and_the_error_says_what_helps() {
    let app = App::start().await;
    let client = app.client("acme");
    let body = json!({"name": "ci", "expires_at": "2026-01-31T12:01:00Z"});
    let id = made(&post(&client, "/v1/agents", &body).await)["id"].clone();
    app.set_time("2026-01-31T12:01:00Z");
    let answer = post(&client, "/v1/sessions", &json!({"agent_id": id})).await;
    check_failure(&answer, 409, "CONFLICT", "register another agent");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_agent_keeps_its_sessions_and_opens_none_until_it_is_reinstated() {
    let mut app = App::start().await;
    app.start_revocation();
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    let opened = super::session(&client, &id).await;
    let path = format!("/v1/agents/{id}");
    let body = json!({"reason": "Anomalous behaviour"});
    let row = post(&client, &format!("{path}/suspend"), &body).await.ok();
    assert_eq!(
        (&row["status"], &row["agent_id"]),
        (&json!("suspended"), &json!(id))
    );
    assert_eq!(row["session_count"], 1);
    assert_eq!(
        get(&client, &super::path_of(&opened)).await["status"],
        "active"
    );
    let create = json!({"agent_id": id});
    let answer = post(&client, "/v1/agent-sessions", &create).await;
    check_failure(&answer, 409, "CONFLICT", "the agent is suspended");
    patch(&client, &id, &json!({"status": "active"})).await;
    made(&post(&client, "/v1/agent-sessions", &create).await);
    // A repeated suspension or revocation succeeds.
    for (call, status) in [("suspend", "suspended"), ("revoke", "revoked")] {
        let path = format!("{path}/{call}");
        for body in ["", "{}", r#"{"reason": null}"#] {
            let row = send(&client, Method::POST, &path, body).await.ok();
            assert_eq!(row["status"], status);
        }
    }
    let answer = post(&client, &format!("{path}/suspend"), &json!({})).await;
    check_failure(&answer, 409, "CONFLICT", "revoked for good");
    let answer = post(&client, "/v1/agent-sessions", &create).await;
    check_failure(&answer, 409, "CONFLICT", "the agent is revoked");
    let events = client.get("/v1/events?type=agent.suspended").await.text;
    assert!(events.contains("Anomalous behaviour"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_trust_path_returns_the_registered_trust() {
    let app = App::start().await;
    let client = app.client("acme");
    let data = json!({"trust_level": "verified_org", "trust_score": 0.875});
    client
        .apply(&event("r", "agent.registered", "a1", &data))
        .await;
    let expected = in_both_spellings(&json!({
        "agent_id": "a1", "score": 0.875, "trust_score": 0.875, "level": "verified_org",
        "trust_level": "verified_org", "factors": [], "computed_at": NOW, "updated_at": NOW,
    }));
    for (method, path) in [
        (Method::GET, "/v1/agents/a1/trust-score"),
        (Method::GET, "/v1/machine-identity/agents/a1/trust"),
        (Method::GET, "/v1/machine-identity/trust/a1/score"),
        (Method::POST, "/v1/agents/a1/trust-score/compute"),
    ] {
        let answer = send(&client, method, path, r#"{"agentId": "a1"}"#).await;
        assert_eq!(answer.ok(), expected, "{path}");
    }
    let none = client
        .get("/compat/truthlocks/v1/agents/a2/trust-score")
        .await;
    check_failure(&none, 404, "NOT_FOUND", "there is no such agent");
    app.stop().await;
}
