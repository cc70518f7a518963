//! What a caller with only the role `write` sees: the verdicts on its own events.

use reqwest::Method;
use serde_json::{Value, json};
use session_ledger::auth::{Role, Roles};
use session_ledger::domain::TenantId;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created};

fn only(role: Role) -> Roles {
    [role].into_iter().collect()
}

/// Sends a command to open a session. Returns the position of its event.
async fn open(client: &Client, body: &Value) -> u64 {
    let json = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    let path = "/v1/agent-sessions";
    let answer = client.send(Method::POST, path, &json, body).await;
    answer.json()["position"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_reads_the_verdicts_of_its_own_events_and_nothing_else() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let one = app.client_with_key("acme", only(Role::Write)).await;
    let other = app.client_with_key("acme", only(Role::Write)).await;
    let auditor = app.client_with_key("acme", only(Role::Audit)).await;
    let emitted = one.apply(&created("s1", "a1", NOW)).await;
    let applied = open(&one, &json!({"agent_id": "a1", "session_id": "s2"})).await;
    let rejected = open(&one, &json!({"agent_id": "unknown"})).await;
    for (position, expected) in [
        (emitted, json!({"position": emitted, "verdict": "applied"})),
        (applied, json!({"position": applied, "verdict": "applied"})),
        (
            rejected,
            json!({
                "position": rejected,
                "verdict": "rejected",
                "reason": "agent_not_registered",
                "detail": "the agent is not known: it is not registered, and no event names it; register it first",
            }),
        ),
    ] {
        let path = format!("/v1/events/{position}");
        assert_eq!(one.get(&path).await.ok(), expected);
        let problem = other.get(&path).await.problem(404, "not_found");
        let missing = other.get("/v1/events/99").await.problem(404, "not_found");
        assert_eq!(problem["detail"], missing["detail"]);
        // An auditor sees the whole event.
        let whole = auditor.get(&path).await.ok();
        assert_eq!(whole["verdict"], expected["verdict"]);
        assert!(whole["event"]["data"].is_object(), "{whole}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_bypass_the_api_belong_to_no_credential() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let writer = app.client_with_key("acme", only(Role::Write)).await;
    // The event claims to come from a credential.
    let mut event = created("s1", "a1", NOW);
    for key in app.keys.list(&TenantId::parse("acme").unwrap()) {
        event["actor"] = json!(key.id.to_string());
    }
    let body = event.to_string();
    let position = app.publish("ledger.v1.acme.session.created", body).await;
    let path = format!("/v1/events/{position}");
    writer.get(&path).await.problem(404, "not_found");
    app.stop().await;
}
