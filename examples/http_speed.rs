//! Serves a ledger with many sessions, for a load generator to measure.
//!
//! `cargo run --release --example http_speed 100000` fills a ledger in a temporary directory, prints its
//! address, and serves until it is interrupted. The sessions belong to the tenant `acme` and to 100
//! agents. A row has about 700 bytes. With a second argument `key` it requires credentials, and prints a
//! key.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use session_ledger::app::clock::SystemClock;
use session_ledger::auth::{Access, Author, Credentials, Grant, Keys, Roles};
use session_ledger::dialects::router;
use session_ledger::domain::{Clock, TenantId, Timestamp};
use session_ledger::http::{Hosts, Services, StreamTasks};
use session_ledger::ledger::{Commands, Emitter, Ledger, Submission, TokenSecret};
use session_ledger::log::{EmbeddedLog, EventLog};
use session_ledger::metrics::Metrics;
use session_ledger::projection::{Projection, runner};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const BATCH_EVENTS: usize = 1000;
const START_US: i64 = 1_769_817_600_000_000;
const STEP_US: i64 = 1_000_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sessions: usize = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 100_000,
    };
    let dir = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(
        &dir.path().join("log.redb"),
        Arc::clone(&clock),
    )?);
    let projection = Arc::new(Projection::open(&dir.path().join("model.redb"))?);
    let metrics = Arc::new(Metrics::default());
    let ledger = Ledger::new(
        Arc::clone(&log),
        Arc::clone(&projection),
        Arc::clone(&clock),
    );
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(runner::run(
        Arc::clone(&projection),
        Arc::clone(&log),
        Arc::clone(&metrics),
        stop.clone(),
    ));
    fill(&ledger, sessions).await?;
    let admin = EmbeddedLog::open(&dir.path().join("admin.redb"), Arc::clone(&clock))?;
    let keys = Arc::new(Keys::new(Arc::new(admin)));
    let follow = Arc::clone(&keys).run(stop.clone());
    tasks.spawn(async { Ok(follow.await?) });
    let access = match std::env::args().nth(2) {
        Some(_key) => ask_for_keys(&keys, clock.now()).await?,
        None => Access::Everybody,
    };
    let secret = TokenSecret::new([0; TokenSecret::BYTES]);
    let services = Services {
        commands: Commands::new(ledger.clone(), secret),
        ledger,
        projection,
        past: None,
        log,
        access: Arc::new(access),
        keys,
        clock,
        metrics,
        streams: StreamTasks::default(),
        origins: Vec::new(),
        trace_url: None,
    };
    let listener = TcpListener::bind("127.0.0.1:8788").await?;
    report(sessions, &listener.local_addr()?.to_string());
    axum::serve(listener, router(services, Hosts::Any))
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    stop.cancel();
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is for people")]
async fn ask_for_keys(keys: &Arc<Keys>, now: Timestamp) -> anyhow::Result<Access> {
    let grant = Grant {
        tenant: TenantId::parse("acme")?,
        name: None,
        roles: Roles::ALL,
        agent: None,
        expires_at: None,
    };
    let (key, _entry) = keys.issue(grant, Author::Operator, now).await?;
    println!("X-API-Key: {}", key.reveal());
    Ok(Access::Credentials(Credentials {
        keys: Arc::clone(keys),
        tokens: None,
        rate_limits: None,
    }))
}

async fn fill(ledger: &Ledger, sessions: usize) -> anyhow::Result<()> {
    let tenant = TenantId::parse("acme")?;
    let emitter = Emitter {
        tenant: &tenant,
        credential: None,
    };
    let mut numbers = 0..sessions;
    while !numbers.is_empty() {
        let batch = numbers.by_ref().take(BATCH_EVENTS);
        let events =
            batch.map(|number| Submission::check(ledger.rules(), emitter, created(number)));
        for result in ledger.append(events.collect::<Result<_, _>>()?).await? {
            result?;
        }
    }
    let last = Submission::check(ledger.rules(), emitter, created(sessions))?;
    let turn = ledger.turn().await?;
    while turn
        .append_and_wait(&tenant, vec![last.clone()])
        .await
        .is_err()
    {
        // Waits for the fold to catch up.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn created(number: usize) -> Bytes {
    let step = i64::try_from(number).unwrap_or_default() * STEP_US;
    let event = json!({
        "specversion": "1.0",
        "id": format!("e{number}"),
        "source": "/runtimes/eu-1",
        "type": "session.created",
        "subject": format!("maip:t1234567:{number:026}"),
        "time": Timestamp::from_micros_clamped(START_US + step).to_string(),
        "data": {
            "agent_id": format!("agent-{}", number % 100),
            "scopes": ["files:read", "files:write"],
            "metadata": {"task": "index the archive", "attempt": 1},
            "user_id": "user-17",
            "user_agent": "runtime/1.4 (linux)",
        },
    });
    Bytes::from(event.to_string())
}

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn report(sessions: usize, address: &str) {
    println!("{sessions} sessions at http://{address}; try");
    println!("wrk -t1 -c32 -d5 -H 'X-Tenant-ID: acme' http://{address}/v1/agent-sessions");
}
