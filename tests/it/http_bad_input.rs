//! Bad input: each kind gets its own code and says what is wrong, and the ledger keeps working.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

const LIST: &str = "/v1/agent-sessions";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

/// Bad queries of a listing, each with its code and the fields that the problem names.
const BAD_QUERIES: &[(&str, &str, &str)] = &[
    ("agentid=a", "unknown_parameter", "agentid"),
    ("Status=active", "unknown_parameter", "Status"),
    ("limit=0", "invalid_parameter", "limit"),
    ("limit=201", "invalid_parameter", "limit"),
    ("limit=abc", "invalid_parameter", "limit"),
    ("limit=", "invalid_parameter", "limit"),
    ("limit=%2B5", "invalid_parameter", "limit"),
    ("limit=5&limit=5", "invalid_parameter", "limit"),
    ("offset=-1", "invalid_parameter", "offset"),
    ("offset=99999999999999999999", "invalid_parameter", "offset"),
    ("status=open", "invalid_parameter", "status"),
    ("status=active,expired", "invalid_parameter", "status"),
    ("status=active&status=", "invalid_parameter", "status"),
    (
        "created_after=yesterday",
        "invalid_parameter",
        "created_after",
    ),
    (
        "created_before=2026-01-31T00:00:00",
        "invalid_parameter",
        "created_before",
    ),
    ("agent_id=", "invalid_parameter", "agent_id"),
    ("agent_id=a%2Fb", "invalid_parameter", "agent_id"),
    ("agent_id=%FF", "invalid_parameter", "agent_id"),
    ("min_position=first", "invalid_parameter", "min_position"),
    ("limit=0&offset=x", "invalid_parameter", "limit, offset"),
    ("cursor=x&offset=1", "invalid_parameter", "cursor"),
    (
        "agent_id=a&project_id=p",
        "unsupported_filter",
        "project_id",
    ),
    (
        "user_id=u&parent_session_id=s",
        "unsupported_filter",
        "user_id",
    ),
    ("root=yes", "invalid_parameter", "root"),
    ("root=", "invalid_parameter", "root"),
    ("agent_id=a&agent_id=", "invalid_parameter", "agent_id"),
    (
        "parent_session_id=a%2Fb",
        "invalid_parameter",
        "parent_session_id",
    ),
    ("expires_before=now", "unknown_parameter", "expires_before"),
    (
        "sort=updated_at&order=asc",
        "unknown_parameter",
        "sort, order",
    ),
    ("cursor=garbage", "invalid_cursor", "cursor"),
    ("cursor=", "invalid_cursor", "cursor"),
];

/// Returns a `session.created` with some members replaced. Null removes a member.
fn changed(changes: &Value) -> Value {
    let mut event = created("s1", "a1", NOW);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            event.as_object_mut().unwrap().remove(name);
        } else {
            event[name] = value.clone();
        }
    }
    event
}

/// Returns the fields that a problem names.
fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(
        errors
            .iter()
            .all(|error| !error["message"].as_str().unwrap().is_empty())
    );
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect()
}

/// Invalid bodies, each with the status, code and fields of its answer.
fn unfit_events() -> Vec<(String, u16, &'static str, &'static str)> {
    let with = |changes: Value| changed(&changes).to_string();
    let expired = event("x", "session.expired", "s1", &json!({"expires_at": NOW}));
    let long = json!({"pad": "x".repeat(64 * 1024)});
    vec![
        (String::new(), 400, "not_json", ""),
        ("nonsense".to_owned(), 400, "not_json", ""),
        ("{\"id\":".to_owned(), 400, "not_json", ""),
        ("[]".to_owned(), 400, "not_json", ""),
        (
            with(json!({"specversion": "0.3"})),
            400,
            "invalid",
            "specversion",
        ),
        (
            with(json!({"id": null, "source": 7})),
            400,
            "invalid",
            "source, id",
        ),
        (with(json!({"data": {}})), 400, "invalid", "data.agent_id"),
        (with(json!({"subject": "a/b"})), 400, "invalid", "subject"),
        (with(json!({"time": "noon"})), 400, "invalid", "time"),
        (
            with(json!({"type": "session.opened"})),
            400,
            "unknown_type",
            "type",
        ),
        (
            with(json!({"tenantid": "other"})),
            403,
            "tenant_mismatch",
            "tenantid",
        ),
        (with(long), 413, "too_large", ""),
        (expired.to_string(), 403, "reserved_type", "type"),
        (
            with(json!({"type": "ledger.rules"})),
            403,
            "reserved_type",
            "type",
        ),
    ]
}

