//! `POST /v1/hooks/{runtime}`.

use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};

use super::{World, recorded, runtimes};
use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client};

async fn post(client: &Client, runtime: &str, body: &str) -> Answer {
    let path = format!("/v1/hooks/{runtime}");
    client
        .post(&path, "application/json", body.as_bytes().to_vec())
        .await
}

/// The events that were applied, without their times and without the hash that tells calls apart.
fn shown(events: &[Value]) -> Vec<String> {
    let shown = events.iter().map(|event| {
        let id = event["id"].as_str().unwrap();
        let id = match id.split_once("SessionStart-") {
            // Without a mark of the runtime, the hash has the time.
            Some((before, _)) => before,
            None => id,
        };
        let parts = ["type", "subject", "source", "data"].map(|name| event[name].to_string());
        format!("{id} {}", parts.join(" "))
    });
    shown.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_and_the_command_emit_the_same_events() {
    for runtime in runtimes() {
        let calls = recorded(runtime);
        let of_command = {
            let calls = calls.clone();
            let made = tokio::task::spawn_blocking(move || {
                let world = World::start();
                world.call_all(runtime, &calls);
                world.applied()
            });
            made.await.unwrap()
        };
        let world = tokio::task::spawn_blocking(World::start).await.unwrap();
        let client = Client::new(world.server.url(), "acme");
        for call in &calls {
            let answer = post(&client, runtime, call).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
        }
        let of_route = tokio::task::spawn_blocking(move || world.applied());
        let of_route = of_route.await.unwrap();
        assert_eq!(shown(&of_route), shown(&of_command), "{runtime}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_http_that_are_made_twice_give_the_same_sessions() {
    for runtime in runtimes() {
        let world = tokio::task::spawn_blocking(World::start).await.unwrap();
        let client = Client::new(world.server.url(), "acme");
        let calls = recorded(runtime).into_iter();
        // Only commands take the start of a session of Claude Code.
        let only_commands =
            |call: &String| call.contains("SessionStart") && runtime == "claude-code";
        let calls: Vec<String> = calls.filter(|call| !only_commands(call)).collect();
        let mut listed = Vec::new();
        for _ in 0..2 {
            for call in &calls {
                assert_eq!(post(&client, runtime, call).await.status, 200);
            }
            listed.push(client.get("/v1/agent-sessions").await.ok()["sessions"].clone());
        }
        assert_eq!(listed[0], listed[1], "{runtime}");
    }
}

#[tokio::test]
async fn an_answer_changes_nothing_in_the_runtime_and_names_the_last_event() {
    let app = App::start().await;
    let client = app.client("acme");
    let call = |hook: &str, source: &str| {
        json!({"hook_event_name": hook, "session_id": "s", "source": source, "reason": "other"})
            .to_string()
    };
    let first = post(&client, "claude-code", &call("UserPromptSubmit", "")).await;
    assert_eq!((first.status, first.text.as_str()), (200, "{}"));
    let last = client.get(first.header("location")).await.ok();
    assert_eq!(last["event"]["type"], "session.refreshed");
    let unread = post(&client, "claude-code", &call("PreToolUse", "")).await;
    assert_eq!((unread.status, unread.text.as_str()), (200, "{}"));
    assert!(!unread.headers.contains_key("location"));
    post(&client, "claude-code", &call("SessionEnd", "")).await;
    let late = post(&client, "claude-code", &call("UserPromptSubmit", "")).await;
    assert_eq!((late.status, late.text.as_str()), (200, "{}"));
    // An event that is rejected is no failure of the hook either.
    let again = post(&client, "claude-code", &call("SessionStart", "startup")).await;
    assert_eq!((again.status, again.text.as_str()), (200, "{}"));
    let position = again.header("location").to_owned();
    assert_ne!(client.get(&position).await.ok()["verdict"], "applied");
    for number in 2..=9 {
        post(&client, "claude-code", &call("SessionStart", "resume")).await;
        let id = format!("/v1/agent-sessions/s.{number}");
        assert_eq!(client.get(&id).await.ok()["status"], "active");
        post(&client, "claude-code", &call("SessionEnd", "")).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_session_that_has_expired_goes_on_as_another_run() {
    let mut app = App::start().await;
    app.start_expiry();
    let client = app.client("acme");
    let call = json!({"hook_event_name": "UserPromptSubmit", "session_id": "s"}).to_string();
    let path = "/v1/hooks/claude-code?ttl_seconds=60&agent_id=ada&project_id=shop";
    client
        .post(path, "application/json", call.clone().into_bytes())
        .await;
    let opened = client.get("/v1/agent-sessions/s").await.ok();
    assert_eq!(opened["agent_id"], "ada");
    assert_eq!(opened["project_id"], "shop");
    assert_eq!(opened["created_at"], NOW);
    app.set_time("2026-01-31T12:02:00Z");
    client
        .post(path, "application/json", call.into_bytes())
        .await;
    let again = client.get("/v1/agent-sessions/s.2").await.ok();
    assert_eq!(again["status"], "active");
    assert_eq!(again["metadata"]["resumes"], "s");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_call_of_a_hook_is_a_problem() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let writer = grant("acme", [Role::Write].into_iter().collect::<Roles>());
    let client = app.client("none").with_key(&app.key(writer).await);
    let call = json!({"hook_event_name": "Stop", "session_id": "s"}).to_string();
    assert_eq!(post(&client, "claude-code", &call).await.status, 200);
    post(&client, "claude-code", "{")
        .await
        .problem(400, "not_json");
    post(&client, "claude-code", "[]")
        .await
        .problem(400, "not_json");
    let unnamed = r#"{"hook_event_name": "Stop", "session_id": "a/b"}"#;
    let problem = post(&client, "claude-code", unnamed)
        .await
        .problem(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "session_id");
    post(&client, "emacs", &call)
        .await
        .problem(400, "invalid_parameter");
    let nobody = app.client("none");
    post(&nobody, "codex", &call)
        .await
        .problem(401, "credential_required");
    app.stop().await;
}
