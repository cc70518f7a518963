//! A2A: the published Python client, and requests that it cannot send.

mod cancel;
mod failures;
mod rpc;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::{AgentId, Position};
use std::time::Duration;

use crate::support::app::{App, NOW, grant};
use crate::support::cli::Server;
use crate::support::client::{Answer, Client, created, event};
use crate::support::python;

const CLIENT: &str = include_str!("client.py");
const MOUNT: &str = "/compat/a2a";

/// Opens 120 sessions of two agents: `s4` to `s119`, a second apart, and the chain `h0` to `h3`. Ends some.
async fn fill(app: &mut App, client: &Client) {
    client
        .apply(&created("h0", "a0", "2026-01-31T11:00:00Z"))
        .await;
    for number in 4..120 {
        let time = format!("2026-01-31T11:{:02}:{:02}Z", number / 60, number % 60);
        let (id, agent) = (format!("s{number}"), format!("a{}", number % 2));
        let mut opened = created(&id, &agent, &time);
        if number == 7 {
            opened["data"]["ttl_seconds"] = json!(60);
        }
        client.apply(&opened).await;
    }
    for number in 1..4 {
        let to =
            json!({"to_agent_id": format!("a{}", number % 2), "session_id": format!("h{number}")});
        let from = format!("h{}", number - 1);
        client
            .apply(&event("h", "session.handed_off", &from, &to))
            .await;
    }
    let mut last = 0;
    for (number, outcome) in [
        (4, json!("completed")),
        (5, json!("completed")),
        (6, json!("error")),
        (8, Value::Null),
        (9, json!("deleted")),
        (10, json!("revoked")),
    ] {
        let data = json!({"outcome": outcome});
        let ended = event("t", "session.terminated", &format!("s{number}"), &data);
        last = client.apply(&ended).await;
    }
    // The ledger itself ends `s7`.
    app.start_expiry();
    let (expired, at_most) = (Position::new(last + 1), Duration::from_mins(1));
    app.projection.wait_for(expired, at_most).await;
}