/// Checks that the ledger still accepts, folds and shows an event.
async fn assert_goes_on(client: &Client) {
    client.apply(&created("still-here", "a1", NOW)).await;
    client.get(&format!("{LIST}/still-here")).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_listing_query_is_reported_field_by_field() {
    let app = App::start().await;
    let client = app.client("acme");
    for (query, code, wrong) in BAD_QUERIES {
        let problem = client
            .get(&format!("{LIST}?{query}"))
            .await
            .problem(400, code);
        assert_eq!(fields(&problem).join(", "), *wrong, "{query}");
    }
    let problem = client
        .get(&format!("{LIST}?min_position=99"))
        .await
        .problem(409, "position_beyond_head");
    assert_eq!(fields(&problem), ["min_position"]);
    let long = format!("{LIST}?agent_id={}", "x".repeat(300));
    client.get(&long).await.problem(400, "invalid_parameter");
    let problem = client
        .get(&format!("{LIST}?limit=201"))
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(
        problem["detail"],
        "`limit` must be a whole number from 1 to 200"
    );
    let problem = client
        .get(&format!("{LIST}?agentid=a"))
        .await
        .problem(400, "unknown_parameter");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("agent_id, project_id, parent_session_id")
    );
    let problem = client
        .get(&format!("{LIST}?sort=updated_at"))
        .await
        .problem(400, "unknown_parameter");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("`sort` cannot be chosen: sessions are listed newest first"));
    let many = vec!["agent_id=a"; 17].join("&");
    let problem = client
        .get(&format!("{LIST}?{many}"))
        .await
        .problem(400, "invalid_parameter");
    assert_eq!(
        problem["detail"],
        "`agent_id` must be given at most 16 times"
    );
    let long = format!("{LIST}?user_id={}", "%C3%A4".repeat(513));
    client.get(&long).await.problem(400, "invalid_parameter");
    assert_goes_on(&client).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_routes_check_their_parameters_too() {
    let app = App::start().await;
    let client = app.client("acme");
    for (path, code, wrong) in [
        (
            "/v1/agent-sessions/count?limit=1",
            "unknown_parameter",
            vec!["limit"],
        ),
        (
            "/v1/agent-sessions/s1?as_off=1",
            "unknown_parameter",
            vec!["as_off"],
        ),
        (
            "/v1/agent-sessions/s1/events?limit=1001",
            "invalid_parameter",
            vec!["limit"],
        ),
        ("/v1/agent-sessions/a%2Fb", "invalid_parameter", vec!["id"]),
        ("/v1/agent-sessions/%FF", "invalid_parameter", vec!["id"]),
        (
            "/v1/agent-sessions/stream?window=201",
            "invalid_parameter",
            vec!["window"],
        ),
        (
            "/v1/events/stream?before=1",
            "unknown_parameter",
            vec!["before"],
        ),
        ("/v1/events?limit=1001", "invalid_parameter", vec!["limit"]),
        (
            "/v1/events?type=session.opened",
            "invalid_parameter",
            vec!["type"],
        ),
        ("/v1/events?after=-1", "invalid_parameter", vec!["after"]),
        ("/v1/events/0", "invalid_parameter", vec!["position"]),
        ("/v1/events/last", "invalid_parameter", vec!["position"]),
        (
            "/v1/rejections?reason=bad",
            "invalid_parameter",
            vec!["reason"],
        ),
        ("/v1/status?verbose=1", "unknown_parameter", vec!["verbose"]),
    ] {
        let problem = client.get(path).await.problem(400, code);
        assert_eq!(fields(&problem), wrong, "{path}");
    }
    client
        .get("/v1/agent-sessions/nobody")
        .await
        .problem(404, "not_found");
    client
        .get("/v1/agent-sessions/nobody/events")
        .await
        .problem(404, "not_found");
    client.get("/v1/events/77").await.problem(404, "not_found");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_works_only_for_the_listing_that_it_came_from() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..3 {
        client
            .apply(&created(&format!("s{number}"), "a", NOW))
            .await;
    }
    let page = client.get(&format!("{LIST}?agent_id=a&limit=1")).await.ok();
    let cursor = page["next_cursor"].as_str().unwrap();
    client
        .get(&format!(
            "{LIST}?agent_id=a&limit=2&offset=0&cursor={cursor}"
        ))
        .await
        .ok();
    for query in ["agent_id=b", "status=active&agent_id=a", "limit=1"] {
        let answer = client.get(&format!("{LIST}?{query}&cursor={cursor}")).await;
        assert_eq!(fields(&answer.problem(400, "cursor_mismatch")), ["cursor"]);
    }
    let other = app.client("other");
    let answer = other
        .get(&format!("{LIST}?agent_id=a&cursor={cursor}"))
        .await;
    answer.problem(400, "cursor_mismatch");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_must_name_one_tenant() {
    let app = App::start().await;
    let client = app.client("acme");
    let bare = client
        .send_bare(Method::GET, LIST, HeaderMap::new(), Vec::new())
        .await;
    let problem = bare.problem(400, "tenant_required");
    assert!(problem["detail"].as_str().unwrap().contains("X-Tenant-ID"));
    for tenant in ["", "a.b", "a b", "*", &"x".repeat(65)] {
        let headers = [("x-tenant-id", tenant)];
        let answer = client.send(Method::GET, LIST, &headers, Vec::new()).await;
        answer.problem(400, "invalid_tenant");
    }
    let twice = [("x-tenant-id", "acme"), ("x-tenant-id", "other")];
    let answer = client.send(Method::GET, LIST, &twice, Vec::new()).await;
    answer.problem(400, "invalid_tenant");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_event_is_rejected_and_nothing_is_written() {
    let app = App::start().await;
    let client = app.client("acme");
    for (body, status, code, wrong) in unfit_events() {
        let answer = client.post("/v1/events", STRUCTURED, body.clone()).await;
        let problem = answer.problem(status, code);
        assert_eq!(fields(&problem).join(", "), wrong, "{body:.200}");
        assert!(problem["position"].is_null());
    }
    assert!(app.is_empty());
    assert_goes_on(&client).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_types_and_sizes_are_limited() {
    let app = App::start().await;
    let client = app.client("acme");
    let body = created("s1", "a1", NOW).to_string();
    for content_type in [
        "",
        "text/plain",
        "application/xml",
        "application/json; charset=latin1",
    ] {
        let answer = client.post("/v1/events", content_type, body.clone()).await;
        answer.problem(415, "unsupported_media_type");
    }
    let huge = vec![b' '; 8 * 1024 * 1024 + 1];
    let answer = client.post("/v1/events", STRUCTURED, huge).await;
    answer.problem(413, "request_too_large");
    let many = vec![json!({}); 1001];
    let answer = client
        .post("/v1/events", BATCHED, Value::from(many).to_string())
        .await;
    answer.problem(413, "batch_too_large");
    let answer = client
        .post("/v1/events?wait=maybe", STRUCTURED, body.clone())
        .await;
    answer.problem(400, "invalid_parameter");
    let answer = client.post("/v1/events?async=1", STRUCTURED, body).await;
    answer.problem(400, "unknown_parameter");
    assert_goes_on(&client).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_event_is_a_problem_that_names_its_position() {
    let app = App::start().await;
    let client = app.client("acme");
    let first = created("s1", "a1", NOW);
    client.apply(&first).await;
    let mut other_body = first.clone();
    other_body["data"]["agent_id"] = json!("a2");
    let mut taken = first.clone();
    taken["id"] = json!("another");
    let mut orphan = created("s2", "a3", NOW);
    orphan["data"]["parent_session_id"] = json!("nobody");
    let mut timeless = created("s3", "a3", NOW);
    timeless["data"]["expires_at"] = json!(NOW);
    let suspend = event("x1", "agent.suspended", "a1", &json!({}));
    let reinstate = event("x2", "agent.reinstated", "a2", &json!({}));
    client.apply(&suspend).await;
    let terminate = |id| event(id, "session.terminated", "s1", &json!({}));
    client.apply(&terminate("t1")).await;
    for (wrong, status, code) in [
        (other_body, 409, "id_reused"),
        (taken, 409, "already_exists"),
        (orphan, 422, "unknown_parent"),
        (timeless, 422, "deadline_not_after_time"),
        (created("s4", "a1", NOW), 403, "agent_suspended"),
        (reinstate, 404, "not_found"),
        (terminate("t2"), 409, "already_ended"),
        (
            event("r1", "session.refreshed", "s1", &json!({})),
            409,
            "not_active",
        ),
    ] {
        let problem = client.emit(&wrong).await.problem(status, code);
        assert_eq!(problem["verdict"], "rejected");
        let position = problem["position"].as_u64().unwrap();
        let stored = client.get(&format!("/v1/events/{position}")).await.ok();
        assert_eq!(
            (&stored["reason"], &stored["event"]),
            (&json!(code), &wrong)
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_far_future_times_become_the_logs_time() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&changed(&json!({"time": null}))).await;
    let row = client.get(&format!("{LIST}/s1")).await.ok();
    assert_eq!(
        (&row["created_at"], &row["time_adjusted"]),
        (&json!(NOW), &json!(false))
    );
    client
        .apply(&created("s2", "a1", "2026-01-31T12:05:01Z"))
        .await;
    let row = client.get(&format!("{LIST}/s2")).await.ok();
    assert_eq!(
        (&row["created_at"], &row["time_adjusted"]),
        (&json!(NOW), &json!(true))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_records_that_bypass_the_api_are_listed_with_their_reason() {
    let app = App::start().await;
    let client = app.client("acme");
    client
        .apply(&changed(
            &json!({"data": {"agent_id": "a1", "ttl_seconds": 60}}),
        ))
        .await;
    let expired =
        |due| event("x", "session.expired", "s1", &json!({"expires_at": due})).to_string();
    let terminated = event("t", "session.terminated", "s1", &json!({})).to_string();
    let due = "2026-01-31T12:01:00Z";
    for (subject, body, reason) in [
        (
            "ledger.v1.acme.session.created",
            b"\xff\x00".to_vec(),
            "not_json",
        ),
        (
            "ledger.v1.acme.session.created",
            b"{\"id\":\"\\ud800\"}".to_vec(),
            "invalid",
        ),
        (
            "ledger.v1.acme.session.created",
            terminated.into_bytes(),
            "subject_mismatch",
        ),
        (
            "ledger.v1.acme.session.created",
            expired(due).into_bytes(),
            "subject_mismatch",
        ),
        (
            "ledger.sys.v1.acme.session.expired",
            expired(due).into_bytes(),
            "not_due",
        ),
        (
            "ledger.sys.v1.acme.session.expired",
            expired(NOW).into_bytes(),
            "refreshed_since",
        ),
    ] {
        let position = app.publish(subject, body.clone()).await;
        let path = format!("/v1/rejections?reason={reason}&limit=1&min_position={position}");
        let page = client.get(&path).await.ok();
        let found = &page["events"][0];
        assert_eq!(
            (&found["position"], &found["reason"]),
            (&json!(position), &json!(reason))
        );
        // An unpaired surrogate would break the page for most JSON parsers.
        let readable = serde_json::from_slice::<Value>(&body).ok();
        assert_eq!(found["event"], json!(readable));
        assert_eq!(found["raw_base64"].is_null(), readable.is_some());
        let decodable = ["not_due", "refreshed_since"].contains(&reason);
        assert_eq!(found["errors"].is_null(), decodable, "{found}");
    }
    let row = client.get(&format!("{LIST}/s1")).await.ok();
    assert_eq!(row["status"], "active");
    assert_goes_on(&client).await;
    app.stop().await;
}
