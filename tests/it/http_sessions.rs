//! Sessions end to end: events go in with `POST /v1/events`, and listings show the sessions in pages.

use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created, event};

/// Opens sessions of two agents, one second apart; `s0` is the oldest.
async fn fill(client: &Client, count: usize) {
    let events: Vec<Value> = (0..count)
        .map(|number| {
            let time = format!("2026-01-31T11:{:02}:{:02}Z", number / 60, number % 60);
            let agent = ["a", "b"][number % 2];
            created(&format!("s{number}"), agent, &time)
        })
        .collect();
    let body = Value::from(events).to_string();
    let answer = client
        .post("/v1/events", "application/cloudevents-batch+json", body)
        .await;
    for result in answer.ok()["results"].as_array().unwrap() {
        assert_eq!(result["verdict"], "applied");
    }
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["sessions"].as_array().unwrap();
    rows.iter()
        .map(|row| row["session_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_has_every_field_and_null_for_missing_values() {
    let app = App::start().await;
    let client = app.client("acme");
    client
        .apply(&created("s1", "a1", "2026-01-31T11:59:59.5Z"))
        .await;
    let row = client.get("/v1/agent-sessions/s1").await.ok();
    let expected = json!({
        "session_id": "s1", "agent_id": "a1", "agent_name": null, "agent_key_id": null,
        "status": "active", "phase": null, "outcome": null, "scopes": [], "metadata": {},
        "expires_at": null, "parent_session_id": null, "handed_off_to": null,
        "handed_off_session_id": null, "project_id": null, "user_id": null, "machine_id": null,
        "caller_role": null, "caller_origin": null, "ip_address": null, "user_agent": null,
        "refreshed_at": null, "terminated_at": null, "deleted_at": null,
        "last_activity_at": "2026-01-31T11:59:59.500000Z",
        "created_at": "2026-01-31T11:59:59.500000Z", "recorded_at": NOW,
        "updated_at": "2026-01-31T11:59:59.500000Z", "time_adjusted": false,
    });
    assert_eq!(row, expected);
    let page = client.get("/v1/agent-sessions").await.ok();
    assert_eq!(page["sessions"], json!([expected]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_by_offset_and_by_cursor_cover_the_whole_list() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client, 7).await;
    let whole = client.get("/v1/agent-sessions").await.ok();
    assert_eq!(ids(&whole), ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]);
    assert_eq!(
        (&whole["total"], &whole["limit"], &whole["offset"]),
        (&json!(7), &json!(50), &json!(0))
    );
    assert_eq!(whole["next_cursor"], Value::Null);
    assert_eq!(
        whole["as_of"],
        json!({"position": 8, "time": NOW, "caught_up": true})
    );

    let second = client.get("/v1/agent-sessions?limit=3&offset=3").await.ok();
    assert_eq!(ids(&second), ["s3", "s2", "s1"]);
    let beyond = client.get("/v1/agent-sessions?offset=99").await.ok();
    assert_eq!((ids(&beyond).len(), &beyond["total"]), (0, &json!(7)));

    let (mut seen, mut path) = (Vec::new(), "/v1/agent-sessions?limit=3".to_owned());
    loop {
        let page = client.get(&path).await.ok();
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/agent-sessions?limit=3&cursor={cursor}");
        // A session that arrives meanwhile is newer, so it comes before the first page.
        client
            .apply(&created(&format!("late-{}", seen.len()), "a", NOW))
            .await;
        assert_eq!(client.get(&path).await.ok()["offset"], Value::Null);
    }
    assert_eq!(seen, ids(&whole));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_narrow_lists_and_counts_alike() {
    let app = App::start().await;
    let client = app.client("acme");
    fill(&client, 6).await;
    client
        .apply(&event(
            "t1",
            "session.terminated",
            "s1",
            &json!({"outcome": "error"}),
        ))
        .await;
    let mut in_project = created("p1", "c", "2026-01-31T10:00:00Z");
    in_project["data"]["project_id"] = json!("north");
    client.apply(&in_project).await;
    for (query, expected) in [
        ("agent_id=b", vec!["s5", "s3", "s1"]),
        ("agent_id=b&status=active", vec!["s5", "s3"]),
        ("status=terminated", vec!["s1"]),
        ("status=terminated&status=expired", vec!["s1"]),
        ("outcome=error", vec!["s1"]),
        ("outcome=completed&outcome=error", vec!["s1"]),
        ("outcome=completed", vec![]),
        ("outcome=completed&status=terminated", vec![]),
        (
            "agent_id=b&outcome=completed&status=active&status=terminated",
            vec!["s5", "s3"],
        ),
        ("agent_id=nobody", vec![]),
        ("project_id=north", vec!["p1"]),
        ("created_after=2026-01-31T11:00:04Z", vec!["s5", "s4"]),
        ("created_before=2026-01-31T11:00:01Z", vec!["s0", "p1"]),
        (
            "created_after=2026-01-31T13:00:04%2B02:00&created_before=2026-01-31T11:00:05Z",
            vec!["s4"],
        ),
    ] {
        let page = client
            .get(&format!("/v1/agent-sessions?{query}"))
            .await
            .ok();
        assert_eq!(ids(&page), expected, "{query}");
        let count = client
            .get(&format!("/v1/agent-sessions/count?{query}"))
            .await
            .ok();
        assert_eq!(
            (&count["total"], &page["total"]),
            (&json!(expected.len()), &count["total"])
        );
    }
    let count = client.get("/v1/agent-sessions/count").await.ok();
    let by_status = json!({"active": 6, "terminated": 1, "expired": 0, "handed_off": 0});
    assert_eq!(
        (&count["total"], &count["by_status"]),
        (&json!(7), &by_status)
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_read_shows_a_session_as_expired_as_soon_as_its_deadline_passes() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut short = created("s1", "a", NOW);
    short["data"]["ttl_seconds"] = json!(60);
    client.apply(&short).await;
    app.set_time("2026-01-31T12:00:59.999999Z");
    assert_eq!(
        client.get("/v1/agent-sessions/s1").await.ok()["status"],
        "active"
    );
    app.set_time("2026-01-31T12:01:00Z");
    assert_eq!(
        client.get("/v1/agent-sessions/s1").await.ok()["status"],
        "expired"
    );
    // Listings follow the log, which does not have the expiry yet.
    let page = client.get("/v1/agent-sessions?status=active").await.ok();
    assert_eq!(ids(&page), ["s1"]);
    app.stop().await;
}
