//! Ledgers on a cluster of NATS servers, behind one address, with clients that write and read all the
//! time and check what they see.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use session_ledger::app::{Config, LogSource, Running, start};
use session_ledger::projection::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, created};
use super::nats_cluster::NatsCluster;
use super::nats_ledger::until_ready_is;

const TIME: &str = "2026-01-31T12:00:00Z";
/// The clients that write.
const WRITERS: u64 = 3;
/// The pause of a client before it tries again, and of a reader between two reads.
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than a ledger takes for any answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A cluster, ledgers on it, and their clients.
pub(crate) struct Fleet {
    pub(crate) cluster: NatsCluster,
    ledgers: Vec<(Running, tempfile::TempDir)>,
    address: Arc<Address>,
    seen: Arc<Seen>,
    clients: JoinSet<()>,
    stop: CancellationToken,
}

/// One address with several ledgers behind it: requests take turns, and go to the next ledger if one is
/// not reached.
struct Address {
    urls: Mutex<Vec<String>>,
    turn: AtomicUsize,
    http: reqwest::Client,
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    /// Each event that was acknowledged, with its position and, if the ledger gave one, its verdict.
    acknowledged: Mutex<HashMap<String, (u64, Option<String>)>>,
    /// When the last write was acknowledged, and the last read answered.
    last_write: Mutex<Option<Instant>>,
    reads: AtomicU64,
    /// Tries of writes, and reads after them, that got no answer or a 503.
    failed: AtomicU64,
    /// Answers to writes with 503 that lack `Retry-After`.
    without_retry_after: AtomicU64,
}

impl Fleet {
    /// Starts a cluster, two ledgers and their clients, and waits until all have written.
    pub(crate) async fn start() -> Self {
        Self::start_with(2).await
    }

