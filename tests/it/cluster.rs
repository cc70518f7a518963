//! Two or three ledgers on a cluster of three NATS servers, while servers are killed, hang or are cut off: clients
//! that retry go on within seconds, nothing is lost or doubled, and all ledgers end up equal.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::TryStreamExt as _;
use serde_json::json;
use session_ledger::domain::Position;
use session_ledger::log::EventLog as _;
use session_ledger::log::jetstream::{JetStreamConfig, JetStreamLog};
use tokio::time::{sleep, timeout};

use crate::log_conformance::new_records;
use crate::support::client::created;
use crate::support::fleet::Fleet;
use crate::support::nats_cluster::{NODES, NatsCluster, others};
use crate::support::nats_ledger::until_ready_is;

const TIME: &str = "2026-01-31T12:00:00Z";
/// How long writes may fail after a fault of one server. NATS elects a leader 4 to 9 s after the last one
/// was heard, and again if the votes are split.
const BACK_WITHIN: Duration = Duration::from_secs(25);
/// How long writes may fail if the servers can hand the leadership over.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(10);

/// Waits until a write that was sent after `since` is acknowledged.
async fn writes_again(fleet: &mut Fleet, since: Instant, within: Duration) {
    let took = fleet.written_after(since).await;
    assert!(took < within, "{took:?}");
}

/// Kills the leader of the stream, and starts it again once others have taken over.
async fn survives_its_leader(fleet: &mut Fleet) {
    let leader = fleet.cluster.leader().await;
    fleet.cluster.kill(leader);
    writes_again(fleet, Instant::now(), BACK_WITHIN).await;
    fleet.cluster.restart(leader).await;
    fleet.cluster.settled().await;
    fleet.written_more(20).await;
    all_ready(fleet).await;
}

