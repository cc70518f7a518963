//! Every call, as the vendor's own front end, agents and servers make it.

use std::time::Duration;

use ring::hmac;
use serde_json::{Value, json};
use session_ledger::auth::Roles;
use session_ledger::projection::Waited;

use super::*;
use crate::support::app::grant;
use crate::support::client::event;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_creates_an_agent_and_gets_its_key_once() {
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

    // A key has three parts between separators. The second is its prefix.
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
    // The numbers in the metadata keep all their digits.
    assert!(listed.text.contains(r#"{"run": "nightly", "cost": 1.10}"#));
    otas.app.stop().await;
}

/// Checks the signature with the key that docs/dialects.md describes, computed without the ledger.
fn check_signature(token: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // Every test's ledger has this token secret.
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
async fn meta_may_be_any_json_and_is_returned_unchanged() {
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
async fn the_vendors_other_server_verifies_keys_and_access_to_agents() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let verified = otas.agent(&made.key, VERIFY, "{}").await;
    let expected = json!({
        "project_id": PROJECT,
        "agent": {"id": made.id, "name": "a", "provider": "Claude"},
    });
    let found = succeeded(&verified, 200, "authenticated", "response");
    assert_eq!(found, expected);

    // The vendor's server sends neither a body nor a content type.
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
    // UUIDs match in any spelling.
    let shouted = ask(&made.id.to_uppercase(), PROJECT).await;
    assert_eq!(succeeded(&shouted, 200, "authenticated", "agent"), expected);
    check_failure(&ask(&made.id, OTHER_PROJECT).await, 404, "agent_not_found");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_expires_with_its_token_and_stays_listed() {
    let mut otas = Otas::start().await;
    otas.app.start_expiry();
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let made = otas.make(PROJECT, "a").await;
    let id = otas.open(&made.key, r#"{"meta":{"run":1}}"#).await;
    let path = format!("/v1/agent-sessions/{id}");
    let row = native.get(&path).await.ok();
    for (name, expected) in [
        ("agent_id", json!(made.id)),
        ("agent_key_id", json!(made.key_id)),
        ("metadata", json!({"run": 1})),
        ("expires_at", json!("2026-03-02T12:00:00.000000Z")),
    ] {
        assert_eq!(row[name], expected, "{name}: {row}");
    }

    // A row shows no change of a session but its metadata.
    let other = json!({"metadata": {"run": 2}});
    let refreshed = event("r", "session.refreshed", &id, &other);
    native.apply(&refreshed).await;
    let row = json!({
        "id": id, "agent_key_id": made.key_id, "created_at": NOW_ISO, "meta": {"run": 2},
    });
    assert_eq!(otas.sessions(PROJECT, &made.id).await[0], row);
    // The expiry reactor reads the clock again when an event is folded, here at the last moment.
    otas.app.set_time("2026-03-02T11:59:59.999999Z");
    otas.open(&made.key, "").await;
    let expired = otas.app.projection.position().next();
    otas.app.set_time("2026-03-02T12:00:00Z");
    let waited = otas
        .app
        .projection
        .wait_for(expired, Duration::from_mins(1));
    assert_eq!(waited.await, Waited::Reached);
    assert_eq!(native.get(&path).await.ok()["status"], "expired");
    assert_eq!(otas.sessions(PROJECT, &made.id).await[1], row);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_with_an_idempotency_key_returns_the_same_session() {
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

/// A caller that retries has not seen the answer, and so does not have the first key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_create_returns_the_same_agent_with_a_new_key() {
    let otas = Otas::start().await;
    let create = async |name: &str| {
        let headers = [
            ("x-otas-user-token", &*otas.admin),
            ("x-otas-project-id", PROJECT),
            ("idempotency-key", "once"),
        ];
        let body = json!({"agent_name": name, "agent_provider": "Claude"}).to_string();
        otas.send(Method::POST, CREATE, &headers, &body).await
    };
    let first = succeeded(&create("a").await, 201, "agent_created", "response");
    otas.app.set_time("2026-01-31T12:00:30Z");
    let second = succeeded(&create("a").await, 201, "agent_created", "response");
    assert_eq!(second["agent"], first["agent"]);
    let key = |made: &Value| text(&made["agent_key"]["api_key"]);
    assert!(!otas.is_good(&key(&first)).await);
    assert!(otas.is_good(&key(&second)).await);
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    let agents = listed["response"]["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0]["agent_keys"].as_array().unwrap().len(), 1);
    check_failure(&create("b").await, 409, "id_reused");

    // An agent that may not act gets no key.
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let path = format!("/v1/agents/{}/suspend", text(&first["agent"]["id"]));
    native.post(&path, "application/json", "{}").await.ok();
    check_failure(&create("a").await, 400, "agent_creation_failed");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_ledger_work_as_user_tokens() {
    let otas = Otas::start().await;
    let key = otas.app.key(grant(PROJECT, Roles::ALL)).await;
    let body = r#"{"agent_name":"a","agent_provider":"p"}"#;
    let answer = otas.page(&key, PROJECT, CREATE, Some(body)).await;
    let made = succeeded(&answer, 201, "agent_created", "response");
    let id = key.split('_').nth(1).unwrap();
    assert_eq!(made["agent"]["created_by"], id);
    otas.app.stop().await;
}
