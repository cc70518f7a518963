//! `/v1/keys`: keys are issued, listed and revoked, and their history is kept.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{ApiKey, KeyEntry, Role, Roles};
use session_ledger::domain::limits::KEYS_PER_TENANT_MAX;
use session_ledger::domain::{Position, TenantId, Timestamp};
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord};
use sha2::Digest as _;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client};

const KEYS: &str = "/v1/keys";

async fn start() -> (App, Client) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (_, admin) = admin(&app).await;
    (app, admin)
}

/// Issues a key with only the role admin. Returns its id and a client that uses it.
async fn admin(app: &App) -> (String, Client) {
    let key = app.key(grant("acme", [Role::Admin].into_iter().collect()));
    let key = key.await;
    (key[4..20].to_owned(), app.client("acme").with_key(&key))
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
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (admin_id, admin) = admin(&app).await;
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
        "issued_at": NOW, "issued_by": admin_id, "expires_at": "2027-01-31T12:00:00.000000Z",
        "revoked_at": null, "revoked_by": null,
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
    assert_eq!(revoked["revoked_by"], json!(admin_id));
    user.get("/v1/agent-sessions")
        .await
        .problem(401, "invalid_credential");
    app.set_time("2026-01-31T12:45:00Z");
    assert_eq!(
        revoke(&admin, &id).await.ok(),
        revoked,
        "a second revocation changes nothing"
    );
    assert_eq!(admin.get(KEYS).await.ok()["keys"][0], revoked);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_has_every_change_and_its_author() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (admin_id, admin) = admin(&app).await;
    let theirs = app.client_with_key("globex", Roles::ALL).await;
    let wanted = json!({"name": "ci", "roles": ["read"], "expires_at": "2027-01-31T12:00:00Z"});
    let issued = issue(&admin, &wanted).await.json();
    let id = issued["key_id"].as_str().unwrap();
    app.set_time("2026-01-31T12:30:00Z");
    revoke(&admin, id).await.ok();
    revoke(&admin, id).await.ok();

    let auditor = app.client_with_key("acme", [Role::Audit].into_iter().collect());
    let auditor = auditor.await;
    let first = auditor.get("/v1/keys/history?limit=2").await.ok();
    let expected = json!({
        "change": "issued", "key_id": id, "recorded_at": NOW, "by": admin_id, "name": "ci",
        "roles": ["read"], "agent_id": null, "expires_at": "2027-01-31T12:00:00.000000Z",
    });
    assert_eq!(first["changes"][0]["by"], "operator");
    assert_eq!(first["changes"][1], expected);
    assert_eq!(first["next_after"], 2);
    let rest = auditor.get("/v1/keys/history?limit=2&after=2").await.ok();
    let expected = json!({
        "change": "revoked", "key_id": id, "recorded_at": "2026-01-31T12:30:00.000000Z",
        "by": admin_id, "name": null, "roles": null, "agent_id": null, "expires_at": null,
    });
    assert_eq!(rest["changes"][0], expected);
    assert_eq!(rest["changes"][1]["change"], "issued");
    assert_eq!(rest["next_after"], json!(null));
    let beyond = auditor.get("/v1/keys/history?after=1000").await.ok();
    assert_eq!(beyond["changes"], json!([]));
    let foreign = theirs.get("/v1/keys/history").await.ok();
    assert_eq!(foreign["changes"].as_array().unwrap().len(), 1);
    app.stop().await;
}

