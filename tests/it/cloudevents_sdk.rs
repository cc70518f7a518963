//! The CloudEvents SDK for Python, in all its modes, over HTTP and NATS: each mode opens an equal session.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::nats_ledger::World;
use crate::support::python;

/// Members that differ between the sessions.
const OWN: [&str; 5] = [
    "session_id",
    "created_at",
    "recorded_at",
    "updated_at",
    "last_activity_at",
];

#[tokio::test]
async fn every_mode_of_the_sdk_opens_the_session_that_it_names() {
    let world = World::start().await;
    let url = world.ledger.url();
    let script = include_str!("cloudevents_sdk.py");
    let sent = python::run(script, &[&url, world.nats.url()]).await;
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let sessions = sent["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 16, "{sent}");
    let total = world.total(sent["last"].as_u64().unwrap()).await;
    assert_eq!(total, 16, "every session has a name that was sent");
    let client = world.client();
    let mut rows: Vec<Value> = Vec::new();
    for session in sessions {
        let id = utf8_percent_encode(session.as_str().unwrap(), NON_ALPHANUMERIC);
        let mut row = client.get(&format!("/v1/agent-sessions/{id}")).await.ok();
        for own in OWN {
            row.as_object_mut().unwrap().remove(own);
        }
        rows.push(row);
    }
    assert_eq!(rows[0]["scopes"], serde_json::json!(["mail:read"]));
    assert!(rows.iter().all(|row| *row == rows[0]), "{rows:#?}");
    world.ledger.stop().await.unwrap();
}
