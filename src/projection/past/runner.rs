//! Keeps the history file up to date, one pass after another, with pauses for what users wait for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{
    PAST_BATCH_RECORDS_MAX, PAST_DURABLE_MS, PAST_DURABLE_RECORDS_MAX, PAST_FAILURES_MAX,
    PAST_REMAKES_MAX, PAST_REST_MS, PAST_RETRY_MS_MAX, PAST_RETRY_MS_MIN, PAST_ROOM_BYTES_MIN,
};
use crate::domain::{Position, WithCauses, backoff};
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::projection::error::StoreError;
use crate::projection::live::Projection;
use crate::projection::meta::Progress;
use crate::projection::past::file::Past;
use crate::projection::store::Commit;
use crate::storage::{Failure, guarded, room};

/// Keeps the history file up to date until `stop` is canceled.
///
/// After a failure the file is opened again, and made again if that does not help. If that is needed too often,
/// this gives up: nothing but answers as of a past position depends on the file.
pub async fn run(
    past: Arc<Past>,
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let keeper = Keeper {
        past: Arc::clone(&past),
        projection,
        log,
        metrics,
        debt: Debt::default(),
        failures: 0,
        remakes: 0,
        had_room: true,
        stop,
    };
    keeper.keep().await;
    if let Err(error) = flush(&past).await {
        let error = WithCauses(&error);
        tracing::warn!("the end of the history file was not written, and is made again: {error}");
    }
}

struct Keeper {
    past: Arc<Past>,
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    debt: Debt,
    /// Failed passes, one after the other.
    failures: u32,
    /// How often the file was made again.
    remakes: u32,
    had_room: bool,
    stop: CancellationToken,
}

/// What there is to do.
enum Task {
    Pass,
    Flush,
    Mend(Failure),
}

/// How a pass ended.
enum Passed {
    Advanced(Position),
    /// There is nothing that it could do now.
    Nothing,
}

