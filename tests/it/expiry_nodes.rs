//! Several nodes on one stream: together they write each expiry once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Clock, Position, Timestamp, Verdict};
use tempfile::TempDir;

use crate::log_batches::open_all_batches;
use crate::log_jetstream::connect;
use crate::support::nats::NatsServer;
use crate::support::node::{Expiry, Node, record, session};

const SECOND_US: i64 = 1_000_000;

/// Nodes on one stream.
struct Nodes {
    all: Vec<Node>,
    nats: NatsServer,
    _models: TempDir,
}

impl Nodes {
    async fn start(count: usize) -> Self {
        let (nats, models) = (NatsServer::start().await, tempfile::tempdir().unwrap());
        let mut nodes = Vec::new();
        for number in 0..count {
            let log = connect(&nats, false).await;
            let mut node = Node::start(log, &models.path().join(format!("{number}.redb")));
            node.start_expiry(Arc::new(SystemClock));
            nodes.push(node);
        }
        Self {
            all: nodes,
            nats,
            _models: models,
        }
    }

    /// Waits until every session has expired. Returns the expiries, on which all nodes agree.
    async fn all_expired(self) -> Vec<Expiry> {
        for node in &self.all {
            node.until_left(0).await;
        }
        let expiries = self.all[0].expiries().await;
        for node in &self.all[1..] {
            assert_eq!(node.expiries().await, expiries);
        }
        for node in self.all {
            node.stop().await;
        }
        expiries
    }
}

fn in_us(micros: i64) -> Timestamp {
    SystemClock.now().plus_micros(micros)
}

/// Opens sessions of three tenants that expire a second later: half of them at the same moment, the
/// others within half a second.
async fn open_sessions(node: &Node, count: i64) {
    let soon = in_us(SECOND_US);
    let sessions = (0..count).map(|number| {
        let later = SECOND_US / 2 * number / count;
        let later = if number % 2 == 0 { 0 } else { later };
        let tenant = format!("t{}", number % 3);
        session(&tenant, &format!("s{number}"), soon.plus_micros(later))
    });
    node.append(sessions.collect()).await;
}

#[track_caller]
fn assert_each_once(expiries: &[Expiry], count: usize) {
    assert!(expiries.iter().all(|one| one.verdict == Verdict::Applied));
    let sessions: HashMap<_, _> = expiries.iter().map(|one| (&one.session, one)).collect();
    assert_eq!((sessions.len(), expiries.len()), (count, count));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_write_each_expiry_once() {
    let nodes = Nodes::start(3).await;
    open_sessions(&nodes.all[0], 600).await;
    assert_each_once(&nodes.all_expired().await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_write_each_expiry_once_when_no_batch_can_be_opened() {
    let nodes = Nodes::start(3).await;
    open_sessions(&nodes.all[0], 200).await;
    open_all_batches(nodes.nats.url()).await;
    assert_each_once(&nodes.all_expired().await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_node_stops_another_goes_on() {
    let nodes = Nodes::start(2).await;
    open_sessions(&nodes.all[0], 600).await;
    // By now the half with one common deadline has expired, and the others are expiring.
    nodes.all[0].until_left(290).await;
    nodes.all[0].stop_expiry();
    nodes.all[1].until_left(150).await;
    assert_each_once(&nodes.all_expired().await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_races_a_deadline_wins_or_loses_but_not_both() {
    const SESSIONS: i64 = 120;
    let nodes = Nodes::start(2).await;
    let (start, name) = (in_us(SECOND_US), |number| format!("s{number}"));
    // There is a deadline every five milliseconds, and a refresh at about the same time.
    let deadline = |number| start.plus_micros(number * SECOND_US / 200);
    let sessions = (0..SESSIONS).map(|number| session("acme", &name(number), deadline(number)));
    nodes.all[0].append(sessions.collect()).await;
    let runtime = connect(&nodes.nats, true).await;
    let later = deadline(SESSIONS).plus_micros(SECOND_US / 2);
    let mut refreshes = tokio::task::JoinSet::new();
    for number in 0..SESSIONS {
        let early_us = (number * 7919) % 12_000 - 4_000;
        let at = deadline(number).plus_micros(-early_us);
        let (runtime, id) = (Arc::clone(&runtime), name(number));
        refreshes.spawn(async move {
            let wait = u64::try_from(at.micros_since(SystemClock.now())).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(wait)).await;
            let data = json!({"expires_at": later});
            let refresh = record("acme", "session.refreshed", &id, &id, &data);
            let log: &dyn session_ledger::log::EventLog = &*runtime;
            (id, log.append(vec![refresh]).await[0].clone().unwrap())
        });
    }
    let refreshes: Vec<(String, Position)> = refreshes.join_all().await;
    for node in &nodes.all {
        node.until_left(0).await;
    }
    let verdict = |position| nodes.all[0].verdict("acme", position);
    let refreshed = refreshes.into_iter();
    let refreshed: HashMap<_, _> = refreshed.map(|(id, at)| (id, verdict(at))).collect();
    let expiries = nodes.all_expired().await;
    let mut applied = HashMap::new();
    let mut written: HashMap<_, usize> = HashMap::new();
    for one in expiries {
        *written
            .entry((one.session.clone(), one.deadline.clone()))
            .or_default() += 1;
        if one.verdict == Verdict::Applied {
            assert_eq!(applied.insert(one.session, one.deadline), None);
        }
    }
    assert!(written.values().all(|times| *times == 1), "{written:?}");
    assert_eq!(applied.len(), 120, "each session expires once in the end");
    for (session, deadline) in applied {
        let won = refreshed[&session] == Verdict::Applied;
        assert_eq!(deadline == json!(later), won, "{session}");
    }
}
