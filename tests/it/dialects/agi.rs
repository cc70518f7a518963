//! AGI: the published Python client, and what it cannot send.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::{AgentId, Position};

use crate::support::app::{App, NOW, grant};
use crate::support::cli::Server;
use crate::support::client::{Answer, Client, created, event};
use crate::support::faulty_log::{DoubtfulLog, FaultyLog};
use crate::support::python;

const CLIENT: &str = include_str!("agi_client.py");
const SESSIONS: &str = "/compat/agi/v1/sessions";

async fn send(client: &Client, method: Method, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let path = format!("{SESSIONS}{path}");
    client.send(method, &path, &json, body.into()).await
}

async fn list(client: &Client) -> Vec<Value> {
    let listed = client.get(SESSIONS).await.ok();
    listed.as_array().unwrap().clone()
}

/// Creates a session; its id.
async fn create(client: &Client, body: &str) -> String {
    let made = send(client, Method::POST, "", body).await.ok();
    made["session_id"].as_str().unwrap().to_owned()
}

/// A failure in the words of every client.
#[track_caller]
fn check_failure(answer: &Answer, status: u16, said: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains(said), "{said}: {body}");
    assert_eq!(body["message"], body["detail"]);
    assert!(body.get("error").is_none(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_sessions_with_keys_of_the_ledger() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let key = app.key(grant("acme", Roles::ALL)).await;
    let foreign = app.key(grant("globex", Roles::ALL)).await;
    let url = format!("http://{}/compat/agi", app.host());
    let printed = python::run(CLIENT, &[&url, &key, &foreign]).await;

    // What it deleted is on the ledger, without what must not stay there.
    let acme = app.client("acme").with_key(&key);
    let path = format!("/v1/agent-sessions/{}", printed.trim());
    let kept = acme.get(&path).await.ok();
    assert_eq!(kept["status"], "terminated");
    assert_eq!(kept["outcome"], "deleted");
    assert_eq!(kept["agent_id"], "agi-2-claude");
    assert_eq!(kept["expires_at"], Value::Null);
    assert_eq!(
        kept["metadata"],
        json!({
            "agent_session_type": "desktop",
            "environment_type": "ubuntu-1",
            "restore_from_environment_id": "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e",
        })
    );
    let events = acme.get("/v1/events").await.text;
    for unkept in ["calculator", "hooks.example", "cdp.example"] {
        assert!(!events.contains(unkept), "{unkept}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_client_runs_sessions_at_an_address_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--dialect", "agi=127.0.0.1:0"]);
    let (_, rest) = server.started().split_once("`agi` alone on ").unwrap();
    let url = rest.split_whitespace().next().unwrap();
    python::run(CLIENT, &[url, "tenant:acme", "tenant:globex"]).await;
    server.terminate();
}

/// The status of a session, and that of its work.
async fn seen(client: &Client, id: &str) -> [String; 2] {
    let one = client.get(&format!("{SESSIONS}/{id}")).await.ok();
    let work = client.get(&format!("{SESSIONS}/{id}/status")).await.ok();
    let rows = list(client).await;
    let row = rows.iter().find(|row| row["session_id"] == id).unwrap();
    assert_eq!(row["status"], one["status"]);
    [&one["status"], &work["status"]].map(|word| word.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_ledger_shows_with_its_phase() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let row = json!({
        "session_id": "s1",
        "agent_name": "a1",
        "status": "ready",
        "created_at": "2026-01-31T12:00:00.000Z",
    });
    assert_eq!(list(&client).await, std::slice::from_ref(&row));
    let mut one = row;
    one["vnc_url"] = Value::Null;
    assert_eq!(client.get(&format!("{SESSIONS}/s1")).await.ok(), one);

    for (phase, work) in [
        ("initializing", "running"),
        ("running", "running"),
        ("paused", "paused"),
        ("ready", "ready"),
    ] {
        let data = json!({"phase": phase});
        client
            .apply(&event(phase, "session.refreshed", "s1", &data))
            .await;
        assert_eq!(seen(&client, "s1").await, [phase, work]);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_ledger_shows_how_it_ended() {
    let mut app = App::start().await;
    app.start_expiry();
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let named = json!({"agent_id": "a1", "agent_name": "Ann", "ttl_seconds": 60});
    client
        .apply(&event("c2", "session.created", "s2", &named))
        .await;
    assert_eq!(list(&client).await[0]["agent_name"], "Ann");
    let to = json!({"to_agent_id": "a2", "session_id": "s3"});
    client
        .apply(&event("h1", "session.handed_off", "s1", &to))
        .await;
    assert_eq!(seen(&client, "s1").await, ["terminated", "finished"]);
    assert_eq!(seen(&client, "s3").await, ["ready", "ready"]);
    app.set_time("2026-01-31T12:01:00Z");
    assert_eq!(seen(&client, "s2").await, ["terminated", "finished"]);
    for (id, outcome, expected) in [
        ("o1", json!("completed"), ["completed", "finished"]),
        ("o2", json!("error"), ["error", "error"]),
        ("o3", json!("revoked"), ["terminated", "finished"]),
        ("o4", Value::Null, ["terminated", "finished"]),
    ] {
        client.apply(&created(id, "a1", NOW)).await;
        let data = json!({"outcome": outcome});
        client
            .apply(&event("t", "session.terminated", id, &data))
            .await;
        assert_eq!(seen(&client, id).await, expected);
        // An ending is a fact, and no call changes it.
        for call in ["pause", "resume", "cancel"] {
            let path = format!("/{id}/{call}");
            let answer = send(&client, Method::POST, &path, "").await;
            check_failure(&answer, 409, "has ended");
        }
    }
    client.apply(&created("o5", "a1", NOW)).await;
    let deleted = json!({"outcome": "deleted"});
    client
        .apply(&event("t", "session.terminated", "o5", &deleted))
        .await;
    check_failure(
        &client.get(&format!("{SESSIONS}/o5")).await,
        404,
        "not found",
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_such_request_is_refused_and_writes_nothing() {
    let app = App::start().await;
    let client = app.client("acme");
    let long = format!(r#"{{"agent_name":"{}"}}"#, "x".repeat(257));
    let url = format!(r#"{{"webhook_url":"https://{}"}}"#, "x".repeat(2000));
    for (body, said) in [
        ("[]", "the body must be a JSON object"),
        ("null", "the body must be"),
        ("{", "the body must be"),
        (r#"{"agent_name":NaN}"#, "the body must be"),
        ("\u{0}", "the body must be"),
        (r#"{"agent_name":5}"#, "agent_name must be a string"),
        (r#"{"agent_name":""}"#, "agent_name must have 1 to 256"),
        (r#"{"agent_name":"a/b"}"#, "agent_name must not hold"),
        (r#"{"agent_name":"a\u0000"}"#, "agent_name must not hold"),
        (&*long, "agent_name must have 1 to 256"),
        (&*url, "webhook_url must be"),
        (r#"{"webhook_url":"ftp://h"}"#, "webhook_url must be"),
        (r#"{"max_steps":"7"}"#, "max_steps must be a whole number"),
        (r#"{"max_steps":-1}"#, "max_steps must be a whole number"),
        (r#"{"goal":["x"]}"#, "goal must be a string"),
        (r#"{"environment_type":1}"#, "environment_type must be"),
    ] {
        let answer = send(&client, Method::POST, "", body).await;
        check_failure(&answer, 422, said);
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    check_failure(
        &send(&client, Method::POST, "", &deep).await,
        422,
        "the body",
    );
    for id in ["none", "count", "a%2Fb", "%ff", &"x".repeat(300)] {
        for (method, call) in [
            (Method::GET, ""),
            (Method::GET, "/status"),
            (Method::POST, "/pause"),
            (Method::POST, "/resume"),
            (Method::POST, "/cancel"),
        ] {
            let path = format!("/{id}{call}");
            let answer = send(&client, method, &path, "{}").await;
            check_failure(&answer, 404, "Session not found");
        }
    }
    assert_eq!(app.projection.position().get(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_ids_are_read_as_leniently_as_the_vendors_servers_do() {
    let app = App::start().await;
    let client = app.client("acme");
    for (content_type, body) in [
        ("application/json", ""),
        ("text/plain", r#"{"agent_name": null, "model": "x"}"#),
        ("application/json; charset=utf-8", " {} "),
    ] {
        let headers = [("content-type", content_type)];
        let answer = client
            .send(Method::POST, SESSIONS, &headers, body.into())
            .await;
        assert_eq!(answer.ok()["agent_name"], "agi-0");
    }
    client.apply(&created("maip-sess:1:2", "a1", NOW)).await;
    for id in ["maip-sess:1:2", "maip-sess%3A1%3A2"] {
        let one = client.get(&format!("{SESSIONS}/{id}")).await.ok();
        assert_eq!(one["session_id"], "maip-sess:1:2");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_has_every_session_once_newest_first_and_no_deleted_one() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut lines = Vec::new();
    for number in 0..900 {
        let time = format!("2026-01-31T11:{:02}:{:02}Z", number / 60, number % 60);
        lines.push(created(&format!("s{number}"), "a1", &time));
        // More in a row than a page has.
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
    // And all that is left can be deleted at once.
    let gone = send(&client, Method::DELETE, "", "").await.ok();
    assert_eq!(gone["message"], "Deleted 600 sessions");
    assert_eq!(list(&client).await, [Value::Null; 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_one_agent_deletes_its_own_sessions_alone() {
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
    check_failure(&refused, 403, "another one's session");
    for (method, call) in [(Method::POST, "/pause"), (Method::DELETE, "")] {
        let answer = send(&bound, method, &format!("/{other}{call}"), "").await;
        check_failure(&answer, 403, "another one's session");
    }
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

/// Clients try again after any 5xx, with nothing by which a copy could be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_the_log_did_not_confirm_makes_one_session_or_none_that_is_tried_again() {
    let mut doubtful = None;
    let app = App::start_on(|log| {
        let log = Arc::new(DoubtfulLog::new(log));
        doubtful = Some(Arc::clone(&log));
        log
    })
    .await;
    let log = doubtful.unwrap();
    let client = app.client("acme");
    // Kept, and not confirmed at once.
    log.doubts.store(2, Ordering::SeqCst);
    let id = create(&client, "{}").await;
    assert_eq!(list(&client).await[0]["session_id"], json!(id));
    assert_eq!(list(&client).await.len(), 1);
    // Never confirmed: it is there, and nobody is told to send it again.
    log.doubts.store(usize::MAX, Ordering::SeqCst);
    let answer = send(&client, Method::POST, "", "{}").await;
    check_failure(&answer, 409, "may or may not be written");
    log.doubts.store(0, Ordering::SeqCst);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_wrote_nothing_may_be_tried_again() {
    let app = App::start_on(|log| Arc::new(FaultyLog(log))).await;
    let client = app.client("acme");
    let fails = r#"{"agent_name":"fails-unavailable"}"#;
    let answer = send(&client, Method::POST, "", fails).await;
    check_failure(&answer, 503, "nothing was written");
    assert_eq!(answer.header("retry-after"), "1");
    app.stop_fold().await;
    let answer = send(&client, Method::POST, "", "{}").await;
    check_failure(&answer, 503, "the fold has stopped");
    assert_eq!(list(&client).await, [Value::Null; 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_verdict_yet_is_initializing() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let answer = send(&client, Method::POST, "", "{}").await;
    assert_eq!(answer.status, 202);
    let made = answer.json();
    assert_eq!(made["status"], "initializing");
    assert_eq!(made["agent_name"], "agi-0");
    assert_eq!(made["created_at"], "2026-01-31T12:00:00.000Z");
    app.stop().await;
}

/// Sessions that each ended in another way, and one that did not.
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
    // The ledger itself ends these two.
    let projection = Arc::clone(&app.projection);
    let by_itself = async |position: u64| {
        let (ended, at_most) = (Position::new(position + 1), Duration::from_mins(1));
        projection.wait_for(ended, at_most).await;
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
async fn a_session_that_has_ended_in_any_way_can_be_deleted_once_and_stays_as_it_ended() {
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
        if id == "open" {
            before["status"] = json!("terminated");
            before["outcome"] = json!("deleted");
            before["terminated_at"] = deleted_at.clone();
            before["updated_at"] = deleted_at.clone();
        }
        assert_eq!(after, before);
    }
    app.stop().await;
}
