//! `as_of` reveals nothing about other tenants except positions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Client, created};

const LATER: &str = "2026-01-31T12:00:07.654321Z";

/// Returns the `as_of` of every kind of answer that has one.
async fn states(client: &Client) -> Vec<(String, Value)> {
    let mut states = Vec::new();
    for path in [
        "/v1/agent-sessions",
        "/v1/agent-sessions?agent_id=a1",
        "/v1/agent-sessions?agent_id=none",
        "/v1/agent-sessions/count",
        "/v1/agent-sessions/s1/events",
        "/v1/agents",
        "/v1/agents?agent_type=none",
        "/v1/events",
        "/v1/events?agent_id=none",
        "/v1/rejections",
        "/v1/status",
    ] {
        let answer = client.get(path).await;
        if answer.status != 404 {
            states.push((path.to_owned(), answer.ok()["as_of"].clone()));
        }
    }
    let empty = client
        .send(
            Method::POST,
            "/v1/events",
            &[("content-type", "application/cloudevents-batch+json")],
            b"[]".to_vec(),
        )
        .await;
    states.push(("a batch".to_owned(), empty.ok()["as_of"].clone()));
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_is_that_of_the_tenants_own_last_record() {
    let app = App::start().await;
    let [acme, globex, initech] = ["acme", "globex", "initech"].map(|tenant| app.client(tenant));
    globex.apply(&created("s1", "a1", NOW)).await;
    app.set_time(LATER);
    let position = acme.apply(&created("s1", "a1", LATER)).await;
    for (client, time, answers) in [
        (&acme, json!(LATER), 12),
        (&globex, json!(NOW), 12),
        // This tenant has no records, so the read of a single session is missing.
        (&initech, Value::Null, 11),
    ] {
        let states = states(client).await;
        assert_eq!(states.len(), answers);
        for (path, state) in states {
            let expected = json!({"position": position, "time": time, "caught_up": true});
            assert_eq!(state, expected, "{path}");
        }
    }
    app.stop().await;
}
