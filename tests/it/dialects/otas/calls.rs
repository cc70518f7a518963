//! Every call, as the vendor's own front end, agents and servers make it.

use ring::hmac;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use super::*;
use crate::support::app::grant;
use crate::support::client::{created, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_creates_an_agent_and_is_shown_its_key_once() {
    let otas = Otas::start().await;
    let body = json!({
        "agent_name": "  My Research Agent ",
        "agent_description": " reads papers",
        "agent_provider": "Claude",
    });
    let body = body.to_string();
    let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(&body)).await;
    let made = succeeded(&answer, 201, "agent_created", "response");
    let (id, key_id) = (&made["agent"]["id"], &made["agent_key"]["id"]);
    let key = text(&made["agent_key"]["api_key"]);
    let expected = json!({
        "agent": {
            "id": id,
            "name": "My Research Agent",
            "description": "reads papers",
            "provider": "Claude",
            "project_id": PROJECT,
            "created_by": "user-1",
            "created_at": NOW_ISO,
        },
        "agent_key": {
            "id": key_id,
            "prefix": key_id,
            "api_key": key,
            "agent_id": id,
            "created_at": NOW_ISO,
            "expires_at": IN_30_DAYS_ISO,
            "active": true,
        },
    });
    assert_eq!(made, expected);
    assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_ok());

    // Whoever splits a key at its separators finds three parts, the second of which is the prefix.
    let parts: Vec<&str> = key.split('_').collect();
    assert_eq!(parts[..2], ["agent", key_id.as_str().unwrap()]);
    assert_eq!(parts.len(), 3);

    let listed = otas.page(&otas.member, PROJECT, LIST, None).await;
    let expected = json!({
        "project_id": PROJECT,
        "agents": [{
            "id": id,
            "name": "My Research Agent",
            "description": "reads papers",
            "provider": "Claude",
            "created_at": NOW_ISO,
            "created_by": "user-1",
            "is_active": true,
            "agent_keys": [{
                "id": key_id,
                "prefix": key_id,
                "name": null,
                "created_at": NOW_ISO,
                "expires_at": IN_30_DAYS_ISO,
                "active": true,
            }],
        }],
    });
    assert_eq!(
        succeeded(&listed, 200, "agents_listed", "response"),
        expected
    );
    assert!(!listed.text.contains(parts[2]));
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_opens_a_session_and_finds_its_id_in_a_token() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    otas.app.set_time("2026-01-31T12:00:01.250Z");
    let body = r#"{"meta": {"run": "nightly", "cost": 1.10}}"#;
    let answer = otas.agent(&made.key, SESSION_CREATE, body).await;
    let opened = succeeded(&answer, 200, "agent_session_created", "response");
    assert_eq!(opened["Header_value"], "X-OTAS-AGENT-SESSION-TOKEN");
    assert_eq!(opened.as_object().unwrap().len(), 2);
    let said = claims(&opened["jwt_token"]);
    let id = text(&said["agent_session_id"]);
    let iat = Timestamp::parse(NOW).unwrap().micros() / 1_000_000 + 1;
    let expected = json!({
        "agent_session_id": id,
        "agent_id": made.id,
        "iat": iat,
        "exp": iat + 30 * 24 * 3600,
    });
    assert_eq!(said, expected);
    check_signature(opened["jwt_token"].as_str().unwrap());

    let path = format!("{SESSIONS}?agent_id={}", made.id);
    let listed = otas.page(&otas.member, PROJECT, &path, None).await;
    let expected = json!({
        "agent_id": made.id,
        "sessions": [{
            "id": id,
            "agent_key_id": made.key_id,
            "created_at": "2026-01-31T12:00:01.250000+00:00",
            "meta": {"run": "nightly", "cost": 1.10},
        }],
    });
    let found = succeeded(&listed, 200, "agent_sessions_listed", "response");
    assert_eq!(found, expected);
    // Not a digit of what the agent said is lost.
    assert!(listed.text.contains(r#"{"run": "nightly", "cost": 1.10}"#));
    otas.app.stop().await;
}

/// The signing key is what docs/dialects.md says it is, computed without the ledger.
fn check_signature(token: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // The token secret of every test's ledger.
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let derived = hex::encode(hmac::sign(&secret, b"otas session token"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_bytes());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    hmac::verify(&key, message.as_bytes(), &signature).unwrap();
    let header = message.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header, json!({"typ": "JWT", "alg": "HS256"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta_may_be_any_json_and_comes_back_as_it_is() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    for (body, meta) in [
        ("", "{}"),
        ("{}", "{}"),
        (r#"{"meta":null}"#, "{}"),
        (r#"{"meta":{"otas_meta":1}}"#, r#"{"otas_meta":1}"#),
        (r#"{"meta":[1,{"a":null}]}"#, r#"[1,{"a":null}]"#),
        (r#"{"meta":"text"}"#, r#""text""#),
        (
            r#"{"meta":12345678901234567890.10}"#,
            "12345678901234567890.10",
        ),
        (r#"{"meta":false,"other":1}"#, "false"),
    ] {
        let id = otas.open(&made.key, body).await;
        let path = format!("/compat/otas{SESSIONS}?agent_id={}", made.id);
        let reader = otas.app.client("none");
        let headers = [
            ("x-otas-user-token", &*otas.member),
            ("x-otas-project-id", PROJECT),
        ];
        let listed = reader.send(Method::GET, &path, &headers, Vec::new()).await;
        let row = format!(
            r#"{{"id":"{id}","agent_key_id":"{}","created_at":"{NOW_ISO}","meta":{meta}}}"#,
            made.key_id
        );
        assert!(listed.text.contains(&row), "{row}: {}", listed.text);
    }
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_other_server_asks_whose_a_key_is_and_who_may_see_an_agent() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let verified = otas.agent(&made.key, VERIFY, "{}").await;
    let expected = json!({
        "project_id": PROJECT,
        "agent": {"id": made.id, "name": "a", "provider": "Claude"},
    });
    let found = succeeded(&verified, 200, "authenticated", "response");
    assert_eq!(found, expected);

    // It sends neither a body nor a content type.
    let ask = async |agent: &str, project: &str| {
        let headers = [
            ("x-otas-user-token", &*otas.member),
            ("x-otas-agent-id", agent),
            ("x-otas-project-id", project),
        ];
        otas.send(Method::POST, AUTHENTICATE, &headers, "").await
    };
    let found = succeeded(&ask(&made.id, PROJECT).await, 200, "authenticated", "agent");
    let expected = json!({"id": made.id, "name": "a", "project_id": PROJECT});
    assert_eq!(found, expected);
    // UUIDs are the same in every spelling.
    let shouted = ask(&made.id.to_uppercase(), PROJECT).await;
    assert_eq!(succeeded(&shouted, 200, "authenticated", "agent"), expected);
    check_failure(&ask(&made.id, OTHER_PROJECT).await, 404, "agent_not_found");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_seen_through_every_other_api_in_its_own_words() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let id = otas.open(&made.key, r#"{"meta":{"run":1}}"#).await;

    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let row = native.get(&format!("/v1/agent-sessions/{id}")).await.ok();
    for (name, expected) in [
        ("agent_id", json!(made.id)),
        ("agent_key_id", json!(made.key_id)),
        ("status", json!("active")),
        ("metadata", json!({"run": 1})),
        ("created_at", json!(NOW)),
        // As long as its token is good.
        ("expires_at", json!("2026-03-02T12:00:00.000000Z")),
    ] {
        assert_eq!(row[name], expected, "{name}: {row}");
    }
    let agent = native.get(&format!("/v1/agents/{}", made.id)).await.ok();
    assert_eq!(agent["display_name"], "a");
    assert_eq!(agent["session_count"], 1);

    let agi = native.get("/compat/agi/v1/sessions").await.ok();
    let expected = json!([{
        "session_id": id,
        "agent_name": made.id,
        "status": "ready",
        "created_at": "2026-01-31T12:00:00.000Z",
    }]);
    assert_eq!(agi, expected);
    otas.app.stop().await;
}

/// The events of a session as they show here: a row appears, and never changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_the_ledger_appears_and_nothing_that_happens_to_it_shows() {
    let mut otas = Otas::start().await;
    otas.app.start_expiry();
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let row = |id: &str| json!({"id": id, "agent_key_id": null, "created_at": NOW_ISO, "meta": {}});

    native.apply(&created("s1", "a1", NOW)).await;
    assert_eq!(otas.sessions(PROJECT, "a1").await, [row("s1")]);
    let refreshed = json!({"phase": "running"});
    native
        .apply(&event("r", "session.refreshed", "s1", &refreshed))
        .await;
    assert_eq!(otas.sessions(PROJECT, "a1").await, [row("s1")]);
    let to = json!({"to_agent_id": "a2", "session_id": "s2"});
    native
        .apply(&event("h", "session.handed_off", "s1", &to))
        .await;
    assert_eq!(otas.sessions(PROJECT, "a1").await, [row("s1")]);
    assert_eq!(otas.sessions(PROJECT, "a2").await, [row("s2")]);
    native
        .apply(&event("t", "session.terminated", "s2", &json!({})))
        .await;
    assert_eq!(otas.sessions(PROJECT, "a2").await, [row("s2")]);
    let brief = json!({"agent_id": "a3", "ttl_seconds": 60});
    native
        .apply(&event("c", "session.created", "s3", &brief))
        .await;
    otas.app.set_time("2026-01-31T12:01:00Z");
    let expired = async || {
        let one = native.get("/v1/agent-sessions/s3").await.ok();
        one["status"] == "expired"
    };
    assert!(expired().await);
    assert_eq!(otas.sessions(PROJECT, "a3").await, [row("s3")]);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_a_verdict_yet_has_its_key_all_the_same() {
    let tokens = tokens().await;
    let app = App::start_with_credentials_and_no_fold(|mut credentials| {
        credentials.tokens = Some(tokens);
        credentials
    });
    let otas = Otas::of(app.await);
    let body = r#"{"agent_name":"a","agent_provider":"p"}"#;
    let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(body)).await;
    let made = succeeded(&answer, 202, "agent_created", "response");
    assert_eq!(made["agent"]["name"], "a");
    assert_eq!(made["agent"]["created_at"], NOW_ISO);
    assert_eq!(made["agent_key"]["agent_id"], made["agent"]["id"]);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_with_an_idempotency_key_is_answered_with_the_same_session() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let retried = [
        ("x-otas-agent-key", &*made.key),
        ("idempotency-key", "once"),
    ];
    let open = async || {
        otas.send(Method::POST, SESSION_CREATE, &retried, "{}")
            .await
    };
    let first = open().await;
    otas.app.set_time("2026-01-31T12:00:30Z");
    assert_eq!(open().await.text, first.text);
    assert_eq!(otas.sessions(PROJECT, &made.id).await.len(), 1);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_ledger_serve_as_tokens_of_users() {
    let otas = Otas::start().await;
    let key = otas.app.key(grant(PROJECT, Roles::ALL)).await;
    let body = r#"{"agent_name":"a","agent_provider":"p"}"#;
    let answer = otas.page(&key, PROJECT, CREATE, Some(body)).await;
    let made = succeeded(&answer, 201, "agent_created", "response");
    let id = key.split('_').nth(1).unwrap();
    assert_eq!(made["agent"]["created_by"], id);
    otas.app.stop().await;
}
