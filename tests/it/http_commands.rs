//! Commands over HTTP: answers, effects and retries.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, event};

const SESSIONS: &str = "/v1/agent-sessions";

/// A client that sends commands.
struct Commander(Client);

impl Commander {
    async fn new(app: &App) -> Self {
        let commander = Self(app.client("acme"));
        let agent = json!({"agent_id": "a1", "scopes": ["files:*", "net:read"]});
        assert_eq!(commander.post("/v1/agents", &agent).await.status, 201);
        commander
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.give(Method::POST, path, &[], body).await
    }

    async fn give(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        let body = body.to_string().into_bytes();
        self.0.send(method, path, &headers, body).await
    }

    async fn create(&self, body: &Value) -> Value {
        let answer = self.post(SESSIONS, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    async fn end(&self, session: &str, body: &Value) -> Answer {
        let path = format!("{SESSIONS}/{session}");
        self.give(Method::DELETE, &path, &[], body).await
    }

    async fn refresh(&self, session: &str, token: &Value) -> Answer {
        let path = format!("{SESSIONS}/{session}/refresh");
        self.post(&path, &json!({"refresh_token": token})).await
    }

    async fn introspect(&self, token: &Value) -> Value {
        let path = format!("{SESSIONS}/introspect");
        self.post(&path, &json!({"token": token})).await.ok()
    }

    async fn is_active(&self, token: &Value) -> bool {
        self.introspect(token).await["active"] == true
    }
}

fn id(answer: &Value) -> String {
    answer["session"]["session_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_is_created_with_the_requested_fields() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme
        .create(&json!({
            "session_id": "s1", "agent_id": "a1", "scopes": ["files:read"], "ttl_seconds": 3600,
            "metadata": {"k": 1}, "project_id": "p1", "user_id": "u1", "phase": "ready",
        }))
        .await;
    let session = &created["session"];
    assert_eq!(session["session_id"], "s1");
    assert_eq!(session["status"], "active");
    assert_eq!(session["scopes"], json!(["files:read"]));
    assert_eq!(session["metadata"], json!({"k": 1}));
    assert_eq!(session["created_at"], NOW);
    assert_eq!(session["expires_at"], "2026-01-31T13:00:00.000000Z");
    for kind in ["token", "refresh_token"] {
        assert!(created[kind].as_str().unwrap().len() > 43);
    }
    let read = app.client("acme").get("/v1/agent-sessions/s1").await.ok();
    assert_eq!(&read, session);
    app.stop().await;
}

#[tokio::test]
async fn a_session_without_scopes_gets_those_of_its_agent() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    assert_eq!(created["session"]["scopes"], json!(["files:*", "net:read"]));
    assert_eq!(created["session"]["expires_at"], Value::Null);
    let wide = json!({"agent_id": "a1", "scopes": ["mail:send"]});
    let problem = acme.post(SESSIONS, &wide).await;
    let problem = problem.problem(403, "scope_exceeded");
    assert_eq!(
        problem["errors"][0]["message"],
        r#""mail:send" exceeds the scopes of agent a1: ["files:*","net:read"]"#
    );
    let unknown = json!({"agent_id": "nobody"});
    acme.post(SESSIONS, &unknown)
        .await
        .problem(422, "agent_not_registered");
    app.stop().await;
}

#[tokio::test]
async fn a_retried_create_makes_one_session_and_returns_the_same_tokens() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let body = json!({"agent_id": "a1", "ttl_seconds": 60});
    let give = |key| {
        let (acme, body) = (&acme, &body);
        async move {
            acme.give(Method::POST, SESSIONS, &[("idempotency-key", key)], body)
                .await
        }
    };
    let first = give("k1").await;
    app.set_time("2026-01-31T12:00:30Z");
    let again = give("k1").await;
    assert_eq!((first.status, again.status), (201, 200));
    let (first, again) = (first.json(), again.json());
    assert_eq!(
        (&first["verdict"], &again["verdict"]),
        (&json!("applied"), &json!("duplicate"))
    );
    for same in ["session", "token", "refresh_token"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert_ne!(id(&first), id(&give("k2").await.json()));
    let other = json!({"agent_id": "a1", "ttl_seconds": 61});
    let reused = acme
        .give(Method::POST, SESSIONS, &[("idempotency-key", "k1")], &other)
        .await;
    reused.problem(409, "id_reused");
    let listed = app.client("acme").get("/v1/agent-sessions").await.ok();
    assert_eq!(listed["total"], 2);
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_extends_by_the_original_ttl_and_replaces_both_tokens() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme
        .create(&json!({"agent_id": "a1", "ttl_seconds": 600}))
        .await;
    let session = id(&created);
    app.set_time("2026-01-31T12:05:00Z");
    let refreshed = acme.refresh(&session, &created["refresh_token"]).await.ok();
    let row = &refreshed["session"];
    assert_eq!(row["expires_at"], "2026-01-31T12:15:00.000000Z");
    assert_eq!(row["refreshed_at"], "2026-01-31T12:05:00.000000Z");
    assert_eq!(row["updated_at"], "2026-01-31T12:05:00.000000Z");
    assert_eq!(row["last_activity_at"], "2026-01-31T12:05:00.000000Z");
    assert_ne!(refreshed["token"], created["token"]);
    assert!(acme.is_active(&refreshed["token"]).await);
    assert!(!acme.is_active(&created["token"]).await);
    let stale = acme.refresh(&session, &created["refresh_token"]).await;
    stale.problem(409, "token_stale");
    let wrong = acme.refresh(&session, &json!("anything")).await;
    wrong.problem(409, "token_stale");
    app.stop().await;
}

#[tokio::test]
async fn a_retried_refresh_returns_the_same_tokens() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    let path = format!("{SESSIONS}/{}/refresh", id(&created));
    let body = json!({"refresh_token": created["refresh_token"]});
    let key = [("idempotency-key", "k")];
    let first = acme.give(Method::POST, &path, &key, &body).await.ok();
    let again = acme.give(Method::POST, &path, &key, &body).await.ok();
    assert_eq!(first["token"], again["token"]);
    assert!(acme.is_active(&again["token"]).await);
    app.stop().await;
}

#[tokio::test]
async fn a_handoff_ends_the_parent_and_opens_a_narrower_child() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    acme.post("/v1/agents", &json!({"agent_id": "a2"})).await;
    let parent = acme
        .create(&json!({"agent_id": "a1", "scopes": ["files:*"], "ttl_seconds": 600}))
        .await;
    let path = format!("{SESSIONS}/{}/handoff", id(&parent));
    let wide = json!({"to_agent_id": "a2", "scopes": ["mail:send"]});
    let problem = acme.post(&path, &wide).await;
    let problem = problem.problem(403, "scope_exceeded");
    let said = problem["errors"][0]["message"].as_str().unwrap();
    let bound = format!(
        "exceeds the scopes of session {}: [\"files:*\"]",
        id(&parent)
    );
    assert!(said.contains(&bound), "{said}");
    app.set_time("2026-01-31T12:01:00Z");
    let body = json!({"to_agent_id": "a2", "scopes": ["files:read"], "ttl_seconds": 86400});
    let answer = acme.post(&path, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let child = answer.json();
    let row = &child["session"];
    assert_eq!(row["agent_id"], "a2");
    assert_eq!(row["parent_session_id"], id(&parent));
    assert_eq!(row["scopes"], json!(["files:read"]));
    assert_eq!(row["expires_at"], parent["session"]["expires_at"]);
    let path = format!("{SESSIONS}/{}", id(&parent));
    let ended = app.client("acme").get(&path).await.ok();
    assert_eq!(ended["status"], "handed_off");
    assert_eq!(ended["handed_off_to"], "a2");
    assert_eq!(ended["handed_off_session_id"], id(&child));
    assert_eq!(ended["updated_at"], "2026-01-31T12:01:00.000000Z");
    assert_eq!(ended["terminated_at"], Value::Null);
    assert!(!acme.is_active(&parent["token"]).await);
    assert!(acme.is_active(&child["token"]).await);
    let again = acme.post(&format!("{path}/handoff"), &body).await;
    let problem = again.problem(409, "not_active");
    assert_eq!(problem["current_status"], "handed_off");
    assert_eq!(problem["present_status"], "handed_off", "its old name");
    app.stop().await;
}

#[tokio::test]
async fn ending_a_session_twice_returns_it_as_it_first_ended() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    let body = json!({"reason": "done", "outcome": "completed"});
    let ended = acme.end(&id(&created), &body).await.ok();
    assert_eq!(ended["session"]["status"], "terminated");
    assert_eq!(ended["session"]["outcome"], "completed");
    assert_eq!(ended["session"]["terminated_at"], NOW);
    assert!(!acme.is_active(&created["token"]).await);
    app.set_time("2026-01-31T12:30:00Z");
    let nothing = acme.end(&id(&created), &Value::Null).await.ok();
    let again = acme.end(&id(&created), &json!({})).await.ok();
    assert_eq!(nothing["session"], ended["session"], "null is like no body");
    assert_eq!(again["session"], ended["session"]);
    assert_eq!(
        (&ended["verdict"], &again["verdict"]),
        (&json!("applied"), &json!("rejected"))
    );
    let refused = acme.refresh(&id(&created), &created["refresh_token"]).await;
    let problem = refused.problem(409, "not_active");
    assert_eq!(problem["current_status"], "terminated");
    assert_eq!(problem["verdict"], "rejected");
    app.stop().await;
}