async fn the_client_lists_gets_and_cancels(binding: &str) {
    let mut app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let client = app.client_with_key("acme", Roles::ALL).await;
    fill(&mut app, &client).await;
    let roles = |roles: &[Role]| roles.iter().copied().collect::<Roles>();
    let work = roles(&[Role::Read, Role::Write]);
    let full = app.key(grant("acme", work)).await;
    let read = app.key(grant("acme", roles(&[Role::Read]))).await;
    let foreign = app.key(grant("globex", work)).await;
    let bound = Grant {
        agent: Some(AgentId::parse("a1").unwrap()),
        ..grant("acme", work)
    };
    let bound = app.key(bound).await;
    let url = format!("http://{}{MOUNT}", app.host());
    python::run(CLIENT, &[&url, binding, &full, &read, &foreign, &bound]).await;

    let canceled = client.get("/v1/agent-sessions/s110").await.ok();
    assert_eq!(canceled["status"], "terminated");
    assert_eq!(canceled["outcome"], Value::Null);
    let events = client.get("/v1/agent-sessions/s110/events").await.text;
    assert!(events.contains("canceled over A2A"), "{events}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_lists_gets_and_cancels_over_http_and_json() {
    the_client_lists_gets_and_cancels("HTTP+JSON").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_without_settings_lists_gets_and_cancels() {
    the_client_lists_gets_and_cancels("default").await;
}

/// Sends a request to the dialect.
async fn send(client: &Client, method: Method, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let path = format!("{MOUNT}{path}");
    client.send(method, &path, &json, body.into()).await
}

async fn get(client: &Client, path: &str) -> Answer {
    send(client, Method::GET, path, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_a_session_in_a2as_words() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut opened = created("s1", "a1", NOW);
    opened["data"]["metadata"] = json!({"order": 17});
    opened["data"]["phase"] = json!("running");
    client.apply(&opened).await;
    let session = client.get("/v1/agent-sessions/s1").await.ok();
    let task = json!({
        "id": "s1",
        "contextId": "s1",
        "status": {"state": "TASK_STATE_WORKING", "timestamp": "2026-01-31T12:00:00.000Z"},
        "metadata": {"session": session},
    });
    let one = get(&client, "/tasks/s1").await;
    assert_eq!(one.header("content-type"), "application/a2a+json");
    assert_eq!(one.ok(), task);
    let listed = get(&client, "/tasks").await.ok();
    let expected = json!({"tasks": [task], "nextPageToken": "", "pageSize": 50, "totalSize": 1});
    assert_eq!(listed, expected);
    // Artifacts are left out, unless the client wants them: there are none.
    let listed = get(&client, "/tasks?includeArtifacts=true&historyLength=3")
        .await
        .ok();
    assert_eq!(listed["tasks"][0]["artifacts"], json!([]));
    assert_eq!(get(&client, "/tasks/S1").await.status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_has_its_state_by_the_clock_and_a_list_that_of_the_log() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut opened = created("s1", "a1", NOW);
    opened["data"]["ttl_seconds"] = json!(60);
    client.apply(&opened).await;
    app.set_time("2026-01-31T12:01:00Z");
    let one = get(&client, "/tasks/s1").await.ok();
    let failed = json!({"state": "TASK_STATE_FAILED", "timestamp": "2026-01-31T12:01:00.000Z"});
    assert_eq!(one["status"], failed);
    let listed = get(&client, "/tasks?status=TASK_STATE_WORKING").await.ok();
    assert_eq!(listed["tasks"][0]["status"]["state"], "TASK_STATE_WORKING");
    // Its agent ran out of time, so there is nothing to cancel.
    let canceled = send(&client, Method::POST, "/tasks/s1:cancel", "{}").await;
    assert_eq!(canceled.status, 400, "{}", canceled.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_stays_valid_while_tasks_come_and_change() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..6 {
        let time = format!("2026-01-31T11:00:0{number}Z");
        client
            .apply(&created(&format!("s{number}"), "a1", &time))
            .await;
    }
    let ids = |page: &Value| {
        let tasks = page["tasks"].as_array().unwrap().iter();
        let ids = tasks.map(|task| task["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let first = get(&client, "/tasks?pageSize=3").await.ok();
    assert_eq!(ids(&first), ["s5", "s4", "s3"]);
    client.apply(&created("s9", "a1", NOW)).await;
    // The last task of the page changes, and one of the next page does.
    for id in ["s3", "s1"] {
        let ended = event(
            "t",
            "session.terminated",
            id,
            &json!({"outcome": "completed"}),
        );
        client.apply(&ended).await;
    }
    let token = first["nextPageToken"].as_str().unwrap();
    let next = get(&client, &format!("/tasks?pageSize=3&pageToken={token}"))
        .await
        .ok();
    assert_eq!(ids(&next), ["s2", "s1", "s0"]);
    assert_eq!(
        (&next["totalSize"], &next["nextPageToken"]),
        (&json!(7), &json!(""))
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_is_too_large_is_refused_and_a_deep_task_has_none() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut events = vec![created("c0", "a1", NOW)];
    for number in 1..1_000 {
        let mut opened = created(&format!("c{number}"), "a1", NOW);
        opened["data"]["parent_session_id"] = json!(format!("c{}", number - 1));
        events.push(opened);
    }
    let media_type = "application/cloudevents-batch+json";
    let sent = client.post("/v1/events", media_type, Value::from(events).to_string());
    sent.await.ok();
    let context = "/tasks?contextId=c0&pageSize=1";
    let page = get(&client, context).await.ok();
    assert_eq!(
        (&page["totalSize"], &page["tasks"][0]["id"]),
        (&json!(1_000), &json!("c999"))
    );
    assert_eq!(page["tasks"][0]["contextId"], "c0");

    let mut opened = created("c1000", "a1", NOW);
    opened["data"]["parent_session_id"] = json!("c999");
    client.apply(&opened).await;
    let refused = get(&client, context).await;
    failures::check(
        &refused,
        400,
        "UNSUPPORTED_OPERATION",
        "more than 1000 sessions",
    );
    let deep = get(&client, "/tasks/c1000").await.ok();
    assert_eq!(deep.get("contextId"), None);
    assert_eq!(get(&client, "/tasks/c999").await.ok()["contextId"], "c0");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_card_names_the_address_that_the_client_called() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--dialect", "a2a=127.0.0.1:0"]);
    let (_, rest) = server
        .started()
        .split_once("only the dialect `a2a` on ")
        .unwrap();
    let own = rest.split_whitespace().next().unwrap().to_owned();
    let below = format!("{}{MOUNT}", server.url());
    for base in [&own, &below] {
        let card = Client::new(base, "acme")
            .get("/.well-known/agent-card.json")
            .await
            .ok();
        let urls = card["supportedInterfaces"].as_array().unwrap().iter();
        let urls: Vec<_> = urls
            .map(|one| one["url"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(urls, [base.clone(), format!("{base}/rpc")]);
        let client = Client::new(&urls[0], "acme");
        assert_eq!(client.get("/tasks").await.ok()["totalSize"], 0);
    }
    server.terminate();
}
