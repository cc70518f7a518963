//! The running fold: it keeps up, survives restarts, and rejects a log that is not its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Clock, Position, TenantId};
use session_ledger::log::embedded::EmbeddedLog;
use session_ledger::log::{EventLog, LogError, NewRecord, Notice};
use session_ledger::metrics::Metrics;
use session_ledger::projection::runner::run;
use session_ledger::projection::{FoldError, Projection, Waited};
use session_ledger::query::{Sight, sessions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::faulty_log::call_its_log;

const SOON: Duration = Duration::from_secs(10);

fn created(session: &str) -> NewRecord {
    let body = json!({
        "specversion": "1.0", "id": session, "source": "/test", "type": "session.created",
        "subject": session, "data": {"agent_id": "a"},
    });
    NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: Bytes::new(),
        body: body.to_string().into(),
    }
}

/// A log, a read model, and a fold that runs until it is stopped.
struct Running {
    log: Arc<EmbeddedLog>,
    projection: Arc<Projection>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    fold: JoinSet<Result<(), FoldError>>,
}

impl Running {
    fn start(log_dir: &Path, model: &Path) -> Self {
        let log =
            Arc::new(EmbeddedLog::open(&log_dir.join("log.redb"), Arc::new(SystemClock)).unwrap());
        let projection = Arc::new(Projection::open(model).unwrap());
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let mut fold = JoinSet::new();
        let port: Arc<dyn EventLog> = Arc::clone(&log) as Arc<dyn EventLog>;
        fold.spawn(run(
            Arc::clone(&projection),
            port,
            Arc::clone(&metrics),
            stop.clone(),
        ));
        Self {
            log,
            projection,
            metrics,
            stop,
            fold,
        }
    }

    async fn append(&self, sessions: impl IntoIterator<Item = String>) -> Position {
        let records = sessions
            .into_iter()
            .map(|session| created(&session))
            .collect();
        let appended = self.log.append(records).await;
        appended.into_iter().map(Result::unwrap).max().unwrap()
    }

    fn total(&self) -> u64 {
        let snapshot = self.projection.snapshot().unwrap();
        let acme = TenantId::parse("acme").unwrap();
        sessions::count(
            &snapshot,
            Sight::of_tenant(&acme),
            &session_ledger::domain::SessionFilter::default(),
        )
        .unwrap()
        .total
    }

    async fn ended(&mut self) -> Result<(), FoldError> {
        let ended = tokio::time::timeout(SOON, self.fold.join_next()).await;
        let result = ended.expect("the fold ends").unwrap().unwrap();
        self.log.close().await;
        result
    }
}

#[tokio::test]
async fn an_append_is_folded_and_a_restart_continues_from_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.redb");
    let mut running = Running::start(dir.path(), &model);
    let last = running.append((0..500).map(|n| format!("s{n}"))).await;
    assert_eq!(
        running.projection.wait_for(last, SOON).await,
        Waited::Reached
    );
    assert_eq!(running.total(), 500);
    running.stop.cancel();
    running.ended().await.unwrap();
    drop(running);

    let mut running = Running::start(dir.path(), &model);
    assert_eq!(
        running.projection.position(),
        last,
        "a stop keeps everything that was folded"
    );
    // The metrics show the position before a new record arrives: an idle node must not look empty.
    while !running
        .metrics
        .text()
        .contains(&format!("position {last}\n"))
    {
        tokio::task::yield_now().await;
    }
    let last = running.append(["one more".to_owned()]).await;
    assert_eq!(
        running.projection.wait_for(last, SOON).await,
        Waited::Reached
    );
    assert_eq!(running.total(), 501);
    running.stop.cancel();
    running.ended().await.unwrap();
}

/// Folds three sessions from one log, then starts the fold of another log into that read model.
async fn over_another_log(others: &[&str]) -> FoldError {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = ours.path().join("model.redb");
    let mut running = Running::start(ours.path(), &model);
    let last = running.append(["a", "b", "c"].map(str::to_owned)).await;
    assert_eq!(
        running.projection.wait_for(last, SOON).await,
        Waited::Reached
    );
    running.stop.cancel();
    running.ended().await.unwrap();
    drop(running);

    let log = EmbeddedLog::open(&other.path().join("log.redb"), Arc::new(SystemClock)).unwrap();
    log.append(others.iter().map(|session| created(session)).collect())
        .await;
    log.close().await;
    drop(log);
    let mut running = Running::start(other.path(), &model);
    let failed = running.ended().await.unwrap_err();
    let waited = running.projection.wait_for(last.next(), SOON).await;
    assert_eq!(
        waited,
        Waited::Stopped,
        "no caller waits for a fold that has stopped"
    );
    assert_eq!(running.total(), 3, "what was folded can still be read");
    failed
}

#[tokio::test]
async fn a_shorter_log_is_an_alarm() {
    let failed = over_another_log(&["a", "b"]).await;
    assert!(
        matches!(failed, FoldError::Log(LogError::Truncated { .. })),
        "{failed}"
    );
}

#[tokio::test]
async fn another_record_at_our_position_is_an_alarm() {
    let failed = over_another_log(&["a", "b", "d", "e"]).await;
    assert!(
        matches!(failed, FoldError::Diverged { at } if at == Position::new(3)),
        "{failed}"
    );
}

/// A log that never delivers notices, as if its connection were broken.
struct Deaf {
    log: EmbeddedLog,
}

impl EventLog for Deaf {
    call_its_log!(append append_after get recall tail head state);

    fn notify(&self, _notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        Box::pin(std::future::pending())
    }
}

/// The fold once waited forever for notices, so that one rejected event could stop it.
#[tokio::test]
async fn unreachable_listeners_do_not_delay_the_fold() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.redb"), Arc::new(SystemClock)).unwrap();
    let log: Arc<dyn EventLog> = Arc::new(Deaf { log });
    let projection = Arc::new(Projection::open(&dir.path().join("model.redb")).unwrap());
    let (metrics, stop) = (Arc::new(Metrics::default()), CancellationToken::new());
    let mut fold = JoinSet::new();
    fold.spawn(run(
        Arc::clone(&projection),
        Arc::clone(&log),
        metrics,
        stop.clone(),
    ));
    for position in 1..=3 {
        let noise = NewRecord {
            body: Bytes::from_static(b"{]"),
            ..created("s")
        };
        log.append(vec![noise]).await;
        let waited = projection.wait_for(Position::new(position), SOON).await;
        assert_eq!(waited, Waited::Reached);
    }
    stop.cancel();
    fold.join_next().await.unwrap().unwrap().unwrap();
}

/// The lag once grew only while the fold moved, so a fold that hung looked healthy.
#[tokio::test(start_paused = true)]
async fn the_lag_of_a_fold_that_hangs_grows() {
    let dir = tempfile::tempdir().unwrap();
    let projection = Projection::open(&dir.path().join("model.redb")).unwrap();
    let now = SystemClock.now();
    assert_eq!(projection.lag(now, Position::ZERO), Duration::ZERO);
    assert_eq!(
        projection.lag(now, Position::new(1)),
        Duration::ZERO,
        "the head was just seen"
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(
        projection.lag(now, Position::new(1)),
        Duration::from_secs(3)
    );
    assert_eq!(projection.lag(now, Position::ZERO), Duration::ZERO);
}
