//! JSON bodies as clients send them: their charset, a byte order mark, `null`, and what is no JSON.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::Roles;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created};

const EVENTS: &str = "/v1/events";
const SESSIONS: &str = "/v1/agent-sessions";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";
const JSON: &str = "application/json";

/// A ledger with a key that may do everything.
async fn start() -> (App, Client) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    (app, client)
}

/// A request of each kind that reads JSON: path, media type and a body that is taken.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (EVENTS, STRUCTURED, created("s1", "a1", NOW)),
        (EVENTS, JSON, created("s2", "a1", NOW)),
        (EVENTS, BATCHED, json!([created("s3", "a1", NOW)])),
        ("/v1/agents", JSON, json!({"agent_id": "a2"})),
        (SESSIONS, JSON, json!({"agent_id": "a2"})),
        ("/v1/agents/a2/suspend", JSON, json!({"reason": "a test"})),
        (
            "/v1/agent-sessions/introspect",
            JSON,
            json!({"token": "slat_x"}),
        ),
        ("/v1/keys", JSON, json!({"roles": ["read"]})),
    ]
}

#[track_caller]
fn assert_taken(path: &str, answer: &Answer) {
    assert!(
        [200, 201].contains(&answer.status),
        "{path}: {}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charset_that_says_utf_8_is_taken_and_another_one_is_named() {
    for charset in ["utf8", "US-ASCII", "\"UTF-8\""] {
        let (app, client) = start().await;
        for (path, media_type, body) in requests() {
            let content_type = format!("{media_type}; charset={charset}");
            let answer = client.post(path, &content_type, body.to_string()).await;
            assert_taken(path, &answer);
        }
        app.stop().await;
    }
    let (app, client) = start().await;
    for (path, media_type, body) in requests() {
        let content_type = format!("{media_type}; charset=utf-16");
        let answer = client.post(path, &content_type, body.to_string()).await;
        let problem = answer.problem(415, "unsupported_media_type");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`utf-16`"), "{path}: {detail}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_order_mark_is_skipped() {
    let (app, client) = start().await;
    for (path, content_type, body) in requests() {
        let answer = client
            .post(path, content_type, format!("\u{feff}{body}"))
            .await;
        assert_taken(path, &answer);
    }
    let binary = [
        ("content-type", JSON),
        ("ce-specversion", "1.0"),
        ("ce-id", "e1"),
        ("ce-source", "/tests"),
        ("ce-type", "session.created"),
        ("ce-subject", "s4"),
    ];
    let data = "\u{feff}{\"agent_id\": \"a1\"}".into();
    let answer = client.send(Method::POST, EVENTS, &binary, data).await;
    assert_taken(EVENTS, &answer);
    // The log holds the event without the mark, so that a reader gets JSON back.
    let position = answer.json()["position"].as_u64().unwrap();
    let stored = client.get(&format!("{EVENTS}/{position}")).await.ok();
    assert_eq!(stored["event"]["data"], json!({"agent_id": "a1"}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_is_answered_with_line_column_and_cause() {
    let (app, client) = start().await;
    for (path, content_type, _) in requests() {
        let is_batch = content_type == BATCHED;
        let before = if is_batch { "[\n" } else { "\n" };
        for (text, expected) in [
            ("{\"a\": NaN}", "line 2, column 7, NaN is not a JSON number"),
            ("{\"a\": 1,}", "line 2, column 9, a comma is not"),
            ("{'a': 1}", "line 2, column 2, strings must"),
            ("{\"a\":", "it ends unexpectedly at line 2, column 6"),
        ] {
            let answer = client
                .post(path, content_type, format!("{before}{text}"))
                .await;
            let problem = answer.problem(400, "not_json");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(expected), "{path} {text}: {detail}");
            let message = problem["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(expected), "{path} {text}: {message}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_and_a_batch_under_each_others_type_are_told_the_right_one() {
    let (app, client) = start().await;
    let event = created("s1", "a1", NOW);
    for (content_type, body, right) in [
        (STRUCTURED, json!([event]), BATCHED),
        (BATCHED, event, STRUCTURED),
    ] {
        let answer = client.post(EVENTS, content_type, body.to_string()).await;
        let problem = answer.problem(400, "not_json");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("send {right}")), "{detail}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_taken_like_no_body_where_a_body_may_be_left_out() {
    let (app, client) = start().await;
    let null = |method, path: String| {
        let client = client.clone();
        async move {
            let json = [("content-type", JSON)];
            client.send(method, &path, &json, b" null\n".into()).await
        }
    };
    let answer = null(Method::POST, "/v1/agents".to_owned()).await;
    let agent = answer.json()["agent"]["agent_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for step in ["suspend", "reinstate"] {
        let answer = null(Method::POST, format!("/v1/agents/{agent}/{step}")).await;
        assert_taken(step, &answer);
    }
    let create = json!({"agent_id": agent, "session_id": "s1"}).to_string();
    assert_taken("create", &client.post(SESSIONS, JSON, create).await);
    let answer = null(Method::DELETE, format!("{SESSIONS}/s1")).await;
    assert_eq!(answer.ok()["session"]["status"], "terminated");
    // Where a body must be there, what it lacks is named.
    let answer = null(Method::POST, SESSIONS.to_owned()).await;
    answer.problem(400, "invalid");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_apis_read_json_alike() {
    let (app, _) = start().await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let client = app.client("acme").with_key(&key);
    let path = "/compat/truthlocks/v1/machine-identity/agents";
    let body = "\u{feff}{\"agent_type\": \"worker\", \"display_name\": \"one\"}";
    let answer = client
        .post(path, "application/json; charset=utf8", body)
        .await;
    assert_taken(path, &answer);
    let answer = client.post(path, JSON, "{\"agent_type\": NaN}").await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("line 1, column 16"), "{}", answer.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_in_a_query_may_have_an_offset_without_colon() {
    let (app, client) = start().await;
    client.apply(&created("s1", "a1", NOW)).await;
    for (query, total) in [
        ("created_after=2026-01-31T12:00:00.000000%2B0000", 1),
        ("created_after=2026-01-31T12:00:00%2B00", 1),
        ("created_after=2026-01-31T12:00:00+00:00", 1),
        ("created_before=2026-01-31T12:00:00%2B0000", 0),
        ("created_after=2026-01-31T12:00:00-0800", 0),
    ] {
        let page = client.get(&format!("{SESSIONS}?{query}")).await.ok();
        assert_eq!(page["total"], total, "{query}");
    }
    let answer = client
        .get(&format!("{SESSIONS}?created_after=2026-01-31T12:00:00"))
        .await;
    let problem = answer.problem(400, "invalid_parameter");
    assert!(problem["detail"].as_str().unwrap().contains("an offset"));
    app.stop().await;
}