#[tokio::test]
async fn past_its_deadline_a_session_rejects_commands_and_its_token_is_inactive() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let body = json!({"agent_id": "a1", "ttl_seconds": 60});
    let created = acme.create(&body).await;
    app.set_time("2026-01-31T12:00:59.999999Z");
    let told = acme.introspect(&created["token"]).await;
    assert_eq!(told["active"], true);
    assert_eq!(told["scope"], "files:* net:read");
    assert_eq!(told["client_id"], "a1");
    assert_eq!(told["sub"], id(&created));
    assert_eq!(told["exp"], 1_769_860_860);
    assert_eq!(told["iat"], 1_769_860_800);
    app.set_time("2026-01-31T12:01:00Z");
    assert_eq!(
        acme.introspect(&created["token"]).await,
        json!({"active": false})
    );
    let late = acme.refresh(&id(&created), &created["refresh_token"]).await;
    let problem = late.problem(409, "session_expired");
    assert_eq!(problem["current_status"], "expired");
    app.stop().await;
}

#[tokio::test]
async fn a_command_for_a_missing_session_creates_none() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    acme.end("nope", &json!({})).await.problem(404, "not_found");
    acme.refresh("nope", &json!("t"))
        .await
        .problem(404, "not_found");
    let path = format!("{SESSIONS}/nope/handoff");
    let answer = acme.post(&path, &json!({"to_agent_id": "a1"})).await;
    answer.problem(404, "not_found");
    let status = app.client("acme").get("/v1/status").await.ok();
    assert_eq!(status["sessions"]["total"], 0);
    assert_eq!(status["rejections"]["by"], json!({"not_found": 3}));
    app.stop().await;
}

