//! Measures expiry: the time from a session's deadline until it is listed as expired.
//!
//! `cargo run --release --example expiry_speed` measures a ledger on the built-in log, with 100,000
//! sessions whose deadlines fall within one minute, first evenly and then all on whole seconds.
//! `... --example expiry_speed 100000 2 nats://127.0.0.1:4222` measures two ledgers on one new stream of
//! that server.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Clock, Position, Timestamp};
use session_ledger::ledger::Reactor;
use session_ledger::log::jetstream::JetStreamConfig;
use session_ledger::log::{EmbeddedLog, EventLog, JetStreamLog, NewRecord};
use session_ledger::metrics::Metrics;
use session_ledger::projection::{Projection, runner};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
/// The time until the first deadline: enough to append and fold every session.
const AHEAD_US: i64 = 30 * SECOND_US;
const BATCH_EVENTS: usize = 1000;

/// A ledger without its API.
struct Ledger {
    log: Arc<dyn EventLog>,
    projection: Arc<Projection>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let sessions: i64 = args.next().as_deref().unwrap_or("100000").parse()?;
    let ledgers: usize = args.next().as_deref().unwrap_or("1").parse()?;
    let url = args.next();
    anyhow::ensure!(ledgers == 1 || url.is_some(), "only NATS takes several");

    let dir = tempfile::tempdir()?;
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let mut running = Vec::new();
    for number in 0..ledgers {
        let log = open(url.clone(), dir.path()).await?;
        let model = dir.path().join(format!("model-{number}.redb"));
        running.push(run(log, &model, &stop, &mut tasks)?);
    }
    let ledger = running.first().context("no ledger")?;
    println!("| deadlines | sessions | p50 | p99 | max | expiries on the log |");
    println!("|---|---|---|---|---|---|");
    for (spread, grain_us) in [("evenly", 1), ("on whole seconds", SECOND_US)] {
        let start = SystemClock.now().micros() + AHEAD_US;
        let start = start - start % SECOND_US;
        let deadline = |number| {
            let offset = MINUTE_US * number / sessions;
            Timestamp::from_micros_clamped(start + offset - offset % grain_us)
        };
        let deadlines: Vec<_> = (0..sessions).map(deadline).collect();
        let filled = fill(ledger, &deadlines).await?;
        let latencies_us = watch(ledger, &deadlines).await?;
        let written = ledger.log.head().await?.get() - filled.get();
        report(spread, latencies_us, written);
    }
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

async fn open(url: Option<String>, dir: &Path) -> anyhow::Result<Arc<dyn EventLog>> {
    Ok(match url {
        Some(url) => {
            let config = JetStreamConfig::new(vec![url]);
            Arc::new(JetStreamLog::connect(&config, false).await?)
        }
        None => Arc::new(EmbeddedLog::open(
            &dir.join("log.redb"),
            Arc::new(SystemClock),
        )?),
    })
}

fn run(
    log: Arc<dyn EventLog>,
    model: &Path,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Ledger> {
    let projection = Arc::new(Projection::open(model)?);
    let metrics = Arc::new(Metrics::default());
    let (of_fold, of_log) = (Arc::clone(&projection), Arc::clone(&log));
    let fold = runner::run(of_fold, of_log, metrics, stop.clone());
    tasks.spawn(async move {
        if let Err(error) = fold.await {
            println!("the fold has stopped: {error}");
        }
    });
    let expiry = Reactor {
        log: Arc::clone(&log),
        projection: Arc::clone(&projection),
        clock: Arc::new(SystemClock),
        metrics: Arc::default(),
    };
    tasks.spawn(expiry.expire(stop.clone()));
    Ok(Ledger { log, projection })
}

/// Opens a session for each deadline. Returns the last position.
async fn fill(ledger: &Ledger, deadlines: &[Timestamp]) -> anyhow::Result<Position> {
    let mut last = Position::ZERO;
    for batch in deadlines.chunks(BATCH_EVENTS) {
        let records = batch.iter().zip(last.get()..);
        let records = records.map(|(deadline, number)| session(*deadline, number));
        for appended in ledger.log.append(records.collect()).await {
            last = appended?;
        }
    }
    ledger
        .projection
        .wait_for(last, std::time::Duration::MAX)
        .await;
    let first = deadlines.first().context("no session")?;
    anyhow::ensure!(SystemClock.now() < *first, "filling took too long");
    Ok(last)
}

fn session(expires_at: Timestamp, number: u64) -> NewRecord {
    let id = format!("session-{expires_at}-{number}");
    let event = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/expiry-speed",
        "type": "session.created",
        "subject": id,
        "data": {"agent_id": format!("agent-{}", number % 100), "expires_at": expires_at},
    });
    NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: Bytes::new(),
        body: event.to_string().into(),
    }
}

/// Returns for each session the time from its deadline until it is listed as expired. The deadlines must
/// be in order.
async fn watch(ledger: &Ledger, deadlines: &[Timestamp]) -> anyhow::Result<Vec<i64>> {
    let mut folded = ledger.projection.watch();
    let mut latencies_us = Vec::with_capacity(deadlines.len());
    while let Some(next) = deadlines.get(latencies_us.len()) {
        folded.changed().await?;
        let now = SystemClock.now();
        let earliest = ledger
            .projection
            .snapshot()?
            .of_all_tenants()
            .deadlines(1)?;
        let left = earliest.first().map_or(Timestamp::MAX, |(left, _)| *left);
        if left <= *next {
            continue;
        }
        let passed = deadlines.iter().skip(latencies_us.len());
        let passed = passed.take_while(|deadline| **deadline < left);
        let passed: Vec<_> = passed.map(|deadline| now.micros_since(*deadline)).collect();
        latencies_us.extend(passed);
    }
    Ok(latencies_us)
}

fn report(spread: &str, mut latencies_us: Vec<i64>, written: u64) {
    latencies_us.sort_unstable();
    let at = |per_mille: usize| {
        let index = (latencies_us.len() * per_mille / 1000).min(latencies_us.len() - 1);
        latencies_us.get(index).map_or(0, |micros| micros / 1000)
    };
    let (count, p50, p99, max) = (latencies_us.len(), at(500), at(990), at(1000));
    println!("| {spread} | {count} | {p50} ms | {p99} ms | {max} ms | {written} |");
}
