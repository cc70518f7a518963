//! Rejected requests, in the error format of Truthlocks, and logs that fail or do not confirm.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::json;
use session_ledger::auth::{Grant, Role};
use session_ledger::domain::AgentId;
use session_ledger::log::LogError;

use super::{agent, check_failure, get, made, path_of, post, send, session};
use crate::support::app::{App, grant};
use crate::support::faulty_log::{FaultyLog, PickyLog};

/// An update of a field and the status.
const BOTH_HALVES: &str = r#"{"description": "d", "status": "suspended"}"#;

/// Paths, invalid bodies, and the expected messages.
const REFUSED: &[(&str, &str, &str)] = &[
    ("/v1/agent-sessions", "[]", "the body must be a JSON object"),
    ("/v1/agent-sessions", "null", "the body must be"),
    ("/v1/agent-sessions", "{", "the body is not JSON"),
    ("/v1/agent-sessions", "\u{0}", "the body is not JSON"),
    (
        "/v1/agent-sessions",
        r#"{"agent_id": NaN}"#,
        "the body is not JSON: at line 1, column 14, NaN is not a JSON number",
    ),
    ("/v1/agent-sessions", "", "agent_id is required"),
    ("/v1/agent-sessions", "{}", "agent_id is required"),
    (
        "/v1/agent-sessions",
        r#"{"agent_id": 7}"#,
        "agent_id must be a string",
    ),
    (
        "/v1/agent-sessions",
        r#"{"agentId": ""}"#,
        "agentId must have 1 to 256",
    ),
    (
        "/v1/agent-sessions",
        r#"{"agentId": "a\u0000"}"#,
        "agentId must not hold",
    ),
    (
        "/v1/agent-sessions",
        r#"{"agent_id": "a", "ttl_minutes": 0}"#,
        "ttl_minutes must be",
    ),
    (
        "/v1/agent-sessions",
        r#"{"agent_id": "a", "ttl_minutes": 1441}"#,
        "ttl_minutes must be a whole number from 1 to 1440",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "ttlSeconds": 86401}"#,
        "ttlSeconds must be a whole number from 1 to 86400",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "ttlSeconds": "60"}"#,
        "ttlSeconds must be",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "scopes": "a:b"}"#,
        "scopes must be a list",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "scopes": [""]}"#,
        "scopes must each have 1 to 128 characters",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "scope": {}}"#,
        "scope.actions is required",
    ),
    (
        "/v1/sessions",
        r#"{"agentId": "a", "metadata": "m"}"#,
        "metadata must be a JSON object",
    ),
    ("/v1/agents", "", "display_name is required"),
    (
        "/v1/agents",
        r#"{"agent_type": "bot"}"#,
        "display_name is required",
    ),
    (
        "/v1/agents",
        r#"{"name": ""}"#,
        "display_name must not be empty",
    ),
    (
        "/v1/agents",
        r#"{"name": "a", "type": 5}"#,
        "type must be a string",
    ),
    (
        "/v1/agents",
        r#"{"name": "a", "expires_at": "soon"}"#,
        "expires_at must be an RFC 3339",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_request_is_rejected_with_its_field_and_writes_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    let long = format!(r#"{{"agent_id": "{}"}}"#, "x".repeat(257));
    let large = format!(
        r#"{{"agent_id": "a", "metadata": {{"a": "{}"}}}}"#,
        "x".repeat(17_000)
    );
    let name = format!(r#"{{"name": "{}"}}"#, "x".repeat(257));
    let long = [
        ("/v1/agent-sessions", &*long, "agent_id must have 1 to 256"),
        (
            "/v1/agent-sessions",
            &*large,
            "metadata must have at most 16384 bytes",
        ),
        ("/v1/agents", &*name, "display_name must have at most 256"),
    ];
    for (path, body, said) in REFUSED.iter().copied().chain(long) {
        let answer = send(&client, Method::POST, path, body).await;
        let failure = check_failure(&answer, 400, "INVALID_INPUT", said);
        assert!(failure["message"].as_str().unwrap().starts_with(said));
        assert_eq!(
            failure["details"]["errors"].as_array().unwrap().len(),
            1,
            "{body}"
        );
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    let answer = send(&client, Method::POST, "/v1/sessions", &deep).await;
    check_failure(&answer, 400, "INVALID_INPUT", "the body must be");
    assert!(app.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_impossible_ids_are_not_found() {
    let app = App::start().await;
    let client = app.client("acme");
    for id in ["none", "count", "a%2Fb", "%ff", &"x".repeat(300)] {
        for (method, path, call) in [
            (Method::GET, "/v1/sessions", ""),
            (Method::DELETE, "/v1/agent-sessions", ""),
            (Method::POST, "/v1/sessions", "/terminate"),
            (Method::GET, "/v1/agents", ""),
            (Method::GET, "/v1/agents", "/trust-score"),
            (Method::GET, "/v1/machine-identity/trust", "/score"),
            (Method::POST, "/v1/agents", "/suspend"),
            (Method::POST, "/v1/agents", "/kill"),
        ] {
            let what = if path.ends_with("sessions") {
                "session"
            } else {
                "agent"
            };
            let path = format!("{path}/{id}{call}");
            let answer = send(&client, method, &path, "{}").await;
            let failure = check_failure(&answer, 404, "NOT_FOUND", "");
            assert_eq!(failure["message"], format!("there is no such {what}"));
        }
    }
    let answer = post(&client, "/v1/agent-sessions", &json!({"agent_id": "none"})).await;
    check_failure(&answer, 404, "NOT_FOUND", "the agent is not known");
    for path in [
        "/v1/guardrails/check",
        "/v1/agents/a/delegations",
        "/v1/machine-identity/receipts",
    ] {
        let answer = send(&client, Method::POST, path, "{}").await;
        check_failure(
            &answer,
            404,
            "NOT_FOUND",
            &format!("there is no {path} in this API"),
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_gets_no_scope_that_its_agent_lacks() {
    let app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:*", "!a:delete"]).await;
    for (scopes, status) in [
        (json!(["a:read"]), 201),
        (json!(["a:*", "!a:delete"]), 201),
        (json!(["b:read"]), 403),
        (json!(["a:delete"]), 403),
    ] {
        let body = json!({"agent_id": id, "scopes": scopes});
        let answer = post(&client, "/v1/agent-sessions", &body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    // An agent registered without scopes has none.
    let bare = made(&post(&client, "/v1/agents", &json!({"name": "bare"})).await);
    assert_eq!(bare["scopes"], json!([]));
    let body = json!({"agent_id": bare["id"], "scopes": ["a:read"]});
    let answer = post(&client, "/v1/agent-sessions", &body).await;
    check_failure(&answer, 403, "FORBIDDEN", "the scopes go beyond");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_do_what_its_roles_and_its_agent_allow() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let reader = app
        .client_with_key("acme", [Role::Read].into_iter().collect())
        .await;
    let writer = app
        .client_with_key("acme", [Role::Write].into_iter().collect())
        .await;
    let (id, other) = (
        agent(&writer, &["a:b"]).await,
        agent(&writer, &["a:b"]).await,
    );
    let theirs = session(&writer, &other).await;
    let answer = post(&reader, "/v1/agents", &json!({"name": "x"})).await;
    check_failure(&answer, 403, "FORBIDDEN", "roles");
    let answer = send(&writer, Method::GET, "/v1/agent-sessions", "").await;
    check_failure(&answer, 403, "FORBIDDEN", "roles");
    let bound = app.key(Grant {
        agent: Some(AgentId::parse(&id).unwrap()),
        ..grant("acme", [Role::Read, Role::Write].into_iter().collect())
    });
    let bound = app.client("acme").with_key(&bound.await);
    session(&bound, &id).await;
    let of_other = json!({"agent_id": other});
    let answer = post(&bound, "/v1/agent-sessions", &of_other).await;
    check_failure(&answer, 403, "FORBIDDEN", "a session of another agent");
    // What the credential may not see looks as if it were not there.
    let path = format!("{}/terminate", path_of(&theirs));
    let answer = post(&bound, &path, &json!({})).await;
    check_failure(&answer, 404, "NOT_FOUND", "no such session");
    for path in ["/v1/agents".to_owned(), format!("/v1/agents/{id}/kill")] {
        let answer = post(&bound, &path, &json!({"name": "x"})).await;
        check_failure(&answer, 403, "FORBIDDEN", "bound to an agent");
    }
    app.stop().await;
}

/// Editors retry after any 5xx, without an idempotency key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_be_written_asks_for_no_retry() {
    let (app, log) = App::start_on_doubtful_log().await;
    let client = app.client("acme");
    log.doubts.store(1, Ordering::SeqCst);
    let answer = post(&client, "/v1/agents", &json!({"name": "ci"})).await;
    check_failure(&answer, 409, "CONFLICT", "may or may not be written");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_wrote_nothing_may_be_retried() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    let body = json!({"name": "fails-unavailable"});
    let answer = post(&client, "/v1/agents", &body).await;
    check_failure(&answer, 503, "UNAVAILABLE", "nothing was written");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(get(&client, "/v1/agents").await["total"], 0);
    app.stop().await;
}

/// A suspension was once lost, because the second half of the update waited for the verdict of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_of_an_update_without_a_verdict_are_on_the_log() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let id = app.fold_during(agent(&client, &["a:b"])).await;
    let path = format!("/v1/agents/{id}");
    let answer = send(&client, Method::PATCH, &path, BOTH_HALVES).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let head = app.log().head().await.unwrap();
    let pending = answer.json();
    assert_eq!(
        (&pending["status"], &pending["position"]),
        (&json!("pending"), &json!(head))
    );
    app.fold_during(app.projection.reach(head)).await;
    let row = get(&client, &path).await;
    assert_eq!(
        (&row["description"], &row["status"]),
        (&json!("d"), &json!("suspended"))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_for_a_half_done_update_names_the_done_half() {
    let mut picky = None;
    let app = App::start_on(|log| {
        let log = Arc::new(PickyLog::new(log));
        picky = Some(Arc::clone(&log));
        log
    })
    .await;
    let log = picky.unwrap();
    let client = app.client("acme");
    let why = || "the test says so".to_owned();
    for error in [LogError::unavailable(why()), LogError::unconfirmed(why())] {
        let path = format!("/v1/agents/{}", agent(&client, &["a:b"]).await);
        log.refuse("agent.suspended", error);
        let answer = send(&client, Method::PATCH, &path, BOTH_HALVES).await;
        let said = "the change of the fields is on the log; that of the status is not made";
        check_failure(&answer, 409, "CONFLICT", said);
        assert_eq!(answer.header("retry-after"), "");
        let row = get(&client, &path).await;
        assert_eq!(
            (&row["description"], &row["status"]),
            (&json!("d"), &json!("active"))
        );
        log.take_all();
        let answer = send(&client, Method::PATCH, &path, BOTH_HALVES).await;
        assert_eq!(answer.ok()["status"], "suspended");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_a_verdict_yet_is_pending() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let answer = post(&client, "/v1/sessions", &json!({"agent_id": "a1"})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let pending = answer.json();
    assert_eq!(
        (&pending["status"], &pending["position"]),
        (&json!("pending"), &json!(1))
    );
    assert_eq!(pending["id"], pending["sessionId"]);
    assert!(pending["token"].is_string() && pending["refresh_token"].is_string());
    let answer = post(&client, "/v1/agents", &json!({"name": "ci"})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json()["id"], answer.json()["agentId"]);
    app.stop().await;
}