#[tokio::test]
async fn suspending_an_agent_pauses_its_tokens_and_revoking_it_ends_them() {
    let mut app = App::start().await;
    app.start_revocation();
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    let reason = json!({"reason": "looking into it"});
    let suspended = acme.post("/v1/agents/a1/suspend", &reason).await.ok();
    assert_eq!(suspended["agent"]["status"], "suspended");
    assert_eq!(suspended["agent"]["session_count"], 1);
    assert!(!acme.is_active(&created["token"]).await);
    let path = format!("{SESSIONS}/{}", id(&created));
    assert_eq!(app.client("acme").get(&path).await.ok()["status"], "active");
    let refused = acme.post(SESSIONS, &json!({"agent_id": "a1"})).await;
    refused.problem(403, "agent_suspended");
    let again = acme.post("/v1/agents/a1/suspend", &json!({})).await.ok();
    assert_eq!(again["agent"], suspended["agent"]);
    acme.post("/v1/agents/a1/reinstate", &json!({})).await.ok();
    assert!(acme.is_active(&created["token"]).await);
    let active = acme.post("/v1/agents/a1/reinstate", &json!({})).await;
    let problem = active.problem(409, "not_suspended");
    assert_eq!(problem["current_status"], "active");
    acme.post("/v1/agents/a1/revoke", &json!({})).await.ok();
    assert!(!acme.is_active(&created["token"]).await);
    let final_ = acme.post("/v1/agents/a1/reinstate", &json!({})).await;
    final_.problem(403, "agent_revoked");
    app.stop().await;
}

