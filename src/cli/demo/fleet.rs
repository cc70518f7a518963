//! A fleet of simulated runtimes. Each sends its events over HTTP, as real runtimes do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::runtime::Runtime;
use crate::app::clock::SystemClock;
use crate::app::tasks::Tasks;
use crate::cli::client::{Api, ApiError, EVENT_BATCH, Emitting, read};
use crate::domain::Clock as _;
use crate::domain::limits::BATCH_EVENTS_MAX;
use crate::http::dto::BatchResult;

/// The interval at which a runtime sends its new events.
const SEND_EVERY: Duration = Duration::from_millis(250);
/// How long a runtime waits before it repeats a request that the server rejected.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How the fleet sends its events.
const SENDING: Emitting = Emitting {
    wait: true,
    strict: true,
};

/// Counts the events of the fleet by verdict.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    applied: AtomicU64,
    duplicate: AtomicU64,
    parked: AtomicU64,
    waited: AtomicU64,
    rejected: AtomicU64,
    other: AtomicU64,
    retries: AtomicU64,
}

impl Tally {
    /// The number of events with an answer.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Describes all counts for people.
    pub(super) fn describe(&self) -> String {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut parts = vec![format!(
            "{} applied, {} duplicate, {} parked, {} rejected",
            load(&self.applied),
            load(&self.duplicate),
            load(&self.parked),
            load(&self.rejected)
        )];
        for (counter, what) in [
            (
                &self.waited,
                "arrived before their session and waited for it",
            ),
            (&self.other, "without a verdict in time"),
            (&self.retries, "retries of batches"),
        ] {
            if 0 < load(counter) {
                parts.push(format!("{} {what}", load(counter)));
            }
        }
        parts.join(", ")
    }

    fn count(&self, result: &BatchResult) {
        for item in &result.results {
            let verdict = item.appended.as_ref().map_or("", |taken| &taken.verdict);
            let counter = match verdict {
                "applied" => &self.applied,
                "duplicate" => &self.duplicate,
                "parked" => &self.parked,
                "rejected" => &self.rejected,
                _ => &self.other,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            let waited = item.appended.as_ref().and_then(|taken| taken.settled_at);
            if waited.is_some() {
                self.waited.fetch_add(1, Ordering::Relaxed);
            }
        }
        let sent = result.results.len() as u64;
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }
}

/// Starts `agents` runtimes, which together send `rate` events a second.
pub(super) fn start(api: &Api, agents: u16, rate: u32, mut rng: Rng) -> (Tasks, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let mut tasks = Tasks::default();
    let share = f64::from(rate) * SEND_EVERY.as_secs_f64() / f64::from(agents.max(1));
    for number in 0..agents.into() {
        let runtime = Runtime::new(rng.fork(), number, agents.into());
        let (api, tally) = (api.clone(), Arc::clone(&tally));
        tasks.spawn("runtime", async move |stop| {
            let running = drive(runtime, &api, &tally, share, &stop);
            if let Err(error) = running.await {
                let error = anyhow::Error::from(error);
                tracing::error!("a runtime of the demo gave up: {error:#}");
                stop.cancel();
            }
        });
    }
    (tasks, tally)
}

async fn drive(
    mut runtime: Runtime,
    api: &Api,
    tally: &Tally,
    share: f64,
    stop: &CancellationToken,
) -> Result<(), ApiError> {
    let mut ticks = tokio::time::interval(SEND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut owed = 0.0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        owed += share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive, and the fraction stays owed"
        )]
        let count = owed as usize;
        owed = owed.fract();
        let events = runtime.batch(count, SystemClock.now());
        for batch in events.chunks(BATCH_EVENTS_MAX) {
            send(api, batch, tally, stop).await?;
        }
    }
}

/// Sends a batch until the server accepts it. Retries are safe: a copy changes nothing.
async fn send(
    api: &Api,
    batch: &[String],
    tally: &Tally,
    stop: &CancellationToken,
) -> Result<(), ApiError> {
    let body = format!("[{}]", batch.join(","));
    loop {
        match api.post_events(EVENT_BATCH, body.clone(), SENDING).await {
            Ok(answer) => {
                if let Ok(result) = read(&answer) {
                    tally.count(&result);
                }
                return Ok(());
            }
            Err(ApiError::Problem(problem)) if problem.status == 503 => {}
            Err(error) => return Err(error),
        }
        tally.retries.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}
