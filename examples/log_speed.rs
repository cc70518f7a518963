//! Measures a log: how fast it appends and reads records of 350 bytes.
//!
//! `cargo run --release --example log_speed` measures the embedded log in a temporary directory,
//! `... --example log_speed nats://127.0.0.1:4222` a new stream on that server.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Position;
use session_ledger::log::jetstream::JetStreamConfig;
use session_ledger::log::{EmbeddedLog, EventLog, JetStreamLog, NewRecord};

const BODY_BYTES: usize = 350;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(url) = std::env::args().nth(1) {
        let log = JetStreamLog::connect(&JetStreamConfig::new(vec![url]), false).await?;
        return measure("jetstream", Arc::new(log)).await;
    }
    let dir = tempfile::tempdir()?;
    let log = EmbeddedLog::open(&dir.path().join("log.redb"), Arc::new(SystemClock))?;
    measure("embedded", Arc::new(log)).await
}

/// Prints one line per figure.
async fn measure(name: &str, log: Arc<dyn EventLog>) -> anyhow::Result<()> {
    for (callers, per_append, appends) in [
        (1, 1, 500),
        (64, 1, 100),
        (1, 50, 200),
        (8, 50, 50),
        (1, 200, 50),
        (8, 200, 20),
        (1, 1000, 20),
        (8, 1000, 10),
    ] {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let log = Arc::clone(&log);
            tasks.spawn(async move {
                for _ in 0..appends {
                    for result in log.append(vec![record(); per_append]).await {
                        result?;
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let label = format!("append, {callers} callers x {per_append} records");
        report(
            name,
            &label,
            callers * appends * per_append,
            started.elapsed(),
        );
    }
    let head = log.head().await?;
    for records_max in [100, 1000, 8192] {
        let started = Instant::now();
        let mut tail = log.tail(Position::ZERO).await?;
        let mut last = Position::ZERO;
        let mut count = 0;
        while last < head {
            let records = tail.next(records_max).await?;
            count += records.len();
            last = records.last().map_or(last, |record| record.position);
        }
        report(
            name,
            &format!("read, at most {records_max} at a time"),
            count,
            started.elapsed(),
        );
    }
    let wanted: Vec<Position> = (1..=10_000).map(Position::new).collect();
    let started = Instant::now();
    let count = log.get(wanted).await?.len();
    report(name, "get by position", count, started.elapsed());
    Ok(())
}

fn record() -> NewRecord {
    NewRecord {
        subject: "ledger.v1.acme.session.created".into(),
        private: Bytes::new(),
        body: Bytes::from(vec![b'x'; BODY_BYTES]),
    }
}

fn report(name: &str, label: &str, count: usize, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "three digits are enough")]
    let per_second = count as f64 / took.as_secs_f64();
    println!("{name:10} {label:40} {count:8} records in {took:9.2?}: {per_second:9.0} /s");
}
