//! What reactors share: they follow the fold, and write what follows from it.
//!
//! What a reactor writes depends on the read model alone, so copies from several nodes, or from
//! before and after a restart, are copies to the fold as well. Whether it still holds is for the fold
//! to say: what came first wins.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::limits::{FOLD_LAG_MS_MAX, REACTOR_RETRY_MS, VERDICT_WAIT_MS};
use crate::domain::{Clock, Timestamp};
use crate::log::{EventLog, NewRecord};
use crate::projection::{Projection, Snapshot, StoreError};

/// First and longest pause before what did not take effect is written again.
const PAUSE_MIN: Duration = Duration::from_millis(REACTOR_RETRY_MS.0);
const PAUSE_MAX: Duration = Duration::from_millis(REACTOR_RETRY_MS.1);
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
    /// What the first record is about. If that is due again, writing it had no effect.
    pub(super) first: Option<M>,
    /// When there is more to do, unless the fold brings it sooner.
    pub(super) next: Option<Timestamp>,
}

impl<M> Due<M> {
    pub(super) fn nothing() -> Self {
        Self {
            records: Vec::new(),
            first: None,
            next: None,
        }
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
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.react(ask) => {}
        }
    }

    async fn react<M: PartialEq + Send + 'static>(&self, ask: Ask<M>) {
        // After a long absence, others may have done what the read model still shows as due.
        if let Ok(head) = self.log.head().await {
            self.projection.wait_for(head, Duration::MAX).await;
        }
        let mut folded = self.projection.watch();
        let (mut tried, mut pause) = (None, PAUSE_MIN);
        loop {
            folded.mark_unchanged();
            let due = self.due(ask).await;
            if due.records.is_empty() {
                let wait = due.next.map_or(SLEEP_MAX, |next| self.until(next));
                tokio::select! {
                    changed = folded.changed() => {
                        if changed.is_err() || self.projection.has_stopped() {
                            return;
                        }
                    }
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            let mut records = due.records;
            if due.first == tried {
                // The log's clock is behind ours, or the log is away: ask with one, ever less often.
                tokio::time::sleep(pause).await;
                pause = PAUSE_MAX.min(pause * 2);
                records.truncate(1);
            } else {
                pause = PAUSE_MIN;
            }
            tried = due.first;
            self.write(records).await;
        }
    }

    /// Appends and waits until that is folded; then it is due no more, or something has moved it.
    async fn write(&self, records: Vec<NewRecord>) {
        let appended = self.log.append(records).await;
        let last = appended
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .max()
            .copied();
        if let Some(error) = appended.iter().find_map(|one| one.as_ref().err()) {
            tracing::warn!(error = %error, "what is due was not written; trying again");
        }
        if let Some(last) = last {
            let wait = Duration::from_millis(VERDICT_WAIT_MS);
            self.projection.wait_for(last, wait).await;
        }
    }

    async fn due<M: Send + 'static>(&self, ask: Ask<M>) -> Due<M> {
        let now = self.clock.now();
        // A fold that catches up shows as due what later records have settled.
        if Duration::from_millis(FOLD_LAG_MS_MAX) < self.projection.lag(now, self.log.known_head())
        {
            return Due::nothing();
        }
        let projection = Arc::clone(&self.projection);
        let asked = tokio::task::spawn_blocking(move || ask(&projection.snapshot()?, now)).await;
        match asked {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "what is due cannot be read");
                Due::nothing()
            }
            Err(_panicked) => Due::nothing(),
        }
    }

    fn until(&self, time: Timestamp) -> Duration {
        let micros = time.micros_since(self.clock.now());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(SLEEP_MAX)
    }
}
