//! Folds the log until it is stopped, and publishes the progress.
//!
//! `feed` reads and decodes while `batch` folds all records that have arrived. So a quiet ledger shows
//! an event at once, and a busy one folds large batches, which cost less for each record.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::FOLD_IDLE_MS;
use crate::domain::{Position, Timestamp, WithCauses, backoff};
use crate::log::chain;
use crate::log::{EventLog, LogError};
use crate::metrics::Metrics;
use crate::projection::batch::{Batches, Outlook};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::feed::Feed;
use crate::projection::meta::Progress;
use crate::projection::notices::{self, News, Teller};
use crate::projection::snapshot::Snapshot;
use crate::projection::store::{Commit, Store};

/// The first and the longest pause before a request to an unavailable log is retried.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The read model and the progress of its fold.
#[derive(Debug)]
pub struct Projection {
    store: Arc<Store>,
    folded: watch::Sender<Progress>,
    stopped: watch::Sender<bool>,
    behind_since: Mutex<Option<Instant>>,
    /// The number of requests that wait for a position.
    waiting: AtomicUsize,
}

/// How waiting for a position ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The position is folded.
    Reached,
    /// It took too long. The fold goes on.
    TimedOut,
    /// The fold has stopped and will not reach the position.
    Stopped,
}

impl Projection {
    /// Opens the read model.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Store::open(path)?;
        let progress = *store.snapshot()?.progress();
        Ok(Self {
            store: Arc::new(store),
            folded: watch::Sender::new(progress),
            stopped: watch::Sender::new(false),
            behind_since: Mutex::new(None),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The read model as it is now.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.store.snapshot()
    }

    /// The progress of the fold.
    pub fn progress(&self) -> Progress {
        *self.folded.borrow()
    }

    /// The last position that was folded.
    pub fn position(&self) -> Position {
        self.folded.borrow().position
    }

    /// Whether the fold has stopped for good. The server's log says why.
    pub fn has_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Returns a receiver that changes with every batch.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.folded.subscribe()
    }

    /// Waits until a position is folded. Until then, the fold takes smaller batches.
    pub async fn wait_for(&self, position: Position, at_most: Duration) -> Waited {
        let _waiting = Waiting::begin(&self.waiting);
        tokio::time::timeout(at_most, self.reach(position))
            .await
            .unwrap_or(Waited::TimedOut)
    }

    /// Waits until a position is folded, without a timeout and without making batches smaller.
    pub async fn reach(&self, position: Position) -> Waited {
        let mut folded = self.folded.subscribe();
        let mut stopped = self.stopped.subscribe();
        let reached = folded.wait_for(|progress| position <= progress.position);
        tokio::select! {
            biased;
            _ = reached => Waited::Reached,
            _ = stopped.wait_for(|stopped| *stopped) => Waited::Stopped,
        }
    }