#[tokio::test]
async fn an_agent_is_changed_field_by_field() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let body = json!({"trust_level": "verified_org", "metadata": {"team": "x"}});
    let changed = acme
        .give(Method::PATCH, "/v1/agents/a1", &[], &body)
        .await
        .ok();
    let agent = &changed["agent"];
    assert_eq!(agent["trust_level"], "verified_org");
    assert_eq!(agent["scopes"], json!(["files:*", "net:read"]));
    let nothing = acme
        .give(Method::PATCH, "/v1/agents/a1", &[], &json!({}))
        .await;
    nothing.problem(400, "invalid");
    let null = json!({"trust_level": null, "description": "d"});
    let null = acme.give(Method::PATCH, "/v1/agents/a1", &[], &null).await;
    assert_eq!(
        null.problem(400, "invalid")["errors"][0]["field"],
        "trust_level"
    );
    let missing = acme
        .give(Method::PATCH, "/v1/agents/nobody", &[], &body)
        .await;
    missing.problem(404, "not_found");
    let twice = acme.post("/v1/agents", &json!({"agent_id": "a1"})).await;
    let problem = twice.problem(409, "already_exists");
    assert_eq!(problem["current_status"], "active");
    let made = acme
        .post("/v1/agents", &json!({"agent_type": "odd one"}))
        .await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["agent"]["agent_type"], "odd one");
    app.stop().await;
}

#[tokio::test]
async fn bad_commands_name_the_field_and_write_nothing() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let head = app.projection.position();
    let cases = [
        (json!({"agent_id": "a1", "ttl": 5}), "ttl"),
        (json!({"agent_id": "a1", "ttl_seconds": "5"}), "ttl_seconds"),
        (json!({"ttl_seconds": 5}), "agent_id"),
        (json!({"agent_id": "a1", "session_id": "a/b"}), "session_id"),
        (json!({"agent_id": "a1", "session_id": 5}), "session_id"),
        (json!({"agent_id": "a1", "token": "t"}), "token"),
    ];
    for (body, field) in cases {
        let problem = acme.post(SESSIONS, &body).await.problem(400, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    acme.post(SESSIONS, &json!([]))
        .await
        .problem(400, "not_json");
    let path = format!("{SESSIONS}/s/refresh");
    let problem = acme.post(&path, &json!({})).await.problem(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "refresh_token");
    let text = [("content-type", "text/plain")];
    let refused = acme
        .0
        .send(Method::POST, SESSIONS, &text, b"{}".to_vec())
        .await;
    refused.problem(415, "unsupported_media_type");
    let keys = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let refused = acme.0.send(Method::POST, SESSIONS, &keys, Vec::new()).await;
    refused.problem(400, "invalid_idempotency_key");
    let query = format!("{SESSIONS}?wait=false");
    acme.post(&query, &json!({"agent_id": "a1"}))
        .await
        .problem(400, "unknown_parameter");
    assert_eq!(app.projection.position(), head);
    app.stop().await;
}

#[tokio::test]
async fn introspection_accepts_a_form_and_reveals_nothing_of_other_tenants() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    let token = created["token"].as_str().unwrap();
    let path = format!("{SESSIONS}/introspect");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("token_type_hint=access_token&token={token}").into_bytes();
    let send = |tenant: &str| {
        let client = app.client(tenant);
        let (path, body) = (path.clone(), body.clone());
        async move { client.send(Method::POST, &path, &form, body).await.ok() }
    };
    assert_eq!(send("acme").await["active"], true);
    assert_eq!(send("globex").await, json!({"active": false}));
    for other in [
        created["refresh_token"].clone(),
        json!("slat_x.y"),
        json!("slat_".repeat(2000)),
        json!(format!("{token}x")),
    ] {
        assert_eq!(acme.introspect(&other).await, json!({"active": false}));
    }
    for misplaced in [
        json!({"token": ""}),
        json!({"tok": token}),
        json!({"token": [token]}),
    ] {
        let refused = acme.post(&path, &misplaced).await;
        let problem = refused.problem(400, "invalid");
        assert!(!problem.to_string().contains(token));
    }
    let refused = acme.post(&path, &json!([token])).await;
    let problem = refused.problem(400, "not_json");
    assert!(!problem.to_string().contains(token));
    app.stop().await;
}

