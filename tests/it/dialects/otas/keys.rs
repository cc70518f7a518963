//! Keys of agents: rotation, revocation, binding and storage.

use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::AgentId;

use super::*;
use crate::support::app::grant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_replaces_the_old_one() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let other = otas.make(PROJECT, "b").await;
    let id = otas.open(&made.key, "").await;
    otas.app.set_time("2026-01-31T12:00:00.5Z");
    let answer = otas.rotate(&made.id).await;
    let rotated = succeeded(&answer, 201, "agent_key_created", "response");
    let (key, key_id) = (
        &rotated["agent_key"]["api_key"],
        &rotated["agent_key"]["id"],
    );
    let expected = json!({
        "agent_id": made.id,
        "agent_key": {
            "id": key_id,
            "prefix": key_id,
            "api_key": key,
            "created_at": "2026-01-31T12:00:00.500000+00:00",
            "expires_at": "2026-03-02T12:00:00.500000+00:00",
            "active": true,
        },
    });
    assert_eq!(rotated, expected);
    assert_ne!(*key_id, made.key_id.as_str());
    assert!(!otas.is_good(&made.key).await);
    assert!(otas.is_good(key.as_str().unwrap()).await);
    assert!(otas.is_good(&other.key).await);
    // A session outlives its key.
    let rows = otas.sessions(PROJECT, &made.id).await;
    assert_eq!(rows[0]["id"], id.as_str());
    assert_eq!(rows[0]["agent_key_id"], made.key_id.as_str());
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_rotations_leave_one_key() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let rotations = futures_util::future::join_all((0..8).map(|_| otas.rotate(&made.id)));
    let mut good = 0;
    for answer in rotations.await {
        let rotated = succeeded(&answer, 201, "agent_key_created", "response");
        let key = text(&rotated["agent_key"]["api_key"]);
        good += usize::from(otas.is_good(&key).await);
    }
    assert_eq!(good, 1);
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    let keys = listed["response"]["agents"][0]["agent_keys"].as_array();
    assert_eq!(keys.unwrap().len(), 1);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_revoked_once() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let body = json!({"agent_key_id": made.key_id}).to_string();
    let revoke = async |project: &str| {
        otas.page(&otas.admin, project, KEY_REVOKE, Some(&body))
            .await
    };
    check_failure(&revoke(OTHER_PROJECT).await, 404, "agent_key_not_found");
    assert!(otas.is_good(&made.key).await);
    let revoked = succeeded(&revoke(PROJECT).await, 200, "agent_key_revoked", "response");
    assert_eq!(revoked, json!({"id": made.key_id}));
    assert!(!otas.is_good(&made.key).await);
    check_failure(&revoke(PROJECT).await, 404, "agent_key_not_found");
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    assert_eq!(listed["response"]["agents"][0]["agent_keys"], json!([]));

    // This API cannot revoke a key that is not bound to an agent.
    let issued = otas.app.key(grant(PROJECT, Roles::ALL)).await;
    let id = issued.split('_').nth(1).unwrap();
    let body = json!({"agent_key_id": id}).to_string();
    let answer = otas.page(&otas.admin, PROJECT, KEY_REVOKE, Some(&body));
    check_failure(&answer.await, 404, "agent_key_not_found");
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_valid_for_30_days() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    otas.app.set_time("2026-03-02T11:59:59.999999Z");
    assert!(otas.is_good(&made.key).await);
    otas.app.set_time("2026-03-02T12:00:00Z");
    assert!(!otas.is_good(&made.key).await);
    // An expired key is listed until it is revoked, as on the vendor's servers.
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    let key = &listed["response"]["agents"][0]["agent_keys"][0];
    assert_eq!(key["expires_at"], IN_30_DAYS_ISO);
    assert_eq!(key["active"], true);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_an_agent_that_may_not_act_opens_no_session() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let call = async |call: &str| {
        let path = format!("/v1/agents/{}/{call}", made.id);
        native.post(&path, "application/json", "{}").await.ok();
    };
    call("suspend").await;
    assert!(!otas.is_good(&made.key).await);
    let refused = otas.agent(&made.key, SESSION_CREATE, "{}").await;
    check_failure(&refused, 401, "invalid_agent_key");
    let path = format!("{SESSIONS}?agent_id={}", made.id);
    let listed = otas.page(&otas.member, PROJECT, &path, None).await;
    check_failure(&listed, 403, "agent_not_found_or_no_access");
    let rotated = otas.rotate(&made.id).await;
    check_failure(&rotated, 404, "agent_not_found_or_invalid_id");
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    assert_eq!(listed["response"]["agents"], json!([]));
    call("reinstate").await;
    assert!(otas.is_good(&made.key).await);
    call("revoke").await;
    assert!(!otas.is_good(&made.key).await);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_key_works_in_the_native_api_for_that_agent_only() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    let native = otas.app.client("none").with_key(&made.key);
    let json = "application/json";
    let opened = native.post("/v1/agent-sessions", json, "{}").await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let foreign = r#"{"agent_id":"another"}"#;
    let foreign = native.post("/v1/agent-sessions", json, foreign).await;
    assert_eq!(foreign.status, 403, "{}", foreign.text);
    native
        .get("/v1/agent-sessions")
        .await
        .problem(403, "role_required");
    let rows = otas.sessions(PROJECT, &made.id).await;
    assert_eq!(rows[0]["id"], opened.json()["session"]["session_id"]);

    // A key that the native API bound to the agent works here, in both spellings.
    let bound = Grant {
        agent: Some(AgentId::parse(&made.id).unwrap()),
        ..grant(PROJECT, [Role::Write].into_iter().collect())
    };
    let bound = otas.app.key(bound).await;
    assert!(otas.is_good(&bound).await);
    assert!(otas.is_good(&bound.replace("slk_", "agent_")).await);
    // Both keys are the agent's, so a rotation revokes both.
    succeeded(
        &otas.rotate(&made.id).await,
        201,
        "agent_key_created",
        "response",
    );
    assert!(!otas.is_good(&bound).await && !otas.is_good(&made.key).await);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_hash_of_a_key_is_stored() {
    let otas = Otas::start().await;
    let made = otas.make(PROJECT, "a").await;
    otas.open(&made.key, "{}").await;
    let secret = made.key.rsplit('_').next().unwrap().to_owned();
    let dir = otas.app.stop_and_keep().await;
    for file in ["log.redb", "model.redb", "admin.redb"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        assert!(!bytes.is_empty());
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|at| at == needle);
        assert!(!has(secret.as_bytes()), "{file}");
        assert!(!has(&hex::decode(&secret).unwrap()), "{file}");
        // The search would find the key: it finds the key's id.
        assert!(has(made.key_id.as_bytes()), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_at_its_limit_of_keys_creates_no_agent() {
    let otas = Otas::start().await;
    let fill = (0..session_ledger::domain::limits::KEYS_PER_TENANT_MAX)
        .map(|_| otas.app.key(grant(PROJECT, Roles::ALL)));
    futures_util::future::join_all(fill).await;
    let body = r#"{"agent_name":"a","agent_provider":"p"}"#;
    let answer = otas.page(&otas.admin, PROJECT, CREATE, Some(body)).await;
    check_failure(&answer, 409, "too_many_keys");
    let listed = otas.page(&otas.member, PROJECT, LIST, None).await.ok();
    assert_eq!(listed["response"]["agents"], json!([]));
    otas.app.stop().await;
}
