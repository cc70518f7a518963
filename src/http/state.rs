//! The state that handlers share: the services, and bounded ways to wait and to read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::auth::{Access, Keys, SignInCodes};
use crate::domain::limits::{
    FOLD_LAG_MS_MAX, HISTORY_PAGES_MAX, MIN_POSITION_WAIT_MS, READS_MAX, WAITERS_MAX,
};
use crate::domain::{Clock, Position, Timestamp};
use crate::http::dto;
use crate::http::origin::Origin;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::refusals::Refusals;
use crate::http::stream_tasks::StreamTasks;
use crate::ledger::{Commands, Ledger};
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::projection::{Past, Projection, Snapshot, Waited};
use crate::query::AsOf;

/// The services that the API uses.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Services {
    /// The write side.
    pub ledger: Ledger,
    /// Commands about sessions and agents.
    pub commands: Commands,
    /// The read model.
    pub projection: Arc<Projection>,
    /// Past states of the read model; `None` if the server keeps none.
    pub past: Option<Arc<Past>>,
    /// The log, for the bodies of events.
    pub log: Arc<dyn EventLog>,
    /// Who may call the API.
    pub access: Arc<Access>,
    /// The API keys. Present even if the server requires no credentials.
    pub keys: Arc<Keys>,
    /// The clock of the server.
    pub clock: Arc<dyn Clock>,
    /// The metrics of the server.
    pub metrics: Arc<Metrics>,
    /// The tasks of streams. They end when the server stops.
    pub streams: StreamTasks,
    /// The origins whose pages may call the API from a browser.
    pub origins: Vec<Origin>,
    /// The URL of a trace, with `{trace_id}` in the place of its id, for clients that link to traces.
    pub trace_url: Option<String>,
}

/// The state of every handler.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

struct Shared {
    services: Services,
    scans: Arc<Semaphore>,
    waiters: Semaphore,
    refusals: Refusals,
    histories: Semaphore,
    sign_in_codes: SignInCodes,
    run: u64,
}

