//! A node without the API: a log, the read model that is folded from it, and the expiry reactor.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use session_ledger::domain::{Clock, Position, TenantId, Timestamp, Verdict};
use session_ledger::ledger::Reactor;
use session_ledger::log::{EventLog, NewRecord, Record};
use session_ledger::metrics::Metrics;
use session_ledger::projection::{Projection, Waited, runner};
use session_ledger::wire::is_expiry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longer than any wait in these tests takes.
const SOON: Duration = Duration::from_secs(30);

/// A running node. Dropping it is a crash.
pub(crate) struct Node {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) projection: Arc<Projection>,
    expiry_stop: CancellationToken,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Node {
    /// Starts the fold of a log into a file.
    pub(crate) fn start(log: Arc<dyn EventLog>, model: &Path) -> Self {
        let projection = Arc::new(Projection::open(model).unwrap());
        let stop = CancellationToken::new();
        let (metrics, mut tasks) = (Arc::new(Metrics::default()), JoinSet::new());
        let fold = runner::run(
            Arc::clone(&projection),
            Arc::clone(&log),
            metrics,
            stop.clone(),
        );
        tasks.spawn(async move { fold.await.unwrap() });
        Self {
            log,
            projection,
            expiry_stop: stop.child_token(),
            stop,
            tasks,
        }
    }

    /// Starts the expiry reactor with a clock.
    pub(crate) fn start_expiry(&mut self, clock: Arc<dyn Clock>) {
        let expiry = Reactor {
            log: Arc::clone(&self.log),
            projection: Arc::clone(&self.projection),
            clock,
            metrics: Arc::default(),
        };
        self.tasks.spawn(expiry.expire(self.expiry_stop.clone()));
    }

    /// Stops only the expiry reactor.
    pub(crate) fn stop_expiry(&self) {
        self.expiry_stop.cancel();
    }

    /// Appends records and waits until they are folded.
    pub(crate) async fn append(&self, records: Vec<NewRecord>) {
        let appended = self.log.append(records).await;
        let last = appended.into_iter().map(Result::unwrap).max().unwrap();
        self.folded(last).await;
    }

    pub(crate) async fn folded(&self, position: Position) {
        let waited = self.projection.wait_for(position, SOON).await;
        assert_eq!(waited, Waited::Reached);
    }

    /// Waits until at most this many open sessions have a deadline.
    pub(crate) async fn until_left(&self, count: usize) {
        let mut folded = self.projection.watch();
        let wait = async {
            loop {
                folded.mark_unchanged();
                let snapshot = self.projection.snapshot().unwrap();
                if snapshot
                    .of_all_tenants()
                    .deadlines(usize::MAX)
                    .unwrap()
                    .len()
                    <= count
                {
                    return;
                }
                folded.changed().await.unwrap();
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap();
    }

    /// Returns all records on the log.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let head = self.log.head().await.unwrap();
        self.folded(head).await;
        let mut tail = self.log.tail(Position::ZERO).await.unwrap();
        let mut records: Vec<Record> = Vec::new();
        while records.last().is_none_or(|last| last.position < head) {
            records.extend(tail.next(usize::MAX).await.unwrap());
        }
        records
    }

    /// Returns the expiries on the log, in order.
    pub(crate) async fn expiries(&self) -> Vec<Expiry> {
        let records = self.records().await;
        let expiries = records.iter().filter(|record| is_expiry(&record.subject));
        expiries.map(|record| self.expiry(record)).collect()
    }

    fn expiry(&self, record: &Record) -> Expiry {
        let event: Value = serde_json::from_slice(&record.payload).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let tenant = record.subject.split('.').nth(3).unwrap().to_owned();
        Expiry {
            verdict: self.verdict(&tenant, record.position),
            tenant,
            session: text(&event["subject"]),
            deadline: text(&event["data"]["expires_at"]),
        }
    }

    /// Returns the verdict on the record at a position.
    pub(crate) fn verdict(&self, tenant: &str, position: Position) -> Verdict {
        let snapshot = self.projection.snapshot().unwrap();
        let tenant = TenantId::parse(tenant).unwrap();
        let tenant = snapshot.of_tenant(&tenant).unwrap().unwrap();
        let row = tenant.verdict(position).unwrap();
        row.unwrap().verdict
    }

    /// Stops everything gracefully.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(stopped) = self.tasks.join_next().await {
            stopped.unwrap();
        }
    }
}

/// A `session.expired`, and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) tenant: String,
    pub(crate) session: String,
    pub(crate) deadline: String,
    pub(crate) verdict: Verdict,
}

/// Returns the opening of a session with a deadline.
pub(crate) fn session(tenant: &str, id: &str, expires_at: Timestamp) -> NewRecord {
    let data = json!({"agent_id": "a1", "expires_at": expires_at});
    record(
        tenant,
        "session.created",
        &format!("created-{id}"),
        id,
        &data,
    )
}

/// Returns a record as a runtime writes it, without a `time` attribute.
pub(crate) fn record(
    tenant: &str,
    event_type: &str,
    id: &str,
    session: &str,
    data: &Value,
) -> NewRecord {
    let event = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/tests",
        "type": event_type,
        "subject": session,
        "data": data,
    });
    NewRecord {
        subject: format!("ledger.v1.{tenant}.{event_type}").into(),
        private: Bytes::new(),
        body: event.to_string().into(),
    }
}
