//! `AppHandoff`: requests from its documents, and which sessions are connected by the ledger's clock.

use std::num::NonZeroU32;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use session_ledger::auth::{RateLimit, RateLimits, Role, Roles};
use session_ledger::domain::Position;

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created, event};

const MOUNT: &str = "/compat/apphandoff";
/// A project id as the vendor's documents write it. `LOWER` is the spelling of databases.
const UPPER: &str = "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0";
const LOWER: &str = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
const EVERY: &str = "00000000-0000-0000-0000-000000000000";

fn sessions_of(project: &str) -> String {
    format!("{MOUNT}/api/projects/{project}/agent-sessions")
}

async fn ids(client: &Client, project: &str, query: &str) -> Vec<String> {
    let path = format!("{}{query}", sessions_of(project));
    let listed = client.get(&path).await.ok();
    let rows = listed["sessions"].as_array().unwrap();
    let id = |row: &Value| row["session_id"].as_str().unwrap().to_owned();
    rows.iter().map(id).collect()
}

/// Returns the event of a runtime that connects to a project.
fn connected(session: &str, project: &str, data: &Value) -> Value {
    let mut event = created(session, "a1", NOW);
    event["data"]["project_id"] = json!(project);
    for (name, value) in data.as_object().unwrap() {
        event["data"][name] = value.clone();
    }
    event
}