#[tokio::test]
async fn a_suspended_agent_can_neither_hand_off_nor_refresh() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    acme.post("/v1/agents", &json!({"agent_id": "a2"})).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    acme.post("/v1/agents/a1/suspend", &json!({})).await.ok();
    let path = format!("{SESSIONS}/{}/handoff", id(&created));
    let refused = acme.post(&path, &json!({"to_agent_id": "a2"})).await;
    refused.problem(403, "agent_suspended");
    let refused = acme.refresh(&id(&created), &created["refresh_token"]).await;
    refused.problem(403, "agent_suspended");
    acme.post("/v1/agents/a1/reinstate", &json!({})).await.ok();
    acme.refresh(&id(&created), &created["refresh_token"])
        .await
        .ok();
    app.stop().await;
}

#[tokio::test]
async fn a_known_idempotency_key_does_not_replace_the_refresh_token() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    let path = format!("{SESSIONS}/{}/refresh", id(&created));
    let refresh = async |token: &Value| {
        let body = json!({"refresh_token": token});
        acme.give(Method::POST, &path, &[("idempotency-key", "k")], &body)
            .await
    };
    let first = refresh(&created["refresh_token"]).await.ok();
    for other in [json!("rubbish"), first["refresh_token"].clone()] {
        let problem = refresh(&other).await.problem(409, "id_reused");
        assert_eq!(problem.get("token"), None);
    }
    let again = refresh(&created["refresh_token"]).await.ok();
    assert_eq!(again["token"], first["token"]);
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_with_a_future_time_does_not_block_the_refresh_token() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme
        .create(&json!({"agent_id": "a1", "ttl_seconds": 600}))
        .await;
    let mut ahead = event("e1", "session.refreshed", &id(&created), &json!({}));
    ahead["time"] = json!("2026-01-31T12:04:00Z");
    acme.0.apply(&ahead).await;
    let refreshed = acme.refresh(&id(&created), &created["refresh_token"]).await;
    let row = &refreshed.ok()["session"];
    assert_eq!(row["refreshed_at"], "2026-01-31T12:04:00.000000Z");
    assert_eq!(row["expires_at"], "2026-01-31T12:10:00.000000Z");
    app.stop().await;
}

#[tokio::test]
async fn a_handoff_to_a_taken_id_names_the_status_of_that_session() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    acme.create(&json!({"agent_id": "a1", "session_id": "taken"}))
        .await;
    acme.end("taken", &json!({})).await.ok();
    let parent = acme.create(&json!({"agent_id": "a1"})).await;
    let path = format!("{SESSIONS}/{}/handoff", id(&parent));
    let body = json!({"to_agent_id": "a1", "session_id": "taken"});
    let problem = acme.post(&path, &body).await.problem(409, "already_exists");
    assert_eq!(problem["current_status"], "terminated");
    app.stop().await;
}

#[tokio::test]
async fn a_server_whose_fold_has_stopped_does_not_call_a_token_active() {
    let app = App::start().await;
    let acme = Commander::new(&app).await;
    let created = acme.create(&json!({"agent_id": "a1"})).await;
    assert!(acme.is_active(&created["token"]).await);
    app.stop_fold().await;
    let path = format!("{SESSIONS}/introspect");
    let asked = acme.post(&path, &json!({"token": created["token"]})).await;
    asked.problem(503, "not_ready");
    app.stop().await;
}
