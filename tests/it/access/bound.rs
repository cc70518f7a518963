//! What a credential that is bound to an agent sees: only that agent's data.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Grant, Role, Roles};
use session_ledger::domain::AgentId;

use crate::support::app::{App, NOW, grant};
use crate::support::client::{Answer, Client, created, event};

async fn bound_to(app: &App, agent: &str) -> Client {
    let roles: Roles = [Role::Read, Role::Write, Role::Audit].into_iter().collect();
    let agent = Some(AgentId::parse(agent).unwrap());
    let key = app.key(Grant {
        agent,
        ..grant("acme", roles)
    });
    app.client("acme").with_key(&key.await)
}

/// Opens two sessions of the agent and ends one of them. Opens three sessions of another agent.
async fn start() -> (App, Client) {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let acme = app.client_with_key("acme", Roles::ALL).await;
    for (session, agent) in [
        ("own-1", "own"),
        ("own-2", "own"),
        ("other-1", "other"),
        ("other-2", "other"),
        ("other-3", "other"),
    ] {
        acme.apply(&created(session, agent, NOW)).await;
    }
    for session in ["own-1", "other-1"] {
        let ended = event("end", "session.terminated", session, &json!({}));
        acme.apply(&ended).await;
    }
    let bound = bound_to(&app, "own").await;
    (app, bound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_totals_and_history_cover_only_the_agent() {
    let (app, bound) = start().await;
    for (path, total, rows) in [
        ("/v1/agent-sessions", 2_u64, "sessions"),
        ("/v1/agent-sessions?status=terminated", 1, "sessions"),
        ("/v1/agent-sessions?agent_id=own", 2, "sessions"),
        ("/v1/agent-sessions?agent_id=other", 0, "sessions"),
        (
            "/v1/agent-sessions?agent_id=own&agent_id=other",
            2,
            "sessions",
        ),
        ("/v1/agent-sessions?root=true", 2, "sessions"),
        ("/v1/agent-sessions?root=false", 0, "sessions"),
        ("/v1/agents", 1, "agents"),
        ("/v1/agents?status=active", 1, "agents"),
        ("/v1/agents?status=revoked", 0, "agents"),
        ("/v1/agents?offset=1", 1, "agents"),
    ] {
        let page = bound.get(path).await.ok();
        assert_eq!(page["total"], total, "{path}");
        let shown = page[rows].as_array().unwrap().len() as u64;
        let skipped = page["offset"].as_u64().unwrap();
        assert_eq!(shown, total.saturating_sub(skipped), "{path}");
        assert_eq!(page["as_of"]["time"], Value::Null);
        assert!(!page.to_string().contains("other-"), "{page}");
    }
    let count = bound.get("/v1/agent-sessions/count").await.ok();
    assert_eq!(count["total"], 2);
    assert_eq!(count["by_status"]["terminated"], 1);
    let status = bound.get("/v1/status").await.ok();
    assert_eq!(status["sessions"]["total"], 2);
    assert_eq!(status["rejections"], Value::Null);
    let events = bound.get("/v1/events").await.ok();
    assert_eq!(events["events"].as_array().unwrap().len(), 3);
    // Pages are limited to the agent's sessions, too.
    let first = bound.get("/v1/agent-sessions?limit=1").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/v1/agent-sessions?limit=1&cursor={cursor}");
    let second = bound.get(&path).await.ok();
    assert_eq!(second["next_cursor"], Value::Null);
    assert_ne!(first["sessions"], second["sessions"]);
    // A credential that is bound to an unknown agent.
    let new = bound_to(&app, "new").await;
    for path in ["/v1/agent-sessions", "/v1/agents"] {
        assert_eq!(new.get(path).await.ok()["total"], 0, "{path}");
    }
    let events = new.get("/v1/events").await.ok();
    assert_eq!(events["events"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_sessions_of_other_agents_reveal_nothing() {
    let (app, bound) = start().await;
    let step = async |session: &str| -> Answer {
        let path = format!("/v1/agent-sessions/{session}");
        bound.send(Method::DELETE, &path, &[], Vec::new()).await
    };
    let missing = step("nowhere").await.problem(404, "not_found");
    // Neither the answer nor the event says whether the session exists or has ended.
    for session in ["other-1", "other-2"] {
        let problem = step(session).await.problem(404, "not_found");
        for name in ["detail", "verdict", "current_status"] {
            assert_eq!(problem[name], missing[name], "{session}");
        }
        let path = format!("/v1/events/{}", problem["position"]);
        let told = bound.get(&path).await.ok();
        assert_eq!(told["reason"], "not_found", "{told}");
        assert!(told.get("event").is_none(), "{told}");
    }
    let taken = json!({"session_id": "other-1"}).to_string();
    let json = [("content-type", "application/json")];
    let path = "/v1/agent-sessions";
    let taken = bound.send(Method::POST, path, &json, taken.into()).await;
    let problem = taken.problem(409, "already_exists");
    assert_eq!(problem.get("current_status"), None);
    assert_eq!(step("own-1").await.ok()["session"]["status"], "terminated");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_caller_that_hands_off_a_session_sees_the_child_only_in_the_answer() {
    let (app, bound) = start().await;
    let body = json!({"to_agent_id": "other"}).to_string();
    let json = [("content-type", "application/json")];
    let path = "/v1/agent-sessions/own-2/handoff";
    let done = bound.send(Method::POST, path, &json, body.into()).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let child = done.json()["session"]["session_id"].clone();
    let path = format!("/v1/agent-sessions/{}", child.as_str().unwrap());
    bound.get(&path).await.problem(404, "not_found");
    // The caller can no longer introspect the child's token, either.
    let token = json!({"token": done.json()["token"]}).to_string();
    let path = "/v1/agent-sessions/introspect";
    let about = bound.send(Method::POST, path, &json, token.into()).await;
    assert_eq!(about.ok(), json!({"active": false}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_no_agent_owns_are_refused_whatever_they_name() {
    let (app, bound) = start().await;
    for path in ["", "/count", "/stream"] {
        for filter in ["project_id", "parent_session_id", "user_id"] {
            for value in ["own-1", "unknown"] {
                let path = format!("/v1/agent-sessions{path}?{filter}={value}");
                bound.get(&path).await.problem(403, "agent_bound");
            }
        }
    }
    app.stop().await;
}
