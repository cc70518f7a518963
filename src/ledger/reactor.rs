//! The common part of reactors: they follow the fold, and write the events that follow from it.
//!
//! A reactor sleeps until an event is due, so an idle ledger does no work. The events depend only on
//! the read model. So if a reactor writes an event again after a restart, the fold recognizes the copy.
//! The fold decides whether an event still applies.
//!
//! The log appends guarded records only if the read model has folded every earlier record of their kind.
//! So of several nodes on one log, only one writes them. The others then leave the next records to that
//! node, unless it is late.
//!
//! Deadlines are measured on the log's clock. If our clock runs ahead, the fold rejects an expiry as too
//! early. Then the reactor measures the skew and subtracts it from then on, see [`Pace::behind`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::causes::BoxError;
use crate::domain::limits::{
    FOLD_LAG_MS_MAX, REACTOR_FAILED_MS, REACTOR_LOOK_MS, REACTOR_RETRY_MS, REACTOR_YIELD_MS,
};
use crate::domain::{Clock, Timestamp, WithCauses, backoff};
use crate::log::{EventLog, Guard, LogError, NewRecord};
use crate::metrics::Metrics;
use crate::projection::{Progress, Projection, Snapshot, StoreError, Waited};

/// First and longest pause before an event that had no effect is written again.
const PAUSE_MIN: Duration = Duration::from_millis(REACTOR_RETRY_MS.0);
const PAUSE_MAX: Duration = Duration::from_millis(REACTOR_RETRY_MS.1);
/// The pause after an append failed: the log may be back at any time.
const PAUSE_FAILED: Duration = Duration::from_millis(REACTOR_FAILED_MS);
/// The shortest time between two looks at the read model that find nothing due.
const LOOK: Duration = Duration::from_millis(REACTOR_LOOK_MS);
/// How long a reactor leaves due events to a node that was faster the last time.
const YIELD: Duration = Duration::from_millis(REACTOR_YIELD_MS);
/// Longest sleep. After it, a reactor notices that the clock was set forward or the machine slept.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// The parts that a reactor needs.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Reactor {
    /// The log that it writes to.
    pub log: Arc<dyn EventLog>,
    /// The read model that shows what is due.
    pub projection: Arc<Projection>,
    /// The clock of this node.
    pub clock: Arc<dyn Clock>,
    /// Counts the failures of reactors.
    pub metrics: Arc<Metrics>,
}

/// The events that are due now.
pub(super) struct Due<M> {
    pub(super) records: Vec<NewRecord>,
    /// The condition under which to write them, if any.
    pub(super) guard: Option<Guard>,
    /// Identifies the first record. If it is due again, writing it had no effect.
    pub(super) first: Option<M>,
    /// The time at which more is due, unless the fold changes that.
    pub(super) next: Option<Timestamp>,
}

/// What a reactor has learned from its attempts.
struct Pace<M> {
    /// The first record of the last attempt that was folded. `None` if we do not know how far the log's
    /// clock is behind ours.
    tried: Option<M>,
    /// The number of retries of `tried` that had no effect either.
    retries: u32,
    /// How long to leave due events to another node.
    patience: Duration,
    /// How far the log's clock is behind ours, at most. Zero unless an event was written too early.
    behind: Duration,
}

/// The result of an attempt.
enum Attempt {
    /// The events are folded. They are no longer due, or their time has changed.
    Folded,
    /// Another node has written events that we have not folded yet.
    Overtaken,
    /// The log did not store all of the events.
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
    /// How long an event must have been due by our clock before we write it.
    fn hold(&self) -> Duration {
        self.patience.max(self.behind)
    }

    /// Forgets the measured skew, so that the next attempt measures it again.
    fn forget(&mut self) {
        self.behind = Duration::ZERO;
        self.tried = None;
    }
}

/// Finds the events that are due at a time.
type Ask<M> = fn(&Snapshot, Timestamp) -> Result<Due<M>, StoreError>;

