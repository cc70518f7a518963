//! `/v1/keys`: issued, listed, revoked, and kept.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};
use session_ledger::domain::limits::KEYS_PER_TENANT_MAX;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client};

const KEYS: &str = "/v1/keys";

async fn start() -> (App, Client) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let admin = app
        .client_with_key("acme", [Role::Admin].into_iter().collect())
        .await;
    (app, admin)
}

async fn issue(client: &Client, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    client
        .send(Method::POST, KEYS, &json, body.to_string().into_bytes())
        .await
}

async fn revoke(client: &Client, id: &str) -> Answer {
    let path = format!("{KEYS}/{id}");
    client.send(Method::DELETE, &path, &[], Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_issued_used_listed_and_revoked() {
    let (app, admin) = start().await;
    let wanted =
        json!({"name": "ci", "roles": ["write", "read"], "expires_at": "2027-01-31T12:00:00Z"});
    let answer = issue(&admin, &wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut issued = answer.json();
    let key = issued.as_object_mut().unwrap().remove("key").unwrap();
    let key = key.as_str().unwrap();
    let id = issued["key_id"].as_str().unwrap().to_owned();
    assert!(
        key.starts_with(&format!("slk_{id}_")) && key.len() == 85,
        "{key}"
    );
    let expected = json!({
        "key_id": id, "name": "ci", "roles": ["read", "write"], "agent_id": null,
        "issued_at": NOW, "expires_at": "2027-01-31T12:00:00.000000Z", "revoked_at": null,
    });
    assert_eq!(issued, expected);

    let user = app.client("acme").with_key(key);
    user.get("/v1/agent-sessions").await.ok();
    let listed = admin.get("/v1/keys?limit=1").await;
    assert_eq!(listed.ok()["keys"], json!([expected]));
    assert_eq!(listed.json()["total"], 2);
    assert!(!listed.text.contains(&key[21..]));

    app.set_time("2026-01-31T12:30:00Z");
    let revoked = revoke(&admin, &id).await.ok();
    assert_eq!(revoked["revoked_at"], "2026-01-31T12:30:00.000000Z");
    user.get("/v1/agent-sessions")
        .await
        .problem(401, "invalid_credential");
    app.set_time("2026-01-31T12:45:00Z");
    assert_eq!(
        revoke(&admin, &id).await.ok(),
        revoked,
        "again changes nothing"
    );
    assert_eq!(admin.get(KEYS).await.ok()["keys"][0], revoked);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_credential_changes_no_key() {
    let app = App::start().await;
    let anybody = app.client("acme");
    let refused = issue(&anybody, &json!({"roles": ["admin"]})).await;
    let told = refused.problem(403, "credentials_off");
    assert!(told.to_string().contains("--data-dir"), "{told}");
    let key = app.key(grant("acme", Roles::ALL)).await;
    let id = key.split('_').nth(1).unwrap();
    revoke(&anybody, id).await.problem(403, "credentials_off");
    let listed = anybody.get("/v1/keys").await;
    assert_eq!(listed.ok()["keys"][0]["revoked_at"], json!(null));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_field_is_named() {
    let (app, admin) = start().await;
    for (body, fields) in [
        (json!({"roles": []}), &["roles"][..]),
        (json!({"roles": ["god"]}), &["roles"]),
        (json!({"roles": "read"}), &["roles"]),
        (json!({}), &["roles"]),
        (json!({"roles": ["read"], "name": ""}), &["name"]),
        (json!({"roles": ["read"], "role": "read"}), &["role"]),
        (
            json!({"roles": ["read"], "expires_at": NOW}),
            &["expires_at"],
        ),
        (
            json!({"roles": 1, "name": 1, "agent_id": "a/b", "expires_at": "soon"}),
            &["name", "agent_id", "expires_at", "roles"],
        ),
        (json!({"roles": ["admin"], "agent_id": "a1"}), &["roles"]),
        (json!([]), &[""]),
    ] {
        let problem = issue(&admin, &body).await.problem(400, "invalid");
        let named = problem["errors"].as_array().unwrap().iter();
        let named: Vec<_> = named
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    let json = [("content-type", "application/json")];
    let answer = admin.send(Method::POST, KEYS, &json, b"{".to_vec()).await;
    answer.problem(400, "not_json");
    revoke(&admin, "nothing")
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(admin.get(KEYS).await.ok()["total"], 1, "none was issued");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_is_like_one_that_is_not_there() {
    let (app, admin) = start().await;
    let theirs = app.key(grant("globex", Roles::ALL)).await;
    let foreign = revoke(&admin, &theirs[4..20])
        .await
        .problem(404, "not_found");
    let missing = revoke(&admin, &"0".repeat(16))
        .await
        .problem(404, "not_found");
    assert_eq!(foreign["detail"], missing["detail"]);
    let globex = app.client("globex").with_key(&theirs);
    globex.get("/v1/agent-sessions").await.ok();
    assert_eq!(globex.get(KEYS).await.ok()["total"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_so_many_keys_and_no_more_until_it_revokes_one() {
    let (app, admin) = start().await;
    let mut last = String::new();
    for _ in 1..KEYS_PER_TENANT_MAX {
        last = app.key(grant("acme", Roles::ALL)).await;
    }
    let wanted = json!({"roles": ["read"]});
    issue(&admin, &wanted).await.problem(409, "too_many_keys");
    app.key(grant("globex", Roles::ALL)).await;
    revoke(&admin, &last[4..20]).await.ok();
    assert_eq!(issue(&admin, &wanted).await.status, 201);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_key_nor_its_hash_is_in_any_answer_or_body_of_the_log() {
    use session_ledger::domain::Position;
    use session_ledger::log::{EmbeddedLog, EventLog as _};
    use sha2::Digest as _;
    use std::sync::Arc;

    let (app, admin) = start().await;
    let key = issue(&admin, &json!({"roles": ["read"]})).await.json()["key"].clone();
    let key = key.as_str().unwrap();
    let hash = hex::encode(sha2::Sha256::digest(key));
    let listed = admin.get(KEYS).await.text;
    let metrics = admin.get("/metrics").await.text;
    let file = app.file("admin.redb");
    let dir = app.stop_and_keep().await;
    let clock = Arc::new(session_ledger::domain::SystemClock);
    let log = EmbeddedLog::open(&file, clock).unwrap();
    let record = log.get(vec![Position::new(2)]).await.unwrap().remove(0);
    let body = String::from_utf8(record.body.to_vec()).unwrap();
    assert!(body.contains(&key[4..20]));
    for text in [listed, metrics, body] {
        assert!(
            !text.contains(&key[21..]) && !text.contains(&hash),
            "{text}"
        );
    }
    let private = String::from_utf8(record.private.to_vec()).unwrap();
    assert!(private.contains(&hash) && !private.contains(&key[21..]));
    log.close().await;
    drop(dir);
}
