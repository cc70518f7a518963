//! What reactors share: they follow the fold, and write what follows from it.
//!
//! A reactor sleeps until something is due, so a ledger with nothing to do does nothing. What it
//! writes depends on the read model alone, so copies from before and after a restart are copies to the
//! fold as well. Whether it still holds is for the fold to say: what came first wins.
//!
//! What may be written under a guard is: only if nothing of its kind is on the log that the read model
//! does not know of. So of several ledgers on one log one writes it, and the others leave what comes
//! next to that one for as long as it is in time.
//!
//! What is due is so by the log's clock. A reactor has only its own: where that is ahead, what it
//! writes has no effect, and from then on it asks by as much less, see [`Pace::behind`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::limits::{
    FOLD_LAG_MS_MAX, REACTOR_FAILED_MS, REACTOR_LOOK_MS, REACTOR_RETRY_MS, REACTOR_YIELD_MS,
};
use crate::domain::{Clock, Timestamp, backoff};
use crate::log::{EventLog, Guard, LogError, NewRecord};
use crate::projection::{Progress, Projection, Snapshot, StoreError, Waited};

/// First and longest pause before what did not take effect is written again.
const PAUSE_MIN: Duration = Duration::from_millis(REACTOR_RETRY_MS.0);
const PAUSE_MAX: Duration = Duration::from_millis(REACTOR_RETRY_MS.1);
/// Pause before what the log did not take is written again: it may be back at any time.
const PAUSE_FAILED: Duration = Duration::from_millis(REACTOR_FAILED_MS);
/// Shortest time between two looks that find nothing due, however often the fold moves.
const LOOK: Duration = Duration::from_millis(REACTOR_LOOK_MS);
/// How long what is due is left to a ledger that was faster the last time.
const YIELD: Duration = Duration::from_millis(REACTOR_YIELD_MS);
/// Longest sleep: a clock that is set forward, or a machine that wakes up, is noticed by then.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// What a reactor works with.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Reactor {
    /// Where it writes.
    pub log: Arc<dyn EventLog>,
    /// From what it learns what to write.
    pub projection: Arc<Projection>,
    /// By which clock.
    pub clock: Arc<dyn Clock>,
}

/// What there is to do now.
pub(super) struct Due<M> {
    pub(super) records: Vec<NewRecord>,
    /// Under which condition to write them, if any.
    pub(super) guard: Option<Guard>,
    /// What the first record is about. If that is due again, writing it had no effect.
    pub(super) first: Option<M>,
    /// When there is more to do, unless the fold brings it sooner.
    pub(super) next: Option<Timestamp>,
}

/// What a reactor has learned by trying.
struct Pace<M> {
    /// What the last attempt that was folded began with; none if we do not know how far the log's
    /// clock is behind ours.
    tried: Option<M>,
    /// The number of retries of `tried` that had no effect either.
    retries: u32,
    /// How long what is due is left to another ledger.
    patience: Duration,
    /// How far the log's clock is behind ours, at most; zero unless something was written too early.
    behind: Duration,
}

/// What became of an attempt.
enum Attempt {
    /// What was written is folded: it is due no more, or something has moved it.
    Folded,
    /// Another ledger has written what we do not know yet.
    Overtaken,
    /// The log did not take it.
    Failed(LogError),
    /// The fold has stopped.
    Stopped,
}

impl<M> Due<M> {
    pub(super) fn nothing() -> Self {
        Self {
            records: Vec::new(),
            guard: None,
            first: None,
            next: None,
        }
    }

    /// Whether this is due because of the time.
    fn by_clock(&self) -> bool {
        self.next.is_some()
    }
}

impl<M> Pace<M> {
    /// How long something must have been due by our clock.
    fn hold(&self) -> Duration {
        self.patience.max(self.behind)
    }

    /// Finds out again how far the log's clock is behind.
    fn forget(&mut self) {
        self.behind = Duration::ZERO;
        self.tried = None;
    }
}

/// Says what is due at a time.
type Ask<M> = fn(&Snapshot, Timestamp) -> Result<Due<M>, StoreError>;