/// Older builds wrote records without an author. The records still count, and name no author.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_older_builds_work_and_name_no_author() {
    let mut log = None;
    let keep = |keys: Arc<dyn EventLog>| {
        log = Some(Arc::clone(&keys));
        keys
    };
    let app = App::start_with_credentials_on(|log| log, keep, |keys_alone| keys_alone).await;
    let log = log.unwrap();
    let key = ApiKey::generate().unwrap();
    let hash = hex::encode(sha2::Sha256::digest(key.reveal()));
    let write = async |kind: &str, data: Value, private: String| {
        let body = json!({
            "specversion": "1.0", "id": format!("{kind}-{}", key.id()), "tenantid": "acme",
            "source": "urn:session-ledger:keys", "type": format!("key.{kind}"), "time": NOW,
            "subject": key.id().to_string(), "data": data,
        });
        let record = NewRecord {
            subject: format!("ledger.admin.v1.acme.key.{kind}").into(),
            private: private.into(),
            body: body.to_string().into(),
        };
        assert!(log.append(vec![record]).await[0].is_ok());
        app.keys.catch_up().await.unwrap();
    };
    let private = json!({"key_sha256": hash}).to_string();
    write("issued", json!({"roles": ["read"]}), private).await;
    let user = app.client("acme").with_key(&key.reveal());
    user.get("/v1/agent-sessions").await.ok();
    write("revoked", json!({}), String::new()).await;
    let refused = user.get("/v1/agent-sessions").await;
    refused.problem(401, "invalid_credential");
    let (_, admin) = admin(&app).await;
    let listed = admin.get(KEYS).await.ok();
    assert_eq!(listed["keys"][1]["key_id"], json!(key.id().to_string()));
    assert_eq!(listed["keys"][1]["issued_by"], json!(null));
    assert_eq!(listed["keys"][1]["revoked_by"], json!(null));
    assert_eq!(listed["keys"][0]["issued_by"], "operator");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_admin_key_cannot_be_revoked() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (first_id, first) = admin(&app).await;
    // Neither a key without the role admin nor an expired key could change keys.
    let reader = issue(&first, &json!({"roles": ["read", "write", "audit"]})).await;
    let until = "2026-01-31T12:00:01Z";
    let brief = json!({"roles": ["admin"], "expires_at": until});
    assert_eq!(issue(&first, &brief).await.status, 201);
    app.set_time(until);
    let told = revoke(&first, &first_id)
        .await
        .problem(409, "last_admin_key");
    assert!(told.to_string().contains("--data-dir"), "{told}");
    revoke(&first, reader.json()["key_id"].as_str().unwrap())
        .await
        .ok();

    let (second_id, second) = admin(&app).await;
    let (one, other) = tokio::join!(revoke(&first, &second_id), revoke(&second, &first_id));
    let statuses = [one.status, other.status];
    assert!(statuses.contains(&200), "{statuses:?}");
    // The second request would revoke the last admin key (409), or its own key is revoked (401).
    let others = [401, 409];
    assert!(
        statuses.iter().any(|it| others.contains(it)),
        "{statuses:?}"
    );
    let tenant = TenantId::parse("acme").unwrap();
    let now = Timestamp::parse(until).unwrap();
    let live = app.keys.list(&tenant);
    let may = |entry: &Arc<KeyEntry>| {
        let expired = entry.grant.expires_at.is_some_and(|at| at <= now);
        entry.is_live() && !expired && entry.grant.roles.has(Role::Admin)
    };
    assert_eq!(live.iter().filter(|entry| may(entry)).count(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_cannot_be_changed_without_credentials() {
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
            json!({"roles": 1, "name": 1, "agent_id": "a/b", "expires_at": "soon"}),
            &["name", "agent_id", "expires_at", "roles"],
        ),
        (json!({"roles": ["admin"], "agent_id": "a1"}), &["roles"]),
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
    issue(&admin, &json!([])).await.problem(400, "not_json");
    let passed = json!({"roles": ["read"], "expires_at": NOW});
    let answer = issue(&admin, &passed).await;
    let problem = answer.problem(422, "deadline_not_after_time");
    assert_eq!(problem["errors"][0]["field"], "expires_at");
    revoke(&admin, "nothing")
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(admin.get(KEYS).await.ok()["total"], 1, "none was issued");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_key_looks_like_a_missing_one() {
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
async fn a_tenant_at_its_limit_of_keys_must_revoke_one_first() {
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
async fn no_answer_and_no_body_on_the_log_has_a_key_or_its_hash() {
    let (app, admin) = start().await;
    let key = issue(&admin, &json!({"roles": ["read"]})).await.json()["key"].clone();
    let key = key.as_str().unwrap();
    let hash = hex::encode(sha2::Sha256::digest(key));
    let listed = admin.get(KEYS).await.text;
    let metrics = admin.get("/metrics").await.text;
    let file = app.file("admin.redb");
    let dir = app.stop_and_keep().await;
    let clock = Arc::new(session_ledger::app::clock::SystemClock);
    let log = EmbeddedLog::open(&file, clock).unwrap();
    let record = log.get(vec![Position::new(2)]).await.unwrap().remove(0);
    let body = String::from_utf8(record.payload.to_vec()).unwrap();
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