impl App {
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(Shared {
            services,
            scans: Arc::new(Semaphore::new(READS_MAX)),
            waiters: Semaphore::new(WAITERS_MAX),
            refusals: Refusals::default(),
            histories: Semaphore::new(HISTORY_PAGES_MAX),
            sign_in_codes: SignInCodes::default(),
            run: Uuid::new_v4().as_u64_pair().0,
        }))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.services.ledger
    }

    pub(crate) fn commands(&self) -> &Commands {
        &self.0.services.commands
    }

    pub(crate) fn projection(&self) -> &Arc<Projection> {
        &self.0.services.projection
    }

    /// Past states of the read model, unless the server keeps none.
    pub(crate) fn history(&self) -> Option<&Arc<Past>> {
        self.0.services.past.as_ref()
    }

    pub(crate) fn log(&self) -> &dyn EventLog {
        &*self.0.services.log
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.services.metrics
    }

    /// The URL of a trace, with a place for its id.
    pub(crate) fn trace_url(&self) -> Option<&str> {
        self.0.services.trace_url.as_deref()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.services.access
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.services.keys
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// The sign-in codes that this server has made.
    pub(crate) fn sign_in_codes(&self) -> &SignInCodes {
        &self.0.sign_in_codes
    }

    /// A random number that identifies this run of the server.
    pub(crate) fn run(&self) -> u64 {
        self.0.run
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.services.clock.now()
    }

    /// Reads at most about a page of rows, on the calling thread.
    ///
    /// A page of 50 rows takes 25 us with the file in the cache. On the blocking pool, the
    /// throughput of single reads was a quarter lower (34 k/s instead of 48 k/s), and that of pages
    /// a seventh (13.4 k/s instead of 15.7 k/s). The 99th percentile of the latency was equal while
    /// 20 k events a second were appended. Measured with `examples/http_speed.rs` and wrk, 32
    /// connections on two busy cores.
    pub(crate) fn read<R>(
        &self,
        ask: impl FnOnce(&Snapshot) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.or_stopped(ask(&*self.projection().snapshot()?))
    }

    /// Reads that may look at thousands of entries, on the blocking pool.
    pub(crate) async fn scan<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&Snapshot) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        self.check_started()?;
        let projection = Arc::clone(self.projection());
        self.scan_of(move || Ok(projection.snapshot()?), ask).await
    }

    /// Reads a snapshot on the blocking pool. `take` takes it when the turn of the read has come.
    pub(crate) async fn scan_of<R: Send + 'static>(
        &self,
        take: impl FnOnce() -> Result<Arc<Snapshot>, Problem> + Send + 'static,
        ask: impl FnOnce(&Snapshot) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        let permit = Arc::clone(&self.0.scans).acquire_owned().await;
        // Log lines of the read carry the request's span.
        let span = tracing::Span::current();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(|| ask(&*take()?))
        });
        let answer = answer.await;
        self.or_stopped(answer.unwrap_or_else(|_panicked| Err(Problem::new(Code::InternalError))))
    }

    /// Says that the fold has stopped, instead of that the server is mending its read model.
    fn or_stopped<R>(&self, answer: Result<R, Problem>) -> Result<R, Problem> {
        answer.map_err(|problem| match problem.code() {
            Code::Degraded if self.projection().has_stopped() => Problem::new(Code::FoldStopped),
            _ => problem,
        })
    }

    /// Waits until the read model has reached `position`. Returns a problem if that takes too long
    /// or if the log ends before it. Right after a start, waits for the head that the log had then.
    pub(crate) async fn wait_for(&self, position: Option<Position>) -> Result<(), Problem> {
        let at_most = Duration::from_millis(MIN_POSITION_WAIT_MS);
        if self.check_started().is_err() {
            let _waiting = self.waiting()?;
            // Without `wait_for`, which would make the batches of a fold that catches up smaller.
            let started = self.projection().reach(self.projection().owed());
            let _reached = tokio::time::timeout(at_most, started).await;
            self.check_started()?;
        }
        let Some(position) = position else {
            return Ok(());
        };
        if position <= self.projection().position() {
            return Ok(());
        }
        // Before `reach`, so that the number of requests that query the log is bounded too.
        let _waiting = self.waiting()?;
        tokio::time::timeout(at_most, self.reach(position))
            .await
            .unwrap_or_else(|_elapsed| Err(Problem::not_reached(self.log().is_available())))
    }

    /// Takes a permit to wait for the fold; a problem if too many requests wait already.
    pub(crate) fn waiting(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let waiters = &self.0.waiters;
        waiters
            .try_acquire()
            .map_err(|_full| Problem::new(Code::TooManyWaiters))
    }

    /// Waits for a permit to build a page of history. Few run at a time, because a page may have
    /// megabytes.
    pub(crate) async fn history_turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so this is always `Some`.
        self.0.histories.acquire().await.ok()
    }

    /// Rejects a position of a client that is beyond the end of the log: an earlier log had it. The
    /// client would miss the records up to it.
    pub(crate) async fn check_on_log(
        &self,
        parameter: &'static str,
        position: Position,
    ) -> Result<(), Problem> {
        // Another node may have appended records that this node has not seen yet.
        if self.log().known_head() < position {
            let head = self.log().head().await.map_err(Problem::of_read)?;
            if head < position {
                let detail = format!(
                    "{parameter} is {position}, but the log ends at {head}; use a position from an \
                     answer. If the ledger was restored from a backup, the records after {head} are \
                     lost: continue from there"
                );
                return Err(Problem::new(Code::PositionBeyondHead)
                    .with_detail(detail)
                    .with_error(parameter, "is beyond the end of the log"));
            }
        }
        Ok(())
    }

    async fn reach(&self, position: Position) -> Result<(), Problem> {
        self.check_on_log("min_position", position).await?;
        match self.projection().wait_for(position, Duration::MAX).await {
            Waited::Reached => Ok(()),
            Waited::TimedOut => Err(Problem::new(Code::NotCaughtUp)),
            Waited::Stopped => Err(Problem::new(Code::FoldStopped)),
        }
    }

    /// Returns a problem if the read model may show an older state than before.
    fn check_started(&self) -> Result<(), Problem> {
        Ok(self.projection().check_started()?)
    }

    /// Returns a problem if the read model may be stale: the log cannot be reached, or the fold has
    /// stopped or lags behind.
    pub(crate) fn check_fresh(&self) -> Result<(), Problem> {
        let not_ready = |detail: String| Err(Problem::new(Code::NotReady).with_detail(detail));
        if self.projection().has_stopped() {
            return not_ready("the fold has stopped; the server's log says why".to_owned());
        }
        if !self.log().is_available() {
            return not_ready("the log cannot be reached".to_owned());
        }
        if let Some(why) = self.projection().trouble() {
            return not_ready(format!("the fold waits: {why}"));
        }
        if let Err(starting) = self.check_started() {
            return not_ready(starting.detail().to_owned());
        }
        let head = self.log().known_head();
        let lag = self.projection().lag(self.now(), head);
        if Duration::from_millis(FOLD_LAG_MS_MAX) < lag {
            let (lag_ms, position) = (lag.as_millis(), self.projection().position());
            return not_ready(format!(
                "the fold is {lag_ms} ms behind the log, at position {position} of {head}"
            ));
        }
        Ok(())
    }

    /// Whether new records on the log reach the read model. If not, its lag is unknown.
    fn follows_log(&self) -> bool {
        self.log().is_available() && !self.projection().has_stopped()
    }

    /// Returns a problem if the log accepts no writes.
    pub(crate) fn check_writes(&self) -> Result<(), Problem> {
        match self.log().refuses_writes() {
            None => Ok(()),
            Some(why) => {
                let detail = format!("the log refuses writes: {why}");
                Err(Problem::new(Code::NotReady).with_detail(detail))
            }
        }
    }

    /// Returns a problem if the server is not ready: a read or a write could fail, or the server may
    /// miss the revocation of a key.
    pub(crate) fn check_ready(&self) -> Result<(), Problem> {
        self.check_fresh()?;
        self.check_writes()?;
        if self.keys().are_followed() {
            return Ok(());
        }
        let detail = "the server does not read the log of keys, so it may miss revocations";
        Err(Problem::new(Code::NotReady).with_detail(detail))
    }

    /// Whether a state includes every record of the log that this node knows of.
    pub(crate) fn is_last(&self, position: Position) -> bool {
        self.follows_log() && self.log().known_head() <= position
    }

    /// The state that an answer shows, as the API's `as_of`.
    pub(crate) fn as_of(&self, as_of: AsOf) -> dto::AsOf {
        dto::AsOf {
            position: as_of.position.get(),
            time: as_of.time.map(|time| time.to_string()),
            caught_up: self.is_last(as_of.position),
        }
    }
}
