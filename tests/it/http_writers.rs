//! Who wrote an event: the ledger records it, auditors see it, and no caller can forge it.

use serde_json::{Value, json};
use session_ledger::auth::{ApiKey, Role, Roles};
use session_ledger::domain::Position;

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created};

fn roles(roles: &[Role]) -> Roles {
    roles.iter().copied().collect()
}

/// Issues a key with the role write. Returns its client and its id.
async fn writer(app: &App) -> (Client, String) {
    let grant = crate::support::app::grant("acme", roles(&[Role::Write]));
    let key = app.key(grant).await;
    let id = ApiKey::parse(&key).unwrap().id().to_string();
    (app.client("acme").with_key(&key), id)
}

/// Returns what the replay says about the writer of each event.
async fn writers(auditor: &Client) -> Vec<[Value; 4]> {
    let page = auditor.get("/v1/events").await.ok();
    let names = ["verdict", "writer", "via", "written_by"];
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| names.map(|name| event[name].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_names_the_credential_that_wrote_it() {
    let mut app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (posting, poster) = writer(&app).await;
    let (commanding, commander) = writer(&app).await;
    let auditor = app.client_with_key("acme", roles(&[Role::Audit])).await;

    posting.apply(&created("s1", "a1", NOW)).await;
    let batch = json!([created("s2", "a1", NOW), created("s1", "a1", NOW)]).to_string();
    posting.post("/v1/events", "application/json", batch).await;
    let body = json!({"agent_id": "a1", "ttl_seconds": 60}).to_string();
    commanding
        .post("/v1/agent-sessions", "application/json", body)
        .await;
    let directly = created("s3", "a1", NOW).to_string();
    let last = app
        .publish("ledger.v1.acme.session.created", directly)
        .await;
    app.set_time("2026-01-31T12:01:00Z");
    app.start_expiry();
    let expired = Position::new(last + 1);
    let soon = std::time::Duration::from_secs(20);
    app.projection.wait_for(expired, soon).await;

    let row = |verdict: &str, writer: &str, via: &str, by: Option<&String>| {
        [json!(verdict), json!(writer), json!(via), json!(by)]
    };
    assert_eq!(
        writers(&auditor).await,
        [
            row("applied", "runtime", "api", Some(&poster)),
            row("applied", "runtime", "api", Some(&poster)),
            row("duplicate", "runtime", "api", Some(&poster)),
            row("applied", "ledger", "api", Some(&commander)),
            row("applied", "runtime", "nats", None),
            row("applied", "ledger", "ledger", None),
        ]
    );
    let commanded = auditor.get(&format!("/v1/events?actor={commander}")).await;
    let commanded = commanded.ok()["events"].as_array().unwrap().clone();
    let by: Vec<_> = commanded.iter().map(|event| &event["written_by"]).collect();
    assert_eq!(by, [&json!(commander)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_cannot_name_another_writer_of_its_event() {
    let app = App::start_with_credentials(|keys_alone| keys_alone).await;
    let (client, _) = writer(&app).await;
    for (name, value) in [
        ("actor", "0123456789abcdef"),
        ("source", "urn:session-ledger:api"),
        ("source", "urn:session-ledger:expiry"),
    ] {
        let mut event = created("s1", "a1", NOW);
        event[name] = json!(value);
        let problem = client.emit(&event).await.problem(400, "invalid");
        assert_eq!(problem["errors"][0]["field"], name);
    }
    // A runtime may have the source of the command line.
    let mut event = created("s1", "a1", NOW);
    event["source"] = json!("urn:session-ledger:cli");
    client.apply(&event).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_effect_is_named() {
    let app = App::start().await;
    let client = app.client("acme");
    let event = |id: &str| {
        let mut event = created(id, "a1", NOW);
        event["data"]["ttl"] = json!(60);
        event["data"]["scope"] = json!(["mail:read"]);
        event
    };
    let ignored = json!(["data.scope", "data.ttl"]);
    let answer = client.emit(&event("s1")).await;
    assert_eq!(answer.status, 201);
    let mut named = answer.json()["ignored"].clone();
    named
        .as_array_mut()
        .unwrap()
        .sort_by_key(ToString::to_string);
    assert_eq!(named, ignored);
    let batch = json!([event("s2"), created("s3", "a1", NOW)]).to_string();
    let answer = client.post("/v1/events", "application/json", batch.clone());
    let results = answer.await.ok()["results"].clone();
    assert_eq!(results[0]["ignored"].as_array().unwrap().len(), 2);
    assert_eq!(results[1]["ignored"], Value::Null);

    let strict = "/v1/events?strict=true";
    let answer = client.post(strict, "application/json", event("s4").to_string());
    let problem = answer.await.problem(400, "invalid");
    let fields = problem["errors"].as_array().unwrap().iter();
    let mut fields: Vec<&str> = fields.map(|one| one["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(json!(fields), ignored);
    assert!(
        problem["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("ttl_seconds")
    );
    client
        .post(strict, "application/json", batch)
        .await
        .problem(400, "invalid_batch");
    client
        .get("/v1/agent-sessions/s4")
        .await
        .problem(404, "not_found");
    app.stop().await;
}