    /// How far the fold lags behind a log that is known to reach `head`, in time. There are two upper
    /// bounds: the age of the last folded record, and the time since the fold was last seen caught up.
    /// The smaller one counts.
    pub fn lag(&self, now: Timestamp, head: Position) -> Duration {
        let progress = self.progress();
        let Some(since) = self.behind_since(progress.position, head) else {
            return Duration::ZERO;
        };
        let age = now.micros_since(progress.recorded_at);
        since
            .elapsed()
            .min(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
    }

    /// Since when the fold has been behind, as far as calls of this function have seen.
    fn behind_since(&self, position: Position, head: Position) -> Option<Instant> {
        let mut since = self
            .behind_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = (position < head).then(|| since.unwrap_or_else(Instant::now));
        *since
    }

    fn publish(&self, progress: Progress, head: Position) {
        self.behind_since(progress.position, head);
        self.folded.send_replace(progress);
    }
}

/// RAII guard: counts as one waiting request for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Folds the log until `stop` is canceled, or until an error that a retry does not fix. Everything
/// folded is durable when this returns.
pub async fn run(
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), FoldError> {
    metrics.progress(projection.position(), log.known_head());
    let result = follow(&projection, &log, &metrics, &stop).await;
    let store = Arc::clone(&projection.store);
    let progress = blocking(move || {
        store.flush()?;
        Ok(*store.snapshot()?.progress())
    })
    .await;
    if let Ok(progress) = &progress {
        // Part of a failed batch may have been committed.
        projection.publish(*progress, log.known_head());
    }
    projection.stopped.send_replace(true);
    result?;
    progress.map(|_| ())
}

async fn follow(
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<(), FoldError> {
    let (feed, chunks) = Feed::endless(projection.progress().rules.current());
    let ended = stop.child_token();
    let reading = async {
        tokio::select! {
            () = ended.cancelled() => Ok(()),
            result = read(log, projection, feed) => result,
        }
    };
    let folding = async {
        let batches = Batches::new(Arc::clone(&projection.store), chunks);
        let result = fold(projection, log, metrics, batches).await;
        ended.cancel();
        result
    };
    // Both must end, so that no batch is left half folded. When reading ends, the fold still folds
    // what was read.
    let (read, folded) = tokio::join!(reading, folding);
    folded.and(read)
}

/// Checks that the record at our position on the log is the one that we folded.
async fn check_same_log(progress: &Progress, log: &Arc<dyn EventLog>) -> Result<(), FoldError> {
    let at = progress.position;
    if at == Position::ZERO {
        return Ok(());
    }
    let records = retry(|| log.get(vec![at])).await?;
    let same = records.first().is_some_and(|record| {
        let rules = progress.rules.at(at);
        chain::next(&progress.chain_before, rules, record) == progress.chain
    });
    if same {
        Ok(())
    } else {
        Err(FoldError::Diverged { at })
    }
}

/// Reads the log from the position of the fold.
async fn read(
    log: &Arc<dyn EventLog>,
    projection: &Projection,
    feed: Feed,
) -> Result<(), FoldError> {
    let progress = projection.progress();
    let mut tail = retry(|| log.tail(progress.position)).await?;
    // After the tail has begun: from then on the tail notices if the log is replaced.
    check_same_log(&progress, log).await?;
    feed.run(&mut *tail).await
}

async fn fold(
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    metrics: &Arc<Metrics>,
    mut batches: Batches,
) -> Result<(), FoldError> {
    let idle = Duration::from_millis(FOLD_IDLE_MS);
    let mut teller = Teller::new(Arc::clone(log));
    loop {
        let first = if batches.is_durable() && !teller.owes_marks() {
            batches.first().await
        } else {
            match tokio::time::timeout(idle, batches.first()).await {
                Ok(first) => first,
                Err(_quiet) => {
                    if !batches.is_durable() {
                        batches.flush().await?;
                    }
                    teller.tell(News::default(), true).await;
                    continue;
                }
            }
        };
        let Some(first) = first else {
            return Ok(());
        };
        let started = Instant::now();
        let outlook = GrowingLog {
            projection: Arc::clone(projection),
            log: Arc::clone(log),
        };
        let (rest, batch) = batches.fold(first, outlook).await?;
        batches = rest;
        metrics.fold_batch(batch.commit == Commit::Durable, started.elapsed());
        metrics.verdicts(&batch.verdicts);
        metrics.progress(batch.progress.position, log.known_head());
        projection.publish(batch.progress, log.known_head());
        let caught_up = notices::is_fresh(batch.progress.position, log.known_head());
        teller.tell(batch.news, caught_up).await;
    }
}

/// A log that grows, and a read model that requests wait for.
struct GrowingLog {
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
}

impl Outlook for GrowingLog {
    fn head(&self) -> Position {
        self.log.known_head()
    }

    fn is_awaited(&self) -> bool {
        self.projection.waiting.load(Ordering::Relaxed) != 0
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, FoldError> + Send + 'static,
) -> Result<R, FoldError> {
    spawn_blocking(work).await.map_err(FoldError::Panicked)?
}

/// Retries while the log is unavailable.
async fn retry<'a, R>(
    ask: impl Fn() -> futures_util::future::BoxFuture<'a, Result<R, LogError>>,
) -> Result<R, LogError> {
    let mut retries = 0;
    loop {
        match ask().await {
            Err(error @ LogError::Unavailable(_)) => {
                let pause = backoff(retries, RETRY_MIN, RETRY_MAX);
                tracing::warn!(?pause, "{}; trying again", WithCauses(&error));
                tokio::time::sleep(pause).await;
                retries += 1;
            }
            other => return other,
        }
    }
}
