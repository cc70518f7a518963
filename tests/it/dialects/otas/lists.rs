//! Lists without pages: in order, each row once, and read while they are sent.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use session_ledger::auth::Roles;

use super::*;
use crate::support::client::{Client, created};

async fn emit(client: &Client, events: &[Value]) {
    let body = serde_json::to_vec(events).unwrap();
    let batch = "application/cloudevents-batch+json";
    let answer = client.post("/v1/events", batch, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_has_every_session_of_the_agent_once_newest_first() {
    let otas = Otas::start().await;
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let mut events = Vec::new();
    for number in 0..950 {
        // The sessions belong to two agents in turn. Some open in the same microsecond.
        let time = format!("2026-01-31T11:00:00.{:06}Z", number / 4);
        let agent = format!("a{}", number % 2);
        events.push(created(&format!("s{number}"), &agent, &time));
    }
    emit(&native, &events).await;
    let rows = otas.sessions(PROJECT, "a1").await;
    let times: Vec<&str> = rows
        .iter()
        .map(|row| row["created_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older));
    let ids: BTreeSet<String> = rows.iter().map(|row| text(&row["id"])).collect();
    let expected: BTreeSet<String> = (0..475).map(|pair| format!("s{}", 2 * pair + 1)).collect();
    assert_eq!(rows.len(), 475);
    assert_eq!(ids, expected);
    // A second read returns an equal order, also of ties.
    assert_eq!(otas.sessions(PROJECT, "a1").await, rows);
    otas.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_has_every_agent_once_with_its_own_keys() {
    let otas = Otas::start().await;
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let first = otas.make(PROJECT, "first").await;
    let events: Vec<Value> = (0..450)
        .map(|number| created(&format!("s{number}"), &format!("a{number}"), NOW))
        .collect();
    emit(&native, &events).await;
    let last = otas.make(PROJECT, "last").await;
    let answer = otas.page(&otas.member, PROJECT, LIST, None).await;
    let listed = succeeded(&answer, 200, "agents_listed", "response");
    let agents = listed["agents"].as_array().unwrap();
    let ids: BTreeSet<&str> = agents
        .iter()
        .map(|agent| agent["id"].as_str().unwrap())
        .collect();
    assert_eq!((agents.len(), ids.len()), (452, 452));
    for agent in agents {
        let keys: Vec<&Value> = agent["agent_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["id"])
            .collect();
        let expected: Vec<&str> = [&first, &last]
            .into_iter()
            .filter(|made| agent["id"] == made.id.as_str())
            .map(|made| &*made.key_id)
            .collect();
        assert_eq!(keys, expected);
    }
    // An agent that only sessions name has an id and no other data.
    let spoken_of = agents.iter().find(|agent| agent["id"] == "a7").unwrap();
    let expected = json!({
        "id": "a7", "name": "a7", "description": "", "provider": "", "created_by": "",
        "created_at": NOW_ISO, "is_active": true, "agent_keys": [],
    });
    assert_eq!(*spoken_of, expected);
    otas.app.stop().await;
}

/// The list is larger than the sockets can buffer. While the client has not read it, the server has not
/// either: a session that is inserted below while the list is read is in the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_read_from_the_ledger_while_the_client_receives_it() {
    let otas = Otas::start().await;
    let native = otas.app.client_with_key(PROJECT, Roles::ALL).await;
    let padding = "x".repeat(15 * 1024);
    for batch in 0..8 {
        let events: Vec<Value> = (0..250)
            .map(|number| {
                let mut event = created(&format!("s{batch}-{number}"), "a1", NOW);
                event["data"]["metadata"] = json!({"padding": padding});
                event
            })
            .collect();
        emit(&native, &events).await;
    }
    let url = format!(
        "http://{}/compat/otas{SESSIONS}?agent_id=a1",
        otas.app.host()
    );
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url);
    let request = request
        .header("x-otas-user-token", &otas.member)
        .header("x-otas-project-id", PROJECT);
    let mut pieces = request.send().await.unwrap().bytes_stream();
    let mut text = pieces.next().await.unwrap().unwrap().to_vec();
    native
        .apply(&created("the-last", "a1", "2026-01-31T11:00:00Z"))
        .await;
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece.unwrap());
    }
    let listed: Value = serde_json::from_slice(&text).unwrap();
    let rows = listed["response"]["sessions"].as_array().unwrap();
    assert_eq!(rows.len(), 2001);
    assert_eq!(rows[2000]["id"], "the-last");
    otas.app.stop().await;
}