impl Reactor {
    /// Writes due events until `stop`, or until the fold has stopped.
    ///
    /// `kind` names the reactor in metrics and in the server's log.
    pub(super) async fn run<M>(self, kind: &'static str, ask: Ask<M>, stop: CancellationToken)
    where
        M: PartialEq + Send + 'static,
    {
        let reads = TaskTracker::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.react((kind, ask), &reads) => {}
        }
        // A read that has begun holds the read model's file open.
        reads.close();
        reads.wait().await;
    }

    async fn react<M: PartialEq + Send + 'static>(
        &self,
        asked: (&'static str, Ask<M>),
        reads: &TaskTracker,
    ) {
        // After a long absence, other nodes may have written events that the read model shows as due.
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
            let due = self.due(reads, asked, (now, by)).await;
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
                        tracing::warn!(
                            "due events were not written; trying again: {}",
                            WithCauses(&error)
                        );
                    }
                    failing = true;
                    sleep(PAUSE_FAILED).await;
                }
                Attempt::Stopped => return,
            }
        }
    }

    /// Waits until an event may be due.
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
        // After this time, the event has been due by our clock for a while. Our clock may have been
        // corrected, and a quiet log does not show that.
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
            // The last attempt had no effect. Retry with one record, less and less often.
            pace.behind = self.behind_at_most(self.clock.now());
            sleep(backoff(pace.retries, PAUSE_MIN, PAUSE_MAX)).await;
            pace.retries = pace.retries.saturating_add(1);
            records.truncate(1);
        } else {
            pace.retries = 0;
        }
        if by_clock && pace.tried.is_none() {
            // One record is enough to learn how far the log's clock is behind.
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

    /// Appends records, and waits until they are folded, so that they are not found due again.
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

    /// Finds the events that are due by a time.
    async fn due<M: Send + 'static>(
        &self,
        reads: &TaskTracker,
        (kind, ask): (&'static str, Ask<M>),
        (now, by): (Timestamp, Timestamp),
    ) -> Due<M> {
        // While the fold catches up, it shows events as due that later records have settled.
        if self.projection.check_started().is_err()
            || Duration::from_millis(FOLD_LAG_MS_MAX)
                < self.projection.lag(now, self.log.known_head())
        {
            return Due::nothing();
        }
        let projection = Arc::clone(&self.projection);
        let asked = reads.spawn_blocking(move || ask(&*projection.snapshot()?, by));
        found(asked.await, &self.metrics, kind)
    }
}

/// Returns the events that are due, or reports why they cannot be found and returns none.
fn found<M>(
    asked: Result<Result<Due<M>, StoreError>, JoinError>,
    metrics: &Metrics,
    kind: &'static str,
) -> Due<M> {
    let error: BoxError = match asked {
        Ok(Ok(due)) => return due,
        Ok(Err(error)) => error.into(),
        Err(panicked) => panicked.into(),
    };
    tracing::error!(
        reactor = kind,
        "cannot find the events that are due: {}",
        WithCauses(&*error)
    );
    metrics.reactor_failed(kind);
    Due::nothing()
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

/// Waits until more is folded, at most for this time. Returns whether more is.
async fn changed(folded: &mut watch::Receiver<Progress>, at_most: Duration) -> bool {
    // The projection is ours, so it cannot be gone.
    timeout(at_most, folded.changed()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_to_find_due_events_are_counted() {
        let metrics = Metrics::default();
        let asked = |ask: fn() -> Result<Due<()>, StoreError>| tokio::task::spawn_blocking(ask);
        let good = found(asked(|| Ok(Due::nothing())).await, &metrics, "expiry");
        assert!(good.records.is_empty());
        assert!(!metrics.text().contains("reactor_failures_total{"));
        let damaged = asked(|| Err(StoreError::Damaged("a test")));
        found(damaged.await, &metrics, "expiry");
        found(asked(|| panic!("a test")).await, &metrics, "expiry");
        let expected = "session_ledger_reactor_failures_total{reactor=\"expiry\"} 2\n";
        assert!(metrics.text().contains(expected), "{}", metrics.text());
    }
}
