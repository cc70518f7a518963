//! Agents end to end: events about them go in, and listings and single reads show them.

use serde_json::{Value, json};
use session_ledger::http::dto;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

const LIST: &str = "/v1/agents";

/// Returns an event about an agent, at this minute past eleven.
fn agent(id: &str, kind: &str, minute: u32, data: &Value) -> Value {
    let mut event = event(&format!("{kind}-{minute}"), kind, id, data);
    event["time"] = json!(format!("2026-01-31T11:{minute:02}:00Z"));
    event
}

fn ids(page: &Value) -> Vec<&str> {
    let rows = page["agents"].as_array().unwrap();
    rows.iter()
        .map(|row| row["agent_id"].as_str().unwrap())
        .collect()
}

/// Adds six agents, a minute apart; `a0` is the oldest. Only a session names `a5`.
async fn fill(client: &Client) {
    for (number, agent_type, trust_level) in [
        (0, "worker", json!("low")),
        (1, "worker", json!("high")),
        (2, "judge", json!("high")),
        (3, "worker", json!(null)),
        (4, "judge", json!("low")),
    ] {
        let data = json!({"agent_type": agent_type, "trust_level": trust_level});
        let registered = agent(&format!("a{number}"), "agent.registered", number, &data);
        client.apply(&registered).await;
    }
    let session = created("s0", "a5", "2026-01-31T11:05:00Z");
    client.apply(&session).await;
    let none = json!({});
    client
        .apply(&agent("a0", "agent.suspended", 10, &none))
        .await;
    client.apply(&agent("a1", "agent.revoked", 11, &none)).await;
}

#[tokio::test]
async fn an_agent_has_every_field_and_null_for_missing_values() {
    let app = App::start().await;
    let client = app.client("acme");
    let time = "2026-01-31T11:59:59.500000Z";
    client.apply(&created("s1", "a1", time)).await;
    let row = client.get("/v1/agents/a1").await.ok();
    let expected = json!({
        "agent_id": "a1", "agent_type": "unknown", "display_name": null, "description": null,
        "status": "active", "registered": false, "trust_level": null, "trust_score": null,
        "scopes": null, "metadata": {}, "public_key": null, "key_id": null,
        "parent_agent_id": null, "created_by_user_id": null,
        "session_count": 1, "active_session_count": 1, "expires_at": null,
        "suspended_at": null, "revoked_at": null,
        "created_at": time, "recorded_at": NOW, "updated_at": time,
    });
    assert_eq!(row, expected);
    let page = client.get(LIST).await.ok();
    assert_eq!(page["agents"], json!([expected]));
    app.stop().await;
}

#[tokio::test]
async fn a_registered_agent_has_the_registered_fields() {
    let app = App::start().await;
    let client = app.client("acme");
    let data = json!({
        "agent_type": "worker", "display_name": "Anna \"1\"", "description": "reads\nmail",
        "scopes": ["mail:read"], "metadata": {"a": 1.50, "b": [true]}, "trust_level": "high",
        "trust_score": 0.125, "public_key": "k", "key_id": "k-1", "parent_agent_id": "root",
        "created_by_user_id": "u1", "expires_at": "2027-01-31T12:00:00Z",
    });
    client
        .apply(&agent("a1", "agent.registered", 1, &data))
        .await;
    client
        .apply(&agent("a1", "agent.suspended", 2, &json!({})))
        .await;
    client
        .apply(&agent("a1", "agent.revoked", 3, &json!({})))
        .await;
    let answer = client.get("/v1/agents/a1").await;
    let row = answer.ok();
    for (name, value) in data.as_object().unwrap() {
        if name != "expires_at" {
            assert_eq!(&row[name], value, "{name}");
        }
    }
    let at = |minute: u32| json!(format!("2026-01-31T11:{minute:02}:00.000000Z"));
    assert_eq!(
        (&row["status"], &row["registered"]),
        (&json!("revoked"), &json!(true))
    );
    for (name, time) in [
        ("expires_at", json!("2027-01-31T12:00:00.000000Z")),
        ("created_at", at(1)),
        ("suspended_at", at(2)),
        ("revoked_at", at(3)),
        ("updated_at", at(3)),
    ] {
        assert_eq!(row[name], time, "{name}");
    }
    // The JSON is written without serde, but equals serde's. Only numbers keep their digits.
    let as_serde = serde_json::from_str::<dto::Agent>(&answer.text).unwrap();
    let by_hand = answer.text.replace("1.50", "1.5");
    assert_eq!(serde_json::to_string(&as_serde).unwrap(), by_hand);
    app.stop().await;
}