impl Reactor {
    /// Writes what is due until told to stop, or until the fold has stopped.
    pub(super) async fn run<M>(self, ask: Ask<M>, stop: CancellationToken)
    where
        M: PartialEq + Send + 'static,
    {
        let reads = TaskTracker::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.react(ask, &reads) => {}
        }
        // One that is under way holds the read model's file open.
        reads.close();
        reads.wait().await;
    }

    async fn react<M: PartialEq + Send + 'static>(&self, ask: Ask<M>, reads: &TaskTracker) {
        // After a long absence, others may have done what the read model still shows as due.
        if let Ok(head) = self.log.head().await {
            self.projection.reach(head).await;
        }
        let mut folded = self.projection.watch();
        let mut pace = Pace {
            tried: None,
            retries: 0,
            patience: Duration::ZERO,
            behind: Duration::ZERO,
        };
        let mut failing = false;
        while !self.projection.has_stopped() {
            folded.mark_unchanged();
            let now = self.clock.now();
            pace.behind = pace.behind.min(self.behind_at_most(now));
            let by = before(now, pace.hold());
            let due = self.due(reads, ask, now, by).await;
            if due.records.is_empty() {
                self.rest(due.next, &mut folded, &mut pace).await;
                continue;
            }
            let attempt = self.attempt(due, by, &mut pace).await;
            let failed_before = std::mem::take(&mut failing);
            match attempt {
                Attempt::Folded => pace.patience = Duration::ZERO,
                Attempt::Overtaken => {
                    pace.patience = YIELD;
                    changed(&mut folded, YIELD).await;
                }
                Attempt::Failed(error) => {
                    if !failed_before {
                        tracing::warn!(error = %error, "what is due was not written; trying again");
                    }
                    failing = true;
                    sleep(PAUSE_FAILED).await;
                }
                Attempt::Stopped => return,
            }
        }
    }

    /// Waits until something may be due.
    async fn rest<M>(
        &self,
        next: Option<Timestamp>,
        folded: &mut watch::Receiver<Progress>,
        pace: &mut Pace<M>,
    ) {
        let soonest = Instant::now() + LOOK;
        let left_us = next.map(|next| next.micros_since(self.clock.now()));
        let wait = left_us.map_or(SLEEP_MAX, |left_us| {
            at_least_zero(left_us.saturating_add(micros(pace.hold()))).min(SLEEP_MAX)
        });
        // It will have been due by our clock for a while. That may have been set right, and a quiet
        // log does not show it.
        let doubt = left_us.map_or(SLEEP_MAX, |left_us| at_least_zero(left_us) + PAUSE_MAX);
        if changed(folded, wait.min(doubt)).await {
            sleep_until(soonest).await;
        } else if doubt < wait {
            pace.forget();
        }
    }

    async fn attempt<M: PartialEq>(
        &self,
        due: Due<M>,
        by: Timestamp,
        pace: &mut Pace<M>,
    ) -> Attempt {
        let by_clock = due.by_clock();
        let mut records = due.records;
        if due.first == pace.tried {
            // It had no effect: ask with one, ever less often.
            pace.behind = self.behind_at_most(self.clock.now());
            sleep(backoff(pace.retries, PAUSE_MIN, PAUSE_MAX)).await;
            pace.retries = pace.retries.saturating_add(1);
            records.truncate(1);
        } else {
            pace.retries = 0;
        }
        if by_clock && pace.tried.is_none() {
            // One is enough to learn how far the log's clock is behind.
            records.truncate(1);
        }
        let attempt = self.write(records, due.guard).await;
        if matches!(attempt, Attempt::Folded) {
            pace.tried = due.first;
            if by_clock && self.projection.progress().recorded_at < by {
                pace.behind = self.behind_at_most(self.clock.now());
                pace.tried = None;
            }
        }
        attempt
    }

    /// How far the log's clock can be behind ours: it has reached the time of the last record.
    fn behind_at_most(&self, now: Timestamp) -> Duration {
        at_least_zero(now.micros_since(self.projection.progress().recorded_at))
    }

    /// Appends, and waits until that is folded: what is written must not be found due again.
    async fn write(&self, records: Vec<NewRecord>, guard: Option<Guard>) -> Attempt {
        let appended = match guard {
            Some(guard) => self.log.append_after(records, guard).await,
            None => self.log.append(records).await,
        };
        let (written, failed): (Vec<_>, Vec<_>) = appended.into_iter().partition(Result::is_ok);
        if let Some(last) = written.into_iter().flatten().max()
            && self.projection.reach(last).await == Waited::Stopped
        {
            return Attempt::Stopped;
        }
        match failed.into_iter().find_map(Result::err) {
            None => Attempt::Folded,
            Some(LogError::Overtaken) => Attempt::Overtaken,
            Some(error) => Attempt::Failed(error),
        }
    }

    /// What was due by a time.
    async fn due<M: Send + 'static>(
        &self,
        reads: &TaskTracker,
        ask: Ask<M>,
        now: Timestamp,
        by: Timestamp,
    ) -> Due<M> {
        // A fold that catches up shows as due what later records have settled.
        if Duration::from_millis(FOLD_LAG_MS_MAX) < self.projection.lag(now, self.log.known_head())
        {
            return Due::nothing();
        }
        let projection = Arc::clone(&self.projection);
        let asked = reads.spawn_blocking(move || ask(&*projection.snapshot()?, by));
        match asked.await {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "what is due cannot be read");
                Due::nothing()
            }
            Err(_panicked) => Due::nothing(),
        }
    }
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    time.plus_micros(-micros(by))
}

fn at_least_zero(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Waits until more is folded, or for so long. Says whether more is.
async fn changed(folded: &mut watch::Receiver<Progress>, at_most: Duration) -> bool {
    // The projection is ours, so it cannot be gone.
    timeout(at_most, folded.changed()).await.is_ok()
}
