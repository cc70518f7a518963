//! Deletion in AGI: what it hides, and what it does not change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::{AgentId, Position};
use session_ledger::projection::Waited;

use super::{SESSIONS, check_failure, create, list, send};
use crate::support::app::{App, NOW, grant};
use crate::support::client::{Client, created, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_has_every_session_once_newest_first_and_no_deleted_one() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut lines = Vec::new();
    for number in 0..900 {
        let time = format!("2026-01-31T11:{:02}:{:02}Z", number / 60, number % 60);
        lines.push(created(&format!("s{number}"), "a1", &time));
        // There are more deleted sessions in a row than rows in a page.
        if (300..600).contains(&number) {
            let id = format!("t{number}");
            let data = json!({"outcome": "deleted"});
            lines.push(event(
                &id,
                "session.terminated",
                &format!("s{number}"),
                &data,
            ));
        }
    }
    for batch in lines.chunks(1000) {
        let body = serde_json::to_vec(batch).unwrap();
        let batched = "application/cloudevents-batch+json";
        assert_eq!(client.post("/v1/events", batched, body).await.status, 200);
    }
    let listed = list(&client).await;
    let ids: Vec<&str> = listed
        .iter()
        .map(|row| row["session_id"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..900)
        .rev()
        .filter(|number| !(300..600).contains(number))
        .map(|number| format!("s{number}"))
        .collect();
    assert_eq!(ids, expected);
    // One call can delete all the others.
    let gone = send(&client, Method::DELETE, "", "").await.ok();
    assert_eq!(gone["message"], "Deleted 600 sessions");
    assert_eq!(list(&client).await, [Value::Null; 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_bound_key_deletes_only_its_own_sessions() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let all = app.client_with_key("acme", Roles::ALL).await;
    let bound = app.key(Grant {
        agent: Some(AgentId::parse("agi-0").unwrap()),
        ..grant("acme", [Role::Read, Role::Write].into_iter().collect())
    });
    let bound = app.client("acme").with_key(&bound.await);
    let other = create(&all, r#"{"agent_name":"agi-0-fast"}"#).await;
    create(&bound, "{}").await;
    let refused = send(&bound, Method::POST, "", r#"{"agent_name":"x"}"#).await;
    check_failure(&refused, 403, "a session of another agent");
    // Another agent's session looks as if it were not there.
    let paused = send(&bound, Method::POST, &format!("/{other}/pause"), "").await;
    check_failure(&paused, 404, "Session not found");
    let deleted = send(&bound, Method::DELETE, &format!("/{other}"), "").await;
    assert_eq!(deleted.ok()["deleted"], false);
    let gone = send(&bound, Method::DELETE, "", "").await.ok();
    assert_eq!(gone["message"], "Deleted 1 sessions");
    let left: BTreeSet<String> = list(&all)
        .await
        .iter()
        .map(|row| row["session_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, [other].into());
    app.stop().await;
}

/// Opens sessions that each end in another way, and one that stays open.
async fn ended_in_every_way(app: &mut App, client: &Client) -> [&'static str; 6] {
    let to = json!({"to_agent_id": "a2", "session_id": "open"});
    for (id, event_type, data) in [
        (
            "completed",
            "session.terminated",
            json!({"outcome": "completed"}),
        ),
        ("closed", "session.terminated", json!({})),
        ("handed_off", "session.handed_off", to),
    ] {
        client.apply(&created(id, "a1", NOW)).await;
        client.apply(&event("end", event_type, id, &data)).await;
    }
    // The ledger itself ends the next two sessions.
    let projection = Arc::clone(&app.projection);
    let by_itself = async |position: u64| {
        let (ended, at_most) = (Position::new(position + 1), Duration::from_mins(1));
        let waited = projection.wait_for(ended, at_most).await;
        assert_eq!(waited, Waited::Reached);
    };
    let mut brief = created("expired", "a3", NOW);
    brief["data"]["ttl_seconds"] = json!(1);
    let opened = client.apply(&brief).await;
    app.set_time("2026-01-31T12:00:01Z");
    app.start_expiry();
    by_itself(opened).await;
    client.apply(&created("revoked", "a4", NOW)).await;
    let revocation = event("r", "agent.revoked", "a4", &json!({}));
    app.start_revocation();
    by_itself(client.apply(&revocation).await).await;
    [
        "completed",
        "closed",
        "handed_off",
        "expired",
        "revoked",
        "open",
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_can_be_deleted_once_and_keeps_how_it_ended() {
    let mut app = App::start().await;
    let client = app.client("acme");
    let ids = ended_in_every_way(&mut app, &client).await;
    let native = async |id: &str| {
        let path = format!("/v1/agent-sessions/{id}");
        client.get(&path).await.ok()
    };
    let mut before = Vec::new();
    for id in ids {
        before.push(native(id).await);
    }
    for id in &ids[..3] {
        let path = format!("/{id}");
        for deleted in [true, false] {
            let answer = send(&client, Method::DELETE, &path, "").await.ok();
            assert_eq!(answer["deleted"], deleted, "{id}: {answer}");
        }
        let gone = client.get(&format!("{SESSIONS}{path}")).await;
        check_failure(&gone, 404, "not found");
    }
    let all = send(&client, Method::DELETE, "", "").await.ok();
    assert_eq!(all["message"], "Deleted 3 sessions");
    assert_eq!(list(&client).await, [Value::Null; 0]);

    for (id, mut before) in ids.into_iter().zip(before) {
        let after = native(id).await;
        assert_eq!(before["deleted_at"], Value::Null);
        let deleted_at = &after["deleted_at"];
        assert!(deleted_at.is_string(), "{id}: {after}");
        before["deleted_at"] = deleted_at.clone();
        before["updated_at"] = deleted_at.clone();
        if id == "open" {
            before["status"] = json!("terminated");
            before["outcome"] = json!("deleted");
            before["terminated_at"] = deleted_at.clone();
        }
        assert_eq!(after, before);
    }
    app.stop().await;
}
