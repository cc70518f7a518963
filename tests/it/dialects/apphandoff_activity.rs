//! `AppHandoff`'s agent activity: the present agents, their work, and the history.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::domain::Position;

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created, event};

const PROJECTS: &str = "/compat/apphandoff/api/projects";
const SHOP: &str = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
const BANK: &str = "3489e9ad-2ee2-8e00-8ec9-32d5f69181c1";
const TICKET: &str = "4489e9ad-2ee2-8e00-8ec9-32d5f69181c2";

async fn activity(client: &Client, project: &str) -> Value {
    let path = format!("{PROJECTS}/{project}/agent-activity");
    client.get(&path).await.ok()
}

async fn batch(client: &Client, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let path = format!("{PROJECTS}/agent-activity/batch");
    client.send(Method::POST, &path, &json, body.into()).await
}

/// Connects a runtime to a project.
async fn connect(client: &Client, session: &str, project: &str, time: &str) {
    let mut event = created(session, "a1", time);
    event["data"]["project_id"] = json!(project);
    event["data"]["caller_role"] = json!("backend");
    event["data"]["caller_origin"] = json!("claude-code");
    client.apply(&event).await;
}

async fn refresh(client: &Client, id: &str, session: &str, data: &Value) {
    let refreshed = event(id, "session.refreshed", session, data);
    client.apply(&refreshed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_on_a_ticket_is_shown_during_and_after_the_session() {
    let app = App::start().await;
    let client = app.client("acme");
    connect(&client, "s1", SHOP, NOW).await;
    app.set_time("2026-01-31T12:00:59Z");
    let mut present = json!({
        "ticket_id": null,
        "ticket_number": null,
        "role": "backend",
        "origin": "claude-code",
        "connected_for_s": 59,
        "working_for_s": null,
        "stale": false,
    });
    let shown = |present: &Value, history: &[Value]| {
        json!({
            "sessions": present,
            "checkpoints": [],
            "session_history": history,
        })
    };
    assert_eq!(activity(&client, SHOP).await, shown(&json!([present]), &[]));

    let started = json!({"phase": "running", "metadata": {
        "ticket_id": TICKET, "ticket_number": 17, "work_started_at": "2026-01-31T12:00:59Z",
    }});
    refresh(&client, "start", "s1", &started).await;
    app.set_time("2026-01-31T12:02:04.9Z");
    present["ticket_id"] = json!(TICKET);
    present["ticket_number"] = json!(17);
    present["connected_for_s"] = json!(124);
    present["working_for_s"] = json!(65);
    present["stale"] = json!(true);
    assert_eq!(activity(&client, SHOP).await, shown(&json!([present]), &[]));

    refresh(&client, "stop", "s1", &json!({"phase": "ready"})).await;
    present["working_for_s"] = Value::Null;
    present["stale"] = json!(false);
    assert_eq!(activity(&client, SHOP).await, shown(&json!([present]), &[]));

    let ended = event("t1", "session.terminated", "s1", &json!({}));
    client.apply(&ended).await;
    let done = json!({
        "id": "s1",
        "ticket_id": TICKET,
        "duration_seconds": 124,
        "started_at": "2026-01-31T12:00:00.000Z",
        "ended_at": "2026-01-31T12:02:04.900Z",
        "agent_role": "backend",
        "origin": "claude-code",
    });
    assert_eq!(activity(&client, SHOP).await, shown(&json!([]), &[done]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_silent_for_five_minutes_is_neither_present_nor_in_the_history() {
    let app = App::start().await;
    let client = app.client("acme");
    connect(&client, "s1", SHOP, NOW).await;
    app.set_time("2026-01-31T12:05:01Z");
    let shown = activity(&client, SHOP).await;
    assert_eq!(shown["sessions"], json!([]));
    assert_eq!(shown["session_history"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_has_the_newest_fifty_sessions_of_all_spellings_and_their_ends() {
    let mut app = App::start().await;
    let client = app.client("acme");
    for number in 0..54 {
        let id = format!("s{number}");
        let spelled = if number % 2 == 0 {
            SHOP.to_owned()
        } else {
            SHOP.to_ascii_uppercase()
        };
        let time = format!("2026-01-31T11:00:{number:02}Z");
        connect(&client, &id, &spelled, &time).await;
        let ended = event("t", "session.terminated", &id, &json!({}));
        client.apply(&ended).await;
    }
    let mut brief = created("brief", "a1", NOW);
    brief["data"]["project_id"] = json!(SHOP);
    brief["data"]["ttl_seconds"] = json!(60);
    client.apply(&brief).await;
    connect(&client, "given", SHOP, "2026-01-31T11:59:00Z").await;
    let to = json!({"to_agent_id": "a2", "session_id": "taken"});
    let handed_off = event("h", "session.handed_off", "given", &to);
    let expired = Position::new(client.apply(&handed_off).await + 1);
    app.set_time("2026-01-31T12:02:00Z");
    app.start_expiry();
    let wait = std::time::Duration::from_mins(1);
    app.projection.wait_for(expired, wait).await;

    let shown = activity(&client, SHOP).await;
    assert_eq!(shown["sessions"][0]["role"], "a2");
    let history = shown["session_history"].as_array().unwrap();
    let ids: Vec<&str> = history
        .iter()
        .map(|done| done["id"].as_str().unwrap())
        .collect();
    let mut expected = vec!["brief".to_owned(), "given".to_owned()];
    expected.extend((6..54).rev().map(|number| format!("s{number}")));
    assert_eq!(ids, expected);
    assert_eq!(history[0]["duration_seconds"], 60);
    assert_eq!(history[0]["ended_at"], "2026-01-31T12:01:00.000Z");
    assert_eq!(history[1]["duration_seconds"], 60);
    assert_eq!(history[1]["ended_at"], "2026-01-31T12:00:00.000Z");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_the_single_answer_of_each_project() {
    let app = App::start().await;
    let client = app.client("acme");
    connect(&client, "s1", SHOP, NOW).await;
    connect(&client, "s2", SHOP, NOW).await;
    connect(&client, "s3", BANK, NOW).await;
    client
        .apply(&event("t", "session.terminated", "s3", &json!({})))
        .await;
    let upper = SHOP.to_ascii_uppercase();
    let asked = [BANK, &upper, BANK];
    let body = json!({"project_ids": asked}).to_string();
    let shown = batch(&client, &body).await.ok();
    let mut expected = Vec::new();
    for id in asked {
        let mut one = activity(&client, id).await;
        one["project_id"] = json!(id);
        expected.push(one);
    }
    assert_eq!(shown, json!({"results": expected}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_fails_as_a_whole() {
    let app = App::start().await;
    let client = app.client("acme");
    connect(&client, "s1", SHOP, NOW).await;
    let globex = app.client("globex");
    connect(&globex, "s1", BANK, NOW).await;
    let many = |count: usize| json!({"project_ids": vec![SHOP; count]}).to_string();
    assert_eq!(batch(&client, &many(25)).await.status, 200);
    for foreign in [BANK, "none", "", "a\0b"] {
        let body = json!({"project_ids": [SHOP, foreign, SHOP]}).to_string();
        let answer = batch(&client, &body).await;
        assert_eq!(answer.status, 403, "{foreign}: {}", answer.text);
        assert_eq!(answer.json()["code"], "FORBIDDEN");
    }
    for (body, path) in [
        ("", "project_ids"),
        ("{}", "project_ids"),
        (r#"{"project_ids":null}"#, "project_ids"),
        (r#"{"project_ids":"a"}"#, "project_ids"),
        (r#"{"project_ids":[]}"#, "project_ids"),
        (&*many(26), "project_ids"),
        (r#"{"project_ids":["a",7]}"#, "project_ids.1"),
        ("[]", ""),
        ("{", ""),
        ("\0", ""),
        (r#"{"project_ids":NaN}"#, ""),
    ] {
        let answer = batch(&client, body).await;
        let failure = answer.json();
        assert_eq!(answer.status, 400, "{body}: {failure}");
        assert_eq!(failure["issues"][0]["path"], path, "{body}: {failure}");
        let message = &failure["issues"][0]["message"];
        assert_eq!(&failure["fieldErrors"][path], message, "{body}");
        let error = failure["error"].as_str().unwrap();
        let says = ["must be", "is not JSON"];
        assert!(says.iter().any(|said| error.contains(said)), "{error}");
    }
    app.stop().await;
}
