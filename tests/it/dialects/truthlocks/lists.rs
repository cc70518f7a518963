//! Listings of sessions: pages, filters, and deadlines that pass.

use serde_json::{Value, json};

use super::{agent, check_failure, get, made, post};
use crate::support::app::App;
use crate::support::client::{Client, created, event};

/// Opens sixty sessions of two agents in turn, a second apart; the last is the newest.
async fn fill(client: &Client) {
    for number in 0..60 {
        let time = format!("2026-01-31T11:00:{number:02}Z");
        let owner = format!("a{}", number % 2);
        client
            .apply(&created(&format!("s{number}"), &owner, &time))
            .await;
    }
    for (number, kind, data) in [
        (0, "session.terminated", json!({"outcome": "error"})),
        (1, "session.terminated", json!({})),
        (
            2,
            "session.handed_off",
            json!({"to_agent_id": "a1", "session_id": "child"}),
        ),
    ] {
        client
            .apply(&event("end", kind, &format!("s{number}"), &data))
            .await;
    }
}

/// Returns the ids of a page, and its total, limit and offset.
fn read(page: &Value) -> (Vec<String>, [u64; 3]) {
    assert_eq!(page["sessions"], page["items"]);
    let rows = page["sessions"].as_array().unwrap();
    let ids = rows
        .iter()
        .map(|row| row["session_id"].as_str().unwrap().to_owned());
    (
        ids.collect(),
        ["total", "limit", "offset"].map(|name| page[name].as_u64().unwrap()),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_the_newest_first_with_the_total_of_its_filter() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    for (path, rows, first, numbers) in [
        ("/v1/agent-sessions", 50, "child", [61, 50, 0]),
        ("/v1/sessions", 25, "child", [61, 25, 0]),
        ("/v1/sessions?limit=200", 61, "child", [61, 200, 0]),
        ("/v1/sessions?limit=1&offset=1", 1, "s59", [61, 1, 1]),
        ("/v1/agent-sessions?offset=60", 1, "s0", [61, 50, 60]),
        ("/v1/agent-sessions?offset=61", 0, "", [61, 50, 61]),
        (
            "/v1/agent-sessions?agent_id=a0&limit=2",
            2,
            "s58",
            [30, 2, 0],
        ),
        (
            "/v1/agent-sessions?agent_id=a1&status=active&limit=2",
            2,
            "child",
            [30, 2, 0],
        ),
        ("/v1/sessions?agentId=a0&limit=2", 2, "s58", [30, 2, 0]),
        // If a parameter has several spellings, the one that the documents list first counts, as in a body.
        (
            "/v1/sessions?agentId=a1&agent_id=a0&limit=2",
            2,
            "s58",
            [30, 2, 0],
        ),
        ("/v1/agent-sessions?status=terminated", 2, "s1", [2, 50, 0]),
        ("/v1/agent-sessions?status=handed_off", 1, "s2", [1, 50, 0]),
        ("/v1/agent-sessions?status=expired", 0, "", [0, 50, 0]),
        (
            "/v1/agent-sessions?status=terminated&status=handed_off",
            3,
            "s2",
            [3, 50, 0],
        ),
        ("/v1/agent-sessions?agent_id=none", 0, "", [0, 50, 0]),
        (
            "/v1/agent-sessions?agent_id=a0&cursor=x&sort=asc",
            30,
            "s58",
            [30, 50, 0],
        ),
        // These parameters are unknown, so they need not be UTF-8.
        (
            "/v1/agent-sessions?id=%FF&%FF=%FF&agent_id=a0",
            30,
            "s58",
            [30, 50, 0],
        ),
    ] {
        let (ids, found) = read(&get(&client, path).await);
        assert_eq!((ids.len(), found), (rows, numbers), "{path}");
        assert_eq!(ids.first().map_or("", String::as_str), first, "{path}");
    }
    // The pages have every session once.
    let mut paged = Vec::new();
    for offset in (0..61).step_by(7) {
        let page = get(&client, &format!("/v1/sessions?limit=7&offset={offset}")).await;
        paged.extend(read(&page).0);
    }
    assert_eq!(paged, read(&get(&client, "/v1/sessions?limit=200").await).0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_query_is_rejected_with_its_parameter() {
    let app = App::start().await;
    let client = app.client("acme");
    for (query, said) in [
        ("limit=0", "limit must be a whole number from 1 to 200"),
        ("limit=201", "limit must be a whole number from 1 to 200"),
        ("limit=ten", "limit must be"),
        ("offset=-1", "offset must be"),
        ("limit=1&limit=2", "limit must be given once"),
        (
            "status=suspended",
            "status must be one of: active, terminated, expired, handed_off",
        ),
        ("agent_id=", "agent_id must have 1 to 256 characters"),
        ("agent_id=a%2Fb", "agent_id must not hold `/`"),
        ("agentId=a%2Fb", "agentId must not hold `/`"),
        ("agent_id=%FF", "agent_id must be UTF-8"),
        ("offset=%FF", "offset must be UTF-8"),
    ] {
        for path in ["/v1/agent-sessions", "/v1/sessions"] {
            let answer = client
                .get(&format!("/compat/truthlocks{path}?{query}"))
                .await;
            check_failure(&answer, 400, "INVALID_INPUT", said);
        }
    }
    app.stop().await;
}

/// Returns the statuses in a list of active sessions, and its total.
async fn active(client: &Client) -> (Vec<Value>, Value) {
    let page = get(client, "/v1/agent-sessions?status=active").await;
    let rows = page["sessions"].as_array().unwrap();
    (
        rows.iter().map(|row| row["status"].clone()).collect(),
        page["total"].clone(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_active_past_its_deadline_even_before_the_expiry_is_on_the_log() {
    let mut app = App::start().await;
    let client = app.client("acme");
    let id = agent(&client, &["a:b"]).await;
    for ttl_minutes in [json!(1), json!(2.0)] {
        let body = json!({"agent_id": id, "ttl_minutes": ttl_minutes});
        made(&post(&client, "/v1/agent-sessions", &body).await);
    }
    app.set_time("2026-01-31T12:00:59.999999Z");
    assert_eq!(active(&client).await, (vec![json!("active"); 2], json!(2)));
    app.set_time("2026-01-31T12:01:00Z");
    let still_listed = vec![json!("active"), json!("expired")];
    assert_eq!(active(&client).await, (still_listed, json!(2)));
    // Once the expiry is on the log, the listing follows.
    app.start_expiry();
    let session = app.projection.position().next();
    app.projection
        .wait_for(session, std::time::Duration::from_mins(1))
        .await;
    assert_eq!(active(&client).await, (vec![json!("active")], json!(1)));
    let expired = get(&client, "/v1/agent-sessions?status=expired").await;
    assert_eq!(expired["total"], 1);
    assert_eq!(expired["items"][0]["status"], "expired");
    app.stop().await;
}