/// Checks that an answer is a failure in the vendor's envelope, with no other members.
#[track_caller]
fn check_failure(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (status, &json!(code)),
        "{body}"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()));
    for (name, value) in body.as_object().unwrap() {
        let is_right = match name.as_str() {
            "error" | "code" => value.is_string(),
            "fieldErrors" => value.as_object().unwrap().values().all(Value::is_string),
            "issues" => value.as_array().unwrap().iter().all(|issue| {
                issue["path"].is_string()
                    && issue["message"].is_string()
                    && issue.as_object().unwrap().len() == 2
            }),
            "retryAfter" => value.is_u64(),
            "reconnect" => value.is_boolean() && status == 401,
            _ => false,
        };
        assert!(is_right, "{name}: {body}");
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_documented_request_gets_every_documented_field() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    let data = json!({
        "machine_id": "build-7", "user_id": "u-9", "caller_role": "frontend",
        "caller_origin": "cursor", "metadata": {"unseen": true},
    });
    client.apply(&connected("s1", LOWER, &data)).await;
    app.set_time("2026-01-31T12:00:30.125Z");
    client
        .apply(&event("r1", "session.refreshed", "s1", &json!({})))
        .await;
    let expected = json!({"sessions": [{
        "session_id": "s1",
        "machine_id": "build-7",
        "user_id": "u-9",
        "project_id": LOWER,
        "caller_role": "frontend",
        "caller_origin": "cursor",
        "connected_at": "2026-01-31T12:00:00.000Z",
        "last_activity_at": "2026-01-31T12:00:30.125Z",
    }]});
    for base in ["", "/api"] {
        for query in ["", "?active=true", "?active=false", "?active=1&utm=2"] {
            let path = format!("{MOUNT}{base}/projects/{UPPER}/agent-sessions{query}");
            assert_eq!(client.get(&path).await.ok(), expected, "{path}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_required_text_is_an_empty_text() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&connected("s1", "Shop", &json!({}))).await;
    let row = &client.get(&sessions_of("Shop")).await.ok()["sessions"][0];
    let expected = json!({
        "session_id": "s1",
        "machine_id": "",
        "user_id": "",
        "project_id": "Shop",
        "caller_role": "a1",
        "caller_origin": null,
        "connected_at": "2026-01-31T12:00:00.000Z",
        "last_activity_at": "2026-01-31T12:00:00.000Z",
    });
    assert_eq!(row, &expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_silent_for_five_minutes_is_not_listed_until_its_next_refresh() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&connected("s1", LOWER, &json!({}))).await;
    for (time, expected) in [
        ("2026-01-31T12:05:00Z", &["s1"][..]),
        ("2026-01-31T12:05:00.000001Z", &[]),
    ] {
        app.set_time(time);
        assert_eq!(ids(&client, LOWER, "").await, expected, "{time}");
        assert_eq!(ids(&client, LOWER, "?active=false").await, ["s1"]);
    }
    client
        .apply(&event("r1", "session.refreshed", "s1", &json!({})))
        .await;
    assert_eq!(ids(&client, LOWER, "").await, ["s1"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_session_ends_if_every_refresh_moves_its_deadline() {
    let mut app = App::start().await;
    let client = app.client("acme");
    let five_minutes = json!({"ttl_seconds": 300});
    client.apply(&connected("s1", LOWER, &five_minutes)).await;
    app.set_time("2026-01-31T12:04:00Z");
    let last = event("r1", "session.refreshed", "s1", &five_minutes);
    let last = client.apply(&last).await;
    app.set_time("2026-01-31T12:08:59Z");
    assert_eq!(ids(&client, LOWER, "").await, ["s1"]);
    app.set_time("2026-01-31T12:09:00Z");
    assert_eq!(ids(&client, LOWER, "").await, [""; 0]);
    // The list no longer reads a session that has expired. The reactor starts only here: before, it might
    // also write an expiry for the first deadline, which has moved.
    app.start_expiry();
    let expired = Position::new(last + 1);
    let wait = std::time::Duration::from_mins(1);
    app.projection.wait_for(expired, wait).await;
    let open = client
        .get("/v1/agent-sessions/count?status=active")
        .await
        .ok();
    assert_eq!(open["total"], 0);
    assert_eq!(ids(&client, LOWER, "?active=false").await, ["s1"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_id_that_is_a_uuid_matches_in_any_letter_case() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&connected("s1", LOWER, &json!({}))).await;
    client.apply(&connected("s2", UPPER, &json!({}))).await;
    client.apply(&connected("s3", "Shop", &json!({}))).await;
    let mixed = UPPER.replace("AD-", "ad-");
    client.apply(&connected("s4", &mixed, &json!({}))).await;
    for asked in [LOWER, UPPER, &mixed] {
        let listed = client.get(&sessions_of(asked)).await.ok();
        let rows = listed["sessions"].as_array().unwrap();
        let shown: Vec<_> = rows.iter().map(|row| &row["session_id"]).collect();
        assert_eq!(shown, ["s4", "s2", "s1"], "{asked}");
        assert!(rows.iter().all(|row| row["project_id"] == LOWER));
        let path = format!("/v1/agent-sessions/count?project_id={asked}");
        assert_eq!(client.get(&path).await.ok()["total"], 3);
    }
    // The emitted event is unchanged.
    let events = client.get("/v1/agent-sessions/s4/events").await.ok();
    assert_eq!(events["events"][0]["event"]["data"]["project_id"], mixed);
    assert_eq!(ids(&client, "Shop", "").await, ["s3"]);
    check_failure(&client.get(&sessions_of("shop")).await, 403, "FORBIDDEN");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_zero_project_has_every_session_of_the_tenant() {
    let app = App::start().await;
    let client = app.client("acme");
    assert_eq!(ids(&client, EVERY, "").await, [""; 0]);
    client.apply(&connected("s1", LOWER, &json!({}))).await;
    client.apply(&created("s2", "a1", NOW)).await;
    let globex = app.client("globex");
    globex.apply(&created("s3", "a1", NOW)).await;
    assert_eq!(ids(&client, EVERY, "").await, ["s2", "s1"]);
    let rows = client.get(&sessions_of(EVERY)).await.ok();
    assert_eq!(rows["sessions"][0]["project_id"], Value::Null);
    app.stop().await;
}

/// The project has thousands of sessions that never ended, and few that are alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connected_sessions_are_found_among_thousands_of_silent_ones() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut batch = Vec::new();
    for number in 0..2_000 {
        let mut event = connected(&format!("s{number}"), LOWER, &json!({}));
        event["time"] = json!(format!(
            "2026-01-31T11:{:02}:{:02}.{:03}Z",
            number / 100,
            number / 2 % 50,
            number % 2
        ));
        batch.push(event);
    }
    for events in batch.chunks(1000) {
        let batched = "application/cloudevents-batch+json";
        let body = serde_json::to_vec(events).unwrap();
        let answer = client.post("/v1/events", batched, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    // The oldest session, one in the middle, and the newest.
    for id in ["s0", "s777", "s1999"] {
        client
            .apply(&event("r", "session.refreshed", id, &json!({})))
            .await;
    }
    assert_eq!(ids(&client, LOWER, "").await, ["s1999", "s777", "s0"]);
    let newest_first: Vec<String> = (0..2_000).rev().map(|n| format!("s{n}")).collect();
    assert_eq!(ids(&client, LOWER, "?active=false").await, newest_first);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_have_the_dialects_envelope() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    client.apply(&connected("s1", LOWER, &json!({}))).await;
    let path = sessions_of(LOWER);
    let nobody = client
        .send_bare(Method::GET, &path, HeaderMap::new(), Vec::new())
        .await;
    let body = check_failure(&nobody, 401, "CREDENTIAL_REQUIRED");
    assert_eq!(body["reconnect"], false);
    let stranger = app.client("acme").with_key("ah_k_0123456789abcdef");
    let body = check_failure(&stranger.get(&path).await, 401, "INVALID_CREDENTIAL");
    assert_eq!(body["reconnect"], false);
    let writer = [Role::Write].into_iter().collect();
    let writer = app.client_with_key("acme", writer).await;
    check_failure(&writer.get(&path).await, 403, "ROLE_REQUIRED");
    let answer = client.send(Method::POST, &path, &[], Vec::new()).await;
    check_failure(&answer, 405, "METHOD_NOT_ALLOWED");
    let nowhere = client.get(&format!("{MOUNT}/api/projects")).await;
    check_failure(&nowhere, 404, "ROUTE_NOT_FOUND");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_of_another_tenant_looks_missing() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let acme = app.client_with_key("acme", Roles::ALL).await;
    let globex = app.client_with_key("globex", Roles::ALL).await;
    acme.apply(&connected("s1", LOWER, &json!({}))).await;
    globex.apply(&created("s1", "a1", NOW)).await;
    let never = "00000000-0000-7000-8000-000000000000";
    let long = "x".repeat(300);
    for call in ["agent-sessions", "agent-activity"] {
        let get = async |client: &Client, id: &str| {
            let path = format!("{MOUNT}/api/projects/{id}/{call}");
            check_failure(&client.get(&path).await, 403, "FORBIDDEN")
        };
        let foreign = get(&globex, LOWER).await;
        for missing in [never, "none", "a%00b", "%ff", "a%2Fb", &long] {
            assert_eq!(get(&globex, missing).await, foreign, "{missing}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_tells_a_rate_limited_caller_when_to_retry() {
    let limit = RateLimit {
        per_second: NonZeroU32::MIN,
        burst: NonZeroU32::MIN,
    };
    let app = App::start_with_credentials(|mut credentials| {
        credentials.rate_limits = Some(RateLimits::new(limit));
        credentials
    });
    let app = app.await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    let mut answer = client.get(&sessions_of(EVERY)).await;
    while answer.status == 200 {
        answer = client.get(&sessions_of(EVERY)).await;
    }
    let body = check_failure(&answer, 429, "RATE_LIMITED");
    assert_eq!(body["retryAfter"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_front_end_may_call_and_read_every_answer() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    let origin = ("origin", "https://apphandoff.example");
    let allowed = "access-control-allow-origin";
    let asks = [
        origin,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,x-tenant-id",
        ),
    ];
    let path = format!("{MOUNT}/api/projects/agent-activity/batch");
    let asked = client.send(Method::OPTIONS, &path, &asks, Vec::new()).await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header(allowed), origin.1);
    assert_eq!(asked.header("access-control-allow-methods"), "GET,POST");
    let headers = asked.header("access-control-allow-headers");
    assert_eq!(headers, "accept,authorization,content-type,x-tenant-id");
    for (project, status) in [(EVERY, 200), ("none", 403)] {
        let path = sessions_of(project);
        let answer = client.send(Method::GET, &path, &[origin], Vec::new()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header(allowed), origin.1);
    }
    app.stop().await;
}