async fn all_ready(fleet: &Fleet) {
    for client in fleet.ledger_clients() {
        until_ready_is(&client, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_after_the_leader_of_the_stream_is_killed() {
    let mut fleet = Box::pin(Fleet::start()).await;
    survives_its_leader(&mut fleet).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_while_the_leader_of_the_stream_hangs() {
    let mut fleet = Box::pin(Fleet::start()).await;
    let leader = fleet.cluster.leader().await;
    fleet.cluster.pause(leader);
    writes_again(&mut fleet, Instant::now(), BACK_WITHIN).await;
    // Both ledgers have left the server.
    all_ready(&fleet).await;
    fleet.written_more(20).await;
    fleet.cluster.go_on(leader);
    fleet.cluster.settled().await;
    fleet.written_more(20).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_while_the_leader_of_the_stream_is_cut_off() {
    let mut fleet = Box::pin(Fleet::start()).await;
    let leader = fleet.cluster.leader().await;
    fleet.cluster.cut_off(leader);
    writes_again(&mut fleet, Instant::now(), BACK_WITHIN).await;
    // Both ledgers have left the server, although it answers pings.
    all_ready(&fleet).await;
    fleet.written_more(20).await;
    fleet.cluster.heal(leader);
    fleet.cluster.settled().await;
    fleet.written_more(20).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_after_the_leader_of_the_cluster_is_killed() {
    let mut fleet = Box::pin(Fleet::start()).await;
    let meta = fleet.cluster.meta_leader().await;
    while fleet.cluster.leader().await == meta {
        fleet.cluster.step_down().await;
    }
    let since = Instant::now();
    fleet.cluster.kill(meta);
    writes_again(&mut fleet, since, HANDED_OVER_WITHIN).await;
    fleet.cluster.restart(meta).await;
    fleet.cluster.settled().await;
    fleet.written_more(20).await;
    all_ready(&fleet).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_while_all_servers_are_restarted_one_by_one() {
    let mut fleet = Box::pin(Fleet::start()).await;
    for node in 0..NODES {
        let since = Instant::now();
        fleet.cluster.terminate(node);
        writes_again(&mut fleet, since, BACK_WITHIN).await;
        fleet.cluster.restart(node).await;
        fleet.cluster.settled().await;
    }
    fleet.written_more(20).await;
    all_ready(&fleet).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_writes_are_refused_and_reads_go_on() {
    let mut fleet = Box::pin(Fleet::start()).await;
    let leader = fleet.cluster.leader().await;
    for other in others(leader) {
        fleet.cluster.kill(other);
    }
    for client in fleet.ledger_clients() {
        let said = until_ready_is(&client, 503).await;
        assert!(said.contains("the log"), "{said}");
        let refused = client.emit(&created("refused", "a1", TIME)).await;
        assert_eq!(refused.status, 503, "{}", refused.text);
        assert!(!refused.header("retry-after").is_empty());
        let page = client.get("/v1/agent-sessions").await.ok();
        assert_eq!(page["as_of"]["caught_up"], json!(false));
    }
    let reads = fleet.reads();
    let since = Instant::now();
    for other in others(leader) {
        fleet.cluster.restart(other).await;
    }
    writes_again(&mut fleet, since, BACK_WITHIN).await;
    assert!(reads < fleet.reads());
    all_ready(&fleet).await;
    fleet.cluster.settled().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_killed_is_replaced_by_one_with_an_empty_directory() {
    let mut fleet = Box::pin(Fleet::start()).await;
    fleet.written_more(50).await;
    let since = Instant::now();
    fleet.kill_ledger(0);
    writes_again(&mut fleet, since, HANDED_OVER_WITHIN).await;
    fleet.add_ledger().await;
    all_ready(&fleet).await;
    fleet.written_more(50).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_ledgers_are_rolled_one_by_one_and_survive_the_leader_of_the_stream() {
    let mut fleet = Box::pin(Fleet::start_with(3)).await;
    let failed = fleet.failed();
    for _ in 0..3 {
        let since = Instant::now();
        fleet.roll_oldest_ledger().await;
        writes_again(&mut fleet, since, HANDED_OVER_WITHIN).await;
        all_ready(&fleet).await;
    }
    // At most one request of each client was on its way to each ledger that stopped.
    let failed = fleet.failed() - failed;
    assert!(failed <= 9, "{failed}");
    survives_its_leader(&mut fleet).await;
    fleet.end().await;
}

/// The server that has the newest consumer of the stream of events.
async fn server_of_newest_consumer(cluster: &NatsCluster) -> Option<usize> {
    let client = async_nats::connect(cluster.urls()).await.unwrap();
    let stream = jetstream::new(client).get_stream("LEDGER").await.unwrap();
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    let newest = consumers.iter().max_by_key(|consumer| consumer.created)?;
    let leader = newest.cluster.as_ref()?.leader.as_deref()?;
    leader.strip_prefix('n')?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_after_its_consumer_is_lost_with_a_server_that_it_is_not_connected_to() {
    let mut cluster = Box::pin(NatsCluster::start()).await;
    let config = JetStreamConfig {
        replicas: NODES,
        ..JetStreamConfig::new(vec![cluster.urls()[0].clone()])
    };
    let log = Box::pin(JetStreamLog::connect(&config, false))
        .await
        .unwrap();
    assert!(log.append(new_records(0..1)).await[0].is_ok());
    let (mut tail, server) = loop {
        let mut tail = log.tail(Position::ZERO).await.unwrap();
        assert_eq!(tail.next(10).await.unwrap().len(), 1);
        // Not the server that the log is connected to. There is none while the tail reads by position.
        if let Some(server @ 1..) = server_of_newest_consumer(&cluster).await {
            break (tail, server);
        }
    };
    cluster.kill(server);
    let written = async {
        while log.append(new_records(1..2)).await[0].is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        Instant::now()
    };
    let read = async {
        let records = tail.next(10).await.unwrap();
        (records[0].position, Instant::now())
    };
    let both = async { tokio::join!(written, read) };
    let (written, (position, read)) = timeout(BACK_WITHIN * 2, both).await.unwrap();
    assert_eq!(position, Position::new(2));
    let behind = read.saturating_duration_since(written);
    assert!(behind < HANDED_OVER_WITHIN, "{behind:?}");
}