impl Keeper {
    /// Ends only between two passes: a pass on the blocking pool holds the files of the ledger open.
    async fn keep(mut self) {
        let mut folded = self.projection.watch();
        while !self.stop.is_cancelled() {
            let Some(task) = self.next_task(&mut folded).await else {
                return;
            };
            let started = Instant::now();
            let done = match task {
                Task::Flush => {
                    self.debt = Debt::default();
                    flush(&self.past).await.map(|()| Passed::Nothing)
                }
                Task::Mend(failure) => Err(StoreError::Unreadable(failure.to_string())),
                Task::Pass => self.pass().await,
            };
            match done {
                Ok(Passed::Advanced(position)) => {
                    self.failures = 0;
                    self.debt.add(position);
                    self.metrics.history(position);
                    self.rest(position, started.elapsed()).await;
                }
                Ok(Passed::Nothing) => self.pause(Duration::from_millis(PAST_RETRY_MS_MIN)).await,
                Err(error) => {
                    if !self.mend(error).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for something to do; `None` at the end of the server.
    async fn next_task(&self, folded: &mut watch::Receiver<Progress>) -> Option<Task> {
        let ahead = async {
            while folded.borrow_and_update().position <= self.past.position() {
                // The projection keeps the sender.
                let _changed = folded.changed().await;
            }
        };
        let quiet = sleep(Duration::from_millis(PAST_DURABLE_MS));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            failure = self.past.failed() => Some(Task::Mend(failure)),
            () = ahead => Some(Task::Pass),
            () = quiet, if self.debt.records != 0 => Some(Task::Flush),
        }
    }

    async fn pause(&self, pause: Duration) {
        let _stopped = timeout(pause, self.stop.cancelled()).await;
    }

    /// One pass, on the blocking pool.
    async fn pass(&mut self) -> Result<Passed, StoreError> {
        if !self.has_room() {
            return Ok(Passed::Nothing);
        }
        let (past, projection) = (Arc::clone(&self.past), Arc::clone(&self.projection));
        let commit = self.debt.commit();
        let advanced = blocking(move || match projection.snapshot() {
            Ok(now) => past.advance(&now, PAST_BATCH_RECORDS_MAX, commit).map(Some),
            // The read model is being mended.
            Err(_not_there) => Ok(None),
        });
        match advanced.await {
            Ok(Some(position)) => Ok(Passed::Advanced(position)),
            Ok(None) => Ok(Passed::Nothing),
            // After a crash, the fold still has to reach what the file has already. If it is at the end of
            // the log, the log has lost the rest.
            Err(StoreError::Behind { .. }) if self.is_fold_behind() => Ok(Passed::Nothing),
            Err(error) => Err(error),
        }
    }

    fn has_room(&mut self) -> bool {
        let dir = self.past.path().parent().unwrap_or(self.past.path());
        let has_room = room::has(dir, PAST_ROOM_BYTES_MIN);
        if self.had_room && !has_room {
            tracing::warn!("the history file waits: the disk is full, or nearly full");
        }
        self.had_room = has_room;
        has_room
    }

    /// Closes the file after an error, and deletes it if nothing else helps. Returns whether to go on.
    async fn mend(&mut self, error: StoreError) -> bool {
        self.failures += 1;
        let is_unusable = match self.past.failure() {
            // After a failed sync, nobody knows which bytes the disk has.
            Some(Failure::Damaged(_) | Failure::Sync(_)) => true,
            Some(Failure::NoRoom(_) | Failure::Write(_) | Failure::Read(_)) => false,
            None => matches!(error, StoreError::Behind { .. } | StoreError::Unreadable(_)),
        };
        let remake = is_unusable || self.failures == PAST_FAILURES_MAX;
        let why = why(&error);
        if remake && self.remakes == PAST_REMAKES_MAX {
            tracing::error!(
                "the history file was made again {PAST_REMAKES_MAX} times and fails again, so the server \
                 answers as of no past position until it starts again: {why}"
            );
            self.close(false).await;
            return false;
        }
        if remake {
            self.remakes += 1;
            tracing::warn!("the history file is made again: {why}");
        } else {
            tracing::warn!("the history file is opened again: {why}");
        }
        self.close(remake).await;
        let min = Duration::from_millis(PAST_RETRY_MS_MIN);
        let max = Duration::from_millis(PAST_RETRY_MS_MAX);
        self.pause(backoff(self.failures, min, max)).await;
        true
    }

    async fn close(&mut self, delete: bool) {
        self.debt = Debt::default();
        let past = Arc::clone(&self.past);
        let closed = blocking(move || {
            past.close(delete);
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!("the history file was not closed: {}", WithCauses(&error));
        }
    }

    /// The pause after a pass. While the fold is behind its log, the history leaves most of the time to it,
    /// also if a request waits.
    async fn rest(&self, position: Position, pass: Duration) {
        let is_fold_behind = self.is_fold_behind();
        let is_caught_up = self.projection.position() <= position;
        let share = match (is_fold_behind, is_caught_up) {
            (true, _) => pass * 3,
            (false, false) => pass,
            // A trickle of events should not cost a pass for each of them.
            (false, true) => pass * 9,
        };
        let share = share.max(Duration::from_millis(PAST_REST_MS));
        if is_fold_behind {
            self.pause(share).await;
        } else if !self.past.is_awaited() {
            tokio::select! {
                () = self.pause(share) => {}
                () = self.past.wanted.notified() => {}
            }
        }
    }

    fn is_fold_behind(&self) -> bool {
        self.projection.position() < self.log.known_head()
    }
}

async fn flush(past: &Arc<Past>) -> Result<(), StoreError> {
    let past = Arc::clone(past);
    blocking(move || past.flush()).await
}

/// Runs work on the blocking pool. A panic becomes an error.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let working = spawn_blocking(move || {
        let worked = guarded(work);
        worked.unwrap_or_else(|panic| Err(StoreError::Unreadable(panic)))
    });
    let worked = working.await;
    worked.unwrap_or_else(|panic| Err(StoreError::Unreadable(panic.to_string())))
}

/// What is wrong with the history file, in the words of this file and not of the read model's.
fn why(error: &StoreError) -> String {
    match error {
        StoreError::Behind { .. } => "it has records that the log has lost".to_owned(),
        StoreError::Unreadable(why) => why.clone(),
        StoreError::Damaged(what) => format!("stored bytes make no sense ({what})"),
        error => WithCauses(error).to_string(),
    }
}

/// What the file would lose in a crash. It would be made again from the read model.
struct Debt {
    since: Instant,
    /// The position at the last durable commit; `None` before the first pass.
    durable: Option<Position>,
    records: u64,
}

impl Default for Debt {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            durable: None,
            records: 0,
        }
    }
}

impl Debt {
    /// How the next pass is committed.
    fn commit(&mut self) -> Commit {
        let old = Duration::from_millis(PAST_DURABLE_MS) <= self.since.elapsed();
        if old || PAST_DURABLE_RECORDS_MAX <= self.records {
            *self = Self::default();
            return Commit::Durable;
        }
        Commit::Visible
    }

    fn add(&mut self, position: Position) {
        let durable = *self.durable.get_or_insert(position);
        self.records = position.get().saturating_sub(durable.get()).max(1);
    }
}
