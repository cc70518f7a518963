//! `POST /v1/events`: verdicts, copies, batches, binary mode, and answers without waiting.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, Client, created, event};
use crate::support::faulty_log::{FaultyLog, UNAVAILABLE, UNCONFIRMED};

const BATCHED: &str = "application/cloudevents-batch+json";

async fn batch(client: &Client, query: &str, events: &[Value]) -> Answer {
    let body = json!(events).to_string();
    client
        .post(&format!("/v1/events{query}"), BATCHED, body)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_has_its_status() {
    let app = App::start().await;
    let client = app.client("acme");
    let refresh = event(
        "r1",
        "session.refreshed",
        "s1",
        &json!({"phase": "running"}),
    );

    let parked = client.emit(&refresh).await;
    assert_eq!(
        (parked.status, parked.json()),
        (202, json!({"position": 2, "verdict": "parked"}))
    );
    assert_eq!(parked.header("location"), "/v1/events/2");

    let opened = client.emit(&created("s1", "a1", NOW)).await;
    assert_eq!(
        (opened.status, opened.json()),
        (201, json!({"position": 3, "verdict": "applied"}))
    );
    let row = client.get("/v1/agent-sessions/s1").await.ok();
    assert_eq!(row["phase"], "running");
    let settled = client.get("/v1/events/2").await.ok();
    assert_eq!(
        (&settled["verdict"], &settled["settled_at"]),
        (&json!("applied"), &json!(3))
    );

    let copy = client.emit(&created("s1", "a1", NOW)).await;
    let expected = json!({
        "position": 4, "verdict": "duplicate", "first_position": 3, "first_verdict": "applied",
    });
    assert_eq!((copy.status, copy.json()), (200, expected));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_at_the_position_of_a_write_shows_it() {
    let app = App::start().await;
    let client = app.client("acme");
    for number in 0..20 {
        let id = format!("s{number}");
        let body = created(&id, "a1", NOW).to_string();
        let answer = client
            .post("/v1/events?wait=false", "application/json", body)
            .await;
        let position = answer.json()["position"].as_u64().unwrap();
        assert_eq!(
            answer.json(),
            json!({"position": position, "verdict": "pending"})
        );
        assert_eq!((answer.status, answer.header("retry-after")), (202, "1"));
        match number % 3 {
            0 => {
                let path = format!("/v1/agent-sessions?limit=1&min_position={position}");
                let page = client.get(&path).await.ok();
                assert_eq!(
                    (&page["total"], &page["sessions"][0]["session_id"]),
                    (&json!(number + 1), &json!(id))
                );
                assert!(position <= page["as_of"]["position"].as_u64().unwrap());
            }
            1 => {
                let path = format!("/v1/agent-sessions/{id}?min_position={position}");
                client.get(&path).await.ok();
            }
            // `location` can be read even if the event was not folded yet.
            _ => {
                let event = client.get(answer.header("location")).await.ok();
                assert_eq!(event["verdict"], "applied");
            }
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_answered_event_by_event() {
    let app = App::start().await;
    let client = app.client("acme");
    let events = [
        created("s1", "a1", NOW),
        created("s1", "a1", NOW),
        event("r1", "session.refreshed", "later", &json!({})),
        event("e1", "agent.reinstated", "a1", &json!({})),
    ];
    let answer = batch(&client, "", &events).await.ok();
    let results = answer["results"].as_array().unwrap();
    let short: Vec<Value> = results
        .iter()
        .map(|one| {
            json!([
                one["status"],
                one["position"],
                one["verdict"],
                one["reason"]
            ])
        })
        .collect();
    let expected = json!([
        [201, 2, "applied", null],
        [200, 3, "duplicate", null],
        [202, 4, "parked", null],
        [409, 5, "rejected", "not_suspended"],
    ]);
    assert_eq!(Value::from(short), expected);
    assert_eq!(
        (&results[1]["first_position"], &results[1]["first_verdict"]),
        (&json!(2), &json!("applied"))
    );
    assert!(
        results[3]["detail"]
            .as_str()
            .unwrap()
            .contains("nothing to reinstate")
    );
    assert_eq!(
        answer["as_of"],
        json!({"position": 5, "time": NOW, "caught_up": true})
    );

    let answer = batch(&client, "?wait=false", &[created("s2", "a1", NOW)]).await;
    assert_eq!(answer.status, 202);
    let expected = json!([{"status": 202, "position": 6, "verdict": "pending"}]);
    assert_eq!(answer.json()["results"], expected);
    assert_eq!(batch(&client, "", &[]).await.ok()["results"], json!([]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_invalid_event_keeps_its_batch_off_the_log() {
    let app = App::start().await;
    let client = app.client("acme");
    let mut events: Vec<Value> = (0..5)
        .map(|n| created(&format!("s{n}"), "a1", NOW))
        .collect();
    events[1] = json!("text");
    events[3]["data"] = json!({});
    events[4]["type"] = json!("session.expired");
    let problem = batch(&client, "", &events)
        .await
        .problem(400, "invalid_batch");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("3 events of 5 are invalid"), "{detail}");
    let alone = batch(&client, "", &events[1..2]).await;
    let alone = alone.problem(400, "invalid_batch");
    let detail = alone["detail"].as_str().unwrap();
    assert!(detail.contains("1 event of 1 is invalid"), "{detail}");
    let errors = problem["errors"].as_array().unwrap();
    let short: Vec<Value> = errors
        .iter()
        .map(|e| json!([e["field"], e["code"]]))
        .collect();
    let expected = json!([
        ["[1]", "not_json"],
        ["[3].data.agent_id", "invalid"],
        ["[4].type", "reserved_type"],
    ]);
    assert_eq!(Value::from(short), expected);
    for body in ["{}", "[1,", "", "null"] {
        client
            .post("/v1/events", BATCHED, body)
            .await
            .problem(400, "not_json");
    }
    assert!(app.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_bodies_byte_for_byte() {
    let app = App::start().await;
    let client = app.client("acme");
    let pretty = |id: &str| {
        let text = serde_json::to_string_pretty(&created(id, "a1", NOW)).unwrap();
        format!(" {text}\n")
    };
    client
        .post("/v1/events", "application/json", pretty("s1"))
        .await;
    let two = format!("[{},{}]", pretty("s2"), pretty("s3"));
    client
        .post("/v1/events", "application/json", two)
        .await
        .ok();
    let positions = (2..=4).map(session_ledger::domain::Position::new).collect();
    let records = app.log().get(positions).await.unwrap();
    assert_eq!(records[0].payload, pretty("s1"));
    assert_eq!(records[1].payload, pretty("s2").trim());
    assert_eq!(records[2].payload, pretty("s3").trim());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_binary_mode_equals_its_structured_form() {
    let app = App::start().await;
    let client = app.client("acme");
    let headers = |subject| {
        [
            ("ce-specversion", "1.0"),
            ("ce-id", "e1"),
            ("ce-source", "/tests"),
            ("ce-type", "session.created"),
            ("ce-subject", subject),
            ("content-type", "application/json"),
        ]
    };
    let data = br#"{"agent_id":"a1"}"#.to_vec();
    let send = async |subject, data| {
        let headers = headers(subject);
        client
            .send(Method::POST, "/v1/events", &headers, data)
            .await
    };
    let answer = send("caf%C3%A9", data.clone()).await;
    assert_eq!(
        (answer.status, &answer.json()["verdict"]),
        (201, &json!("applied"))
    );
    let row = client.get("/v1/agent-sessions/caf%C3%A9").await.ok();
    assert_eq!(row["session_id"], "caf\u{e9}");
    let stored = client.get("/v1/events/2").await.ok();
    let expected = json!({
        "specversion": "1.0", "id": "e1", "source": "/tests", "type": "session.created",
        "subject": "caf\u{e9}", "datacontenttype": "application/json", "data": {"agent_id": "a1"},
    });
    assert_eq!(stored["event"], expected);

    let problem = send("%FF", data).await.problem(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "ce-subject");
    let problem = send("s2", b"{}".to_vec()).await.problem(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "data.agent_id");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_whose_fold_has_stopped_rejects_events_and_says_why() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    app.stop_fold().await;
    let next = created("s2", "a1", NOW);
    client.emit(&next).await.problem(503, "fold_stopped");
    let answer = client
        .post(
            "/v1/events?wait=false",
            "application/json",
            next.to_string(),
        )
        .await;
    answer.problem(503, "fold_stopped");
    // Another node may still write.
    let elsewhere = app.publish("ledger.v1.acme.session.created", next.to_string());
    let position = elsewhere.await;
    let page = client.get("/v1/agent-sessions").await.ok();
    assert_eq!(
        (&page["total"], &page["as_of"]["caught_up"]),
        (&json!(1), &json!(false))
    );
    let path = format!("/v1/agent-sessions?min_position={position}");
    let answer = client.get(&path).await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.problem(503, "fold_stopped");
    client.get("/readyz").await.problem(503, "not_ready");
    client.get("/healthz").await.ok();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_that_the_fold_is_too_slow() {
    let app = App::start_without_fold().await;
    let client = app.client("acme");
    let body = created("s1", "a1", NOW).to_string();
    client
        .post("/v1/events?wait=false", "application/json", body)
        .await;
    let next = created("s2", "a1", NOW);
    // Both requests wait up to their limits, at the same time.
    let (read, write) = tokio::join!(
        client.get("/v1/agent-sessions?min_position=1"),
        client.emit(&next)
    );
    assert_eq!(read.header("retry-after"), "1");
    read.problem(503, "not_caught_up");
    assert_eq!(
        (write.status, write.header("location")),
        (202, "/v1/events/2")
    );
    assert_eq!(write.json(), json!({"position": 2, "verdict": "pending"}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_log_is_reported_event_by_event() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    let (down, unsure) = (
        created(UNAVAILABLE, "a1", NOW),
        created(UNCONFIRMED, "a1", NOW),
    );
    let answer = client.emit(&down).await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.problem(503, "unavailable");
    let problem = client.emit(&unsure).await.problem(503, "unconfirmed");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("with the same source and id")
    );
    batch(&client, "", std::slice::from_ref(&down))
        .await
        .problem(503, "unavailable");
    let both = [down.clone(), unsure.clone()];
    batch(&client, "", &both).await.problem(503, "unconfirmed");

    let answer = batch(&client, "", &[down, created("s1", "a1", NOW), unsure])
        .await
        .ok();
    let expected = json!([
        {"status": 503, "error": "unavailable"},
        {"status": 201, "position": 2, "verdict": "applied"},
        {"status": 503, "error": "unconfirmed"},
    ]);
    assert_eq!(answer["results"], expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_answered_with_a_problem_and_the_server_goes_on() {
    let app = App::start_on(|log| Arc::new(FaultyLog::new(log))).await;
    let client = app.client("acme");
    client.apply(&created("s1", "a1", NOW)).await;
    let problem = client
        .get("/v1/events/2")
        .await
        .problem(500, "internal_error");
    assert!(!problem.to_string().contains("the test says so"));
    client.get("/v1/agent-sessions/s1").await.ok();
    app.stop().await;
}