    /// As `start`, with this many ledgers.
    pub(crate) async fn start_with(ledgers: usize) -> Self {
        let cluster = Box::pin(NatsCluster::start()).await;
        let mut fleet = Self {
            cluster,
            ledgers: Vec::new(),
            address: Arc::new(Address {
                urls: Mutex::default(),
                turn: AtomicUsize::new(0),
                http: reqwest::Client::builder()
                    .no_proxy()
                    .timeout(ANSWER_MAX)
                    .build()
                    .unwrap(),
            }),
            seen: Arc::default(),
            clients: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        for _ in 0..ledgers {
            fleet.add_ledger().await;
        }
        for writer in 0..WRITERS {
            let (address, seen) = (Arc::clone(&fleet.address), Arc::clone(&fleet.seen));
            fleet
                .clients
                .spawn(write(writer, address, seen, fleet.stop.clone()));
        }
        let (address, seen) = (Arc::clone(&fleet.address), Arc::clone(&fleet.seen));
        fleet.clients.spawn(read(address, seen, fleet.stop.clone()));
        fleet.written_more(10).await;
        fleet
    }

    /// Starts a ledger with an empty directory behind the address.
    pub(crate) async fn add_ledger(&mut self) {
        self.start_ledger(tempfile::tempdir().unwrap()).await;
    }

    async fn start_ledger(&mut self, dir: tempfile::TempDir) {
        let config = Config {
            log: LogSource::JetStream(self.cluster.config()),
            ..Config::local(dir.path().to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let ledger = Box::pin(start(config)).await.unwrap();
        until_ready_is(&Client::new(&ledger.url(), "acme"), 200).await;
        self.address.urls.lock().unwrap().push(ledger.url());
        self.ledgers.push((ledger, dir));
    }

    /// Stops the oldest ledger, as an upgrade does, and starts one on its directory.
    pub(crate) async fn roll_oldest_ledger(&mut self) {
        // The load balancer first: it sends no more requests there.
        self.address.urls.lock().unwrap().remove(0);
        let (ledger, dir) = self.ledgers.remove(0);
        ledger.stop().await.unwrap();
        self.start_ledger(dir).await;
    }

    /// Drops a ledger, which is like a crash, and its directory.
    pub(crate) fn kill_ledger(&mut self, index: usize) {
        self.address.urls.lock().unwrap().remove(index);
        drop(self.ledgers.remove(index));
    }

    /// Clients that talk to one ledger each.
    pub(crate) fn ledger_clients(&self) -> Vec<Client> {
        let ledgers = self.ledgers.iter();
        ledgers
            .map(|(ledger, _)| Client::new(&ledger.url(), "acme"))
            .collect()
    }

    /// Waits until this many more events are acknowledged. Panics if a client has failed.
    pub(crate) async fn written_more(&mut self, count: usize) {
        let before = self.seen.acknowledged.lock().unwrap().len();
        while self.seen.acknowledged.lock().unwrap().len() < before + count {
            if let Some(ended) = self.clients.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a write is acknowledged that was sent after `since`. Returns how long that took.
    pub(crate) async fn written_after(&mut self, since: Instant) -> Duration {
        loop {
            if let Some(ended) = self.clients.try_join_next() {
                ended.unwrap();
            }
            let last = *self.seen.last_write.lock().unwrap();
            if let Some(sent) = last.filter(|sent| since < *sent) {
                return sent - since;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The tries of clients that failed, for which they tried again.
    pub(crate) fn failed(&self) -> u64 {
        self.seen.failed.load(Ordering::Relaxed)
    }

    /// The number of pages that were read.
    pub(crate) fn reads(&self) -> u64 {
        self.seen.reads.load(Ordering::Relaxed)
    }

    /// Stops the clients, and checks that nothing is lost, doubled or different: every acknowledged event
    /// is on the log once, with the verdict that was given; all ledgers have the same read model, and
    /// their totals, parts and pages agree.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        assert_eq!(self.seen.without_retry_after.load(Ordering::Relaxed), 0);
        let mut head = 0;
        for (ledger, _) in &self.ledgers {
            head = ledger.catch_up().await.unwrap().get();
        }
        let acknowledged = self.seen.acknowledged.lock().unwrap().clone();
        for client in self.ledger_clients() {
            check_log(&client, &acknowledged).await;
            check_totals(&client, head, acknowledged.len()).await;
        }
        let mut digests = Vec::new();
        for (ledger, dir) in self.ledgers {
            ledger.stop().await.unwrap();
            digests.push(digest(dir.path()));
        }
        digests.dedup();
        assert_eq!(digests.len(), 1, "the ledgers differ: {digests:?}");
    }
}

fn digest(dir: &Path) -> (u64, String) {
    let store = Store::open(&dir.join("model.redb")).unwrap();
    let snapshot = store.snapshot().unwrap();
    let position = snapshot.progress().position.get();
    (position, hex::encode(snapshot.digest().unwrap()))
}

/// Checks that each acknowledged event was applied once, at its position and with its verdict.
async fn check_log(client: &Client, acknowledged: &HashMap<String, (u64, Option<String>)>) {
    let (mut applied, mut verdicts, mut after) = (HashMap::new(), HashMap::new(), 0);
    loop {
        let path = format!("/v1/events?limit=1000&after={after}");
        let page = client.get(&path).await.ok();
        let events = page["events"].as_array().unwrap();
        for entry in events {
            after = entry["position"].as_u64().unwrap();
            let id = entry["event"]["id"].as_str().unwrap_or_default().to_owned();
            let verdict = entry["verdict"].as_str().unwrap().to_owned();
            if verdict == "applied" {
                *applied.entry(id.clone()).or_insert(0) += 1;
            }
            verdicts.insert(after, (id, verdict));
        }
        if events.is_empty() {
            break;
        }
    }
    for (id, (position, verdict)) in acknowledged {
        assert_eq!(applied.get(id), Some(&1), "{id} at {position}");
        let (id_there, verdict_there) = &verdicts[position];
        assert_eq!(id_there, id, "at {position}");
        if let Some(verdict) = verdict {
            assert_eq!(verdict_there, verdict, "{id} at {position}");
        }
    }
}

/// Checks that the total is the sum by status, and the number of rows on all pages.
async fn check_totals(client: &Client, head: u64, at_least: usize) {
    let status = client.get("/v1/status").await.ok();
    let parts = status["sessions"]["by"].as_object().unwrap();
    let sum: u64 = parts.values().map(|count| count.as_u64().unwrap()).sum();
    let total = status["sessions"]["total"].as_u64().unwrap();
    assert_eq!(sum, total);
    let (mut rows, mut cursor) = (0, String::new());
    loop {
        let path = format!("/v1/agent-sessions?limit=200&min_position={head}{cursor}");
        let page = client.get(&path).await.ok();
        assert_eq!(page["total"], total);
        rows += page["sessions"].as_array().unwrap().len() as u64;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(rows, total);
    assert!(at_least as u64 <= total, "{total} of {at_least}");
}

impl Address {
    /// Sends a request to the next ledger. Returns its address, the status and the body; `None` if it was
    /// not reached.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(String, StatusCode, bool, Value)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let url = {
            let urls = self.urls.lock().unwrap();
            urls[turn % urls.len()].clone()
        };
        let request = self.http.request(method, format!("{url}{path}"));
        let request = request.header("x-tenant-id", "acme");
        let request = match body {
            Some(body) => request
                .header("content-type", "application/cloudevents+json")
                .body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.ok()?;
        let (status, retry) = (
            answer.status(),
            answer.headers().contains_key("retry-after"),
        );
        let text = answer.text().await.ok()?;
        Some((url, status, retry, serde_json::from_str(&text).ok()?))
    }
}

/// Writes one event after another, each until it is acknowledged, and reads each of them.
async fn write(writer: u64, address: Arc<Address>, seen: Arc<Seen>, stop: CancellationToken) {
    for count in 0.. {
        let session = format!("s{writer}-{count}");
        let event = created(&session, "a1", TIME);
        let (sent, position) = loop {
            if stop.is_cancelled() {
                return;
            }
            let sent = Instant::now();
            let answer = address.send(Method::POST, "/v1/events", Some(&event));
            match answer.await {
                Some((_, status, _, body)) if status.is_success() => {
                    let position = body["position"].as_u64().unwrap();
                    let verdict = body["verdict"]
                        .as_str()
                        .filter(|verdict| *verdict != "pending");
                    let verdict = verdict.map(str::to_owned);
                    let expected =
                        matches!(verdict.as_deref(), None | Some("applied" | "duplicate"));
                    assert!(expected, "{body}");
                    let id = event["id"].as_str().unwrap().to_owned();
                    let mut acknowledged = seen.acknowledged.lock().unwrap();
                    acknowledged.insert(id, (position, verdict));
                    break (sent, position);
                }
                Some((_, StatusCode::SERVICE_UNAVAILABLE, retry, body)) => {
                    if !retry {
                        seen.without_retry_after.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(body["code"].is_string(), "{body}");
                }
                Some((_, status, _, body)) => panic!("{status} {body}"),
                None => {}
            }
            seen.failed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        };
        *seen.last_write.lock().unwrap() = Some(sent);
        let path = format!("/v1/agent-sessions/{session}?min_position={position}");
        loop {
            if stop.is_cancelled() {
                return;
            }
            match address.send(Method::GET, &path, None).await {
                Some((_, StatusCode::OK, _, body)) => {
                    assert_eq!(body["session_id"], session);
                    break;
                }
                Some((_, StatusCode::SERVICE_UNAVAILABLE, _, _)) | None => {}
                Some((_, status, _, body)) => panic!("own write {position}: {status} {body}"),
            }
            seen.failed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Reads totals and pages. Of one ledger, positions and totals never become smaller.
async fn read(address: Arc<Address>, seen: Arc<Seen>, stop: CancellationToken) {
    let mut last: HashMap<String, (u64, u64)> = HashMap::new();
    while !stop.is_cancelled() {
        if let Some((url, StatusCode::OK, _, page)) = address
            .send(Method::GET, "/v1/agent-sessions?limit=50", None)
            .await
        {
            let position = page["as_of"]["position"].as_u64().unwrap();
            let total = page["total"].as_u64().unwrap();
            let rows = page["sessions"].as_array().unwrap().len() as u64;
            assert_eq!(rows, total.min(50), "{page}");
            let before = last.insert(url, (position, total)).unwrap_or_default();
            assert!(
                before.0 <= position && before.1 <= total,
                "{before:?} {page}"
            );
            seen.reads.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((_, StatusCode::OK, _, status)) =
            address.send(Method::GET, "/v1/status", None).await
        {
            let parts = status["sessions"]["by"].as_object().unwrap();
            let sum: u64 = parts.values().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(
                sum,
                status["sessions"]["total"].as_u64().unwrap(),
                "{status}"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}
