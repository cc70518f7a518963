//! A whole ledger on a real NATS server. Any client may publish and servers may crash: nothing is lost,
//! and nothing is applied twice.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use session_ledger::projection::Store;
use tokio::task::JoinSet;

use crate::support::client::{Client, created, event};
use crate::support::nats_ledger::{CREATED, World, ledger, publish, until_ready_is};
use crate::support::python;

const TIME: &str = "2026-01-31T12:00:00Z";
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_published_event_is_listed_at_the_position_of_its_acknowledgement() {
    let world = World::start().await;
    let runtime = world.runtime().await;
    let position = publish(&runtime, CREATED, &created("s1", "a1", TIME)).await;
    let path = format!("/v1/agent-sessions?min_position={position}");
    let page = world.client().get(&path).await.ok();
    assert_eq!(page["total"], 1);
    assert_eq!(page["sessions"][0]["session_id"], "s1");
    assert_eq!(page["as_of"]["caught_up"], true);
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_posted_over_http_gets_its_verdict_through_the_stream() {
    let world = World::start().await;
    let client = world.client();
    let position = client.apply(&created("s1", "a1", TIME)).await;
    let again = client.emit(&created("s1", "a1", TIME)).await.ok();
    assert_eq!(again["verdict"], "duplicate");
    assert_eq!(again["first_position"], position);
    let missing = event(
        "t",
        "session.terminated",
        "s1",
        &json!({"outcome": "completed"}),
    );
    client.apply(&missing).await;
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn an_undecodable_record_is_listed_with_its_reason_and_announced_to_listeners() {
    let world = World::start().await;
    let runtime = world.runtime().await;
    let listener = async_nats::connect(world.nats.url()).await.unwrap();
    let mut verdicts = listener.subscribe("ledger.verdict.v1.acme").await.unwrap();
    listener.flush().await.unwrap();
    let mut mismatched = created("s1", "a1", TIME);
    mismatched["type"] = json!("session.terminated");
    let mut foreign = created("s1", "a1", TIME);
    foreign["tenantid"] = json!("globex");
    let mut newer = created("s1", "a1", TIME);
    newer["specversion"] = json!("2.0");
    let bodies = [
        (b"{]".to_vec(), "not_json"),
        (mismatched.to_string().into_bytes(), "subject_mismatch"),
        (foreign.to_string().into_bytes(), "tenant_mismatch"),
        (newer.to_string().into_bytes(), "invalid"),
    ];
    let mut position = 0;
    for (body, reason) in &bodies {
        let ack = runtime.publish(CREATED, body.clone().into()).await.unwrap();
        position = ack.await.unwrap().sequence;
        let told = tokio::time::timeout(SOON, verdicts.next())
            .await
            .unwrap()
            .unwrap();
        let told: Value = serde_json::from_slice(&told.payload).unwrap();
        assert_eq!(
            (&told["position"], &told["reason"]),
            (&json!(position), &json!(reason))
        );
    }
    assert_eq!(world.total(position).await, 0);
    let rejections = world.client().get("/v1/rejections").await.ok();
    assert_eq!(rejections["total"], 4);
    for (listed, (_, reason)) in rejections["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .zip(&bodies)
    {
        assert_eq!(listed["reason"], *reason, "{listed}");
    }
    // The ledger keeps working.
    let position = publish(&runtime, CREATED, &created("s1", "a1", TIME)).await;
    assert_eq!(world.total(position).await, 1);
    world.ledger.stop().await.unwrap();
}

/// Publishes in both modes of CloudEvents with a stock Python client, and prints the acknowledged
/// position of the second event.
const PYTHON: &str = r#"
import asyncio, json, sys
import nats

async def main():
    connection = await nats.connect(sys.argv[1])
    stream = connection.jetstream()
    structured = {
        "specversion": "1.0", "id": "1", "source": "/python", "type": "session.created",
        "subject": "py-1", "tenantid": "acme", "data": {"agent_id": "snake"},
    }
    await stream.publish("ledger.v1.acme.session.created", json.dumps(structured).encode())
    ack = await stream.publish(
        "ledger.v1.acme.session.created",
        json.dumps({"agent_id": "snake", "metadata": {"mode": "binary"}}).encode(),
        headers={
            "ce-specversion": "1.0", "ce-id": "2", "ce-source": "/python",
            "ce-type": "session.created", "ce-subject": "py-2",
            "content-type": "application/json",
        },
    )
    print(ack.seq)
    await connection.close()

asyncio.run(main())
"#;

#[tokio::test]
async fn a_stock_python_client_can_publish_in_both_modes() {
    let world = World::start().await;
    let printed = python::run(PYTHON, &[world.nats.url()]).await;
    let position = printed.trim().parse().unwrap();
    assert_eq!(world.total(position).await, 2);
    let binary = world.client().get("/v1/agent-sessions/py-2").await.ok();
    assert_eq!(binary["metadata"], json!({"mode": "binary"}));
    world.ledger.stop().await.unwrap();
}

/// Publishes sessions from several clients at a time, every tenth twice. Returns the last position.
async fn load(world: &World, clients: usize, each: usize) -> u64 {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let runtime = world.runtime().await;
        tasks.spawn(async move {
            let mut last = 0;
            for number in 0..each {
                let body = created(&format!("s{client}-{number}"), "a1", TIME);
                last = publish(&runtime, CREATED, &body).await;
                if number % 10 == 0 {
                    last = publish(&runtime, CREATED, &body).await;
                }
            }
            last
        });
    }
    tasks.join_all().await.into_iter().max().unwrap()
}

/// Starts runtimes that retry until the server is reachable.
async fn stubborn_load(world: &World, clients: usize, each: usize) -> JoinSet<u64> {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let runtime = jetstream::new(options.connect(world.nats.url()).await.unwrap());
        tasks.spawn(async move {
            let mut last = 0;
            for number in 0..each {
                let body = created(&format!("t{client}-{number}"), "a1", TIME);
                last = publish(&runtime, CREATED, &body).await;
            }
            last
        });
    }
    tasks
}

/// Waits until a position is folded. While NATS is down, the ledger may answer with a 503.
async fn until_folded(client: &Client, position: u64) {
    let path = format!("/v1/status?min_position={position}");
    while client.get(&path).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn killing_the_server_under_load_loses_no_acknowledged_event() {
    let mut world = World::start().await;
    let client = world.client();
    let before = load(&world, 4, 50).await;
    world.nats.kill();
    let runtimes = stubborn_load(&world, 4, 150).await;
    world.nats.restart().await;
    until_folded(&client, before + 100).await;
    // The runtimes are still appending, and the ledger is reading.
    world.nats.restart().await;
    let last = runtimes.join_all().await.into_iter().max().unwrap();
    until_folded(&client, last).await;
    assert_eq!(world.total(last).await, 4 * 50 + 4 * 150);
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_without_its_log_answers_reads_but_is_not_ready() {
    let mut world = World::start().await;
    let client = world.client();
    let last = load(&world, 1, 5).await;
    assert_eq!(world.total(last).await, 5);
    world.nats.kill();
    let said = until_ready_is(&client, 503).await;
    assert!(said.contains("the log cannot be reached"), "{said}");
    assert_eq!(world.total(last).await, 5);
    let beyond = format!("/v1/agent-sessions?min_position={}", last + 1);
    let answer = client.get(&beyond).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.json()["code"], "unavailable");
    assert_eq!(answer.json()["detail"], "the log is unavailable; try again");
    world.nats.restart().await;
    until_ready_is(&client, 200).await;
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn deleting_the_readers_consumers_loses_nothing() {
    let world = World::start().await;
    let stranger = world.runtime().await;
    let mut deleting = JoinSet::new();
    deleting.spawn(async move {
        let stream = stranger.get_stream("LEDGER").await.unwrap();
        let mut deleted = 0_u32;
        loop {
            let names: Vec<String> = stream
                .consumer_names()
                .try_collect()
                .await
                .unwrap_or_default();
            for name in names {
                deleted += u32::from(stream.delete_consumer(&name).await.is_ok());
            }
            if 20 <= deleted {
                return deleted;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut last = load(&world, 4, 100).await;
    let mut extra = 0;
    while deleting.try_join_next().is_none() {
        let body = created(&format!("extra-{extra}"), "a1", TIME);
        last = publish(&world.runtime().await, CREATED, &body).await;
        extra += 1;
    }
    until_folded(&world.client(), last).await;
    assert_eq!(world.total(last).await, 4 * 100 + extra);
    world.ledger.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_node_and_a_restarted_node_fold_the_same_bytes() {
    let world = World::start().await;
    let last = load(&world, 2, 100).await;
    world.total(last).await;
    world.ledger.stop().await.unwrap();
    let again = ledger(&world.nats, world.dir.path()).await;
    let runtime = jetstream::new(async_nats::connect(world.nats.url()).await.unwrap());
    let end = event("end", "session.terminated", "s0-0", &json!({}));
    publish(&runtime, "ledger.v1.acme.session.terminated", &end).await;
    let other_dir = tempfile::tempdir().unwrap();
    let other = ledger(&world.nats, other_dir.path()).await;
    assert_eq!(
        again.catch_up().await.unwrap(),
        other.catch_up().await.unwrap()
    );
    again.stop().await.unwrap();
    other.stop().await.unwrap();
    let digest = |dir: &Path| {
        let store = Store::open(&dir.join("model.redb")).unwrap();
        store.snapshot().unwrap().digest().unwrap()
    };
    assert_eq!(digest(world.dir.path()), digest(other_dir.path()));
}

/// Both nodes see the revocation. The second one to write writes duplicates.
#[tokio::test]
async fn two_nodes_end_each_session_of_a_revoked_agent_once() {
    let world = World::start().await;
    let other_dir = tempfile::tempdir().unwrap();
    let other = ledger(&world.nats, other_dir.path()).await;
    let clients = [&world.ledger, &other].map(|node| Client::new(&node.url(), "acme"));
    let [client, _] = &clients;
    let last = load(&world, 2, 150).await;
    world.total(last).await;
    client
        .apply(&event("r", "agent.revoked", "a1", &json!({})))
        .await;
    for client in &clients {
        let active = async || {
            let agent = client.get("/v1/agents/a1").await;
            (agent.status == 200).then(|| agent.json()["active_session_count"].clone())
        };
        while active().await != Some(json!(0)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let late = client.emit(&created("late", "a1", TIME)).await;
    late.problem(403, "agent_revoked");
    world.ledger.catch_up().await.unwrap();
    other.catch_up().await.unwrap();
    for client in &clients {
        let counts = client.get("/v1/agent-sessions/count").await.ok();
        assert_eq!(counts["by_status"]["terminated"], 300);
        for number in 0..150 {
            let path = format!("/v1/agent-sessions/s0-{number}/events");
            let events = client.get(&path).await.ok();
            assert_eq!(events["total"], 2, "opened, and ended once");
        }
    }
    other.stop().await.unwrap();
    world.ledger.stop().await.unwrap();
}