#[tokio::test]
async fn any_combination_of_filters_narrows_the_list_and_its_total() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    for (query, expected) in [
        ("", vec!["a5", "a4", "a3", "a2", "a1", "a0"]),
        ("agent_type=worker", vec!["a3", "a1", "a0"]),
        ("agent_type=unknown", vec!["a5"]),
        ("agent_type=nobody", vec![]),
        ("agent_type=", vec![]),
        ("trust_level=low", vec!["a4", "a0"]),
        ("agent_type=judge&trust_level=low", vec!["a4"]),
        ("agent_type=unknown&trust_level=low", vec![]),
        ("status=active", vec!["a5", "a4", "a3", "a2"]),
        ("status=revoked&status=suspended", vec!["a1", "a0"]),
        ("status=active&trust_level=high", vec!["a2"]),
        (
            "status=suspended&trust_level=low&agent_type=worker",
            vec!["a0"],
        ),
    ] {
        let page = client.get(&format!("{LIST}?{query}")).await.ok();
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_by_offset_and_by_cursor_cover_the_whole_list() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client).await;
    let page = client.get(&format!("{LIST}?limit=4&offset=1")).await.ok();
    assert_eq!(ids(&page), ["a4", "a3", "a2", "a1"]);
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"]),
        (&json!(6), &json!(4), &json!(1))
    );
    assert_eq!(
        page["as_of"],
        json!({"position": 9, "time": NOW, "caught_up": true})
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let last = client.get(&format!("{LIST}?cursor={cursor}")).await.ok();
    assert_eq!((ids(&last), &last["offset"]), (vec!["a0"], &Value::Null));
    assert_eq!(last["next_cursor"], Value::Null);
    for other in ["status=active&", "agent_type=worker&", "trust_level=&"] {
        let answer = client.get(&format!("{LIST}?{other}cursor={cursor}")).await;
        answer.problem(400, "cursor_mismatch");
    }
    let sessions = format!("/v1/agent-sessions?cursor={cursor}");
    client.get(&sessions).await.problem(400, "cursor_mismatch");
    app.stop().await;
}

#[tokio::test]
async fn a_bad_query_is_reported_field_by_field() {
    let app = App::start().await;
    let client = app.client("acme");
    for (query, code, field) in [
        ("type=worker", "unknown_parameter", "type"),
        ("created_after=x", "unknown_parameter", "created_after"),
        ("status=expired", "invalid_parameter", "status"),
        (
            "agent_type=a&agent_type=b",
            "invalid_parameter",
            "agent_type",
        ),
        ("trust_level=%FF", "invalid_parameter", "trust_level"),
        ("limit=201", "invalid_parameter", "limit"),
        ("cursor=x", "invalid_cursor", "cursor"),
    ] {
        let problem = client.get(&format!("{LIST}?{query}")).await;
        let problem = problem.problem(400, code);
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
    let answer = client.get(&format!("{LIST}?min_position=9")).await;
    answer.problem(409, "position_beyond_head");
    // Text of any length and kind is accepted as a type, and matches no agent.
    client.apply(&created("s1", "a1", NOW)).await;
    for odd in ["x".repeat(60_000), "a%00b".to_owned(), "%00".to_owned()] {
        for name in ["agent_type", "trust_level"] {
            let page = client.get(&format!("{LIST}?{name}={odd}")).await.ok();
            assert_eq!(page["total"], 0, "{name}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_agents_counts_follow_its_sessions_in_its_own_tenant_only() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..3 {
        let session = created(&format!("s{number}"), "a1", NOW);
        client.apply(&session).await;
        app.client("globex").apply(&session).await;
    }
    let over = event("t", "session.terminated", "s0", &json!({}));
    client.apply(&over).await;
    let data = json!({"to_agent_id": "a2", "session_id": "child"});
    let handed_off = event("h", "session.handed_off", "s1", &data);
    client.apply(&handed_off).await;
    let counts = async |tenant: &str, id: &str| {
        let row = app.client(tenant).get(&format!("{LIST}/{id}")).await.ok();
        (
            row["session_count"].as_u64().unwrap(),
            row["active_session_count"].as_u64().unwrap(),
        )
    };
    assert_eq!(counts("acme", "a1").await, (3, 1));
    assert_eq!(counts("acme", "a2").await, (1, 1));
    assert_eq!(counts("globex", "a1").await, (3, 3));
    for (tenant, id) in [("globex", "a2"), ("acme", "a3"), ("initech", "a1")] {
        let answer = app.client(tenant).get(&format!("{LIST}/{id}")).await;
        let problem = answer.problem(404, "not_found");
        assert_eq!(problem["detail"], "there is no such agent");
    }
    let page = app.client("initech").get(LIST).await.ok();
    assert_eq!((&page["total"], &page["agents"]), (&json!(0), &json!([])));
    app.stop().await;
}
