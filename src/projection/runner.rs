//! Folds the log until it is stopped, and publishes the progress.
//!
//! `feed` reads and decodes while `batch` folds all records that have arrived. So a quiet ledger shows
//! an event at once, and a busy one folds large batches, which cost less for each record.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{FOLD_IDLE_MS, FOLD_MENDS_MAX, FOLD_ROOM_WAIT_MS};
use crate::domain::{Position, WithCauses, backoff};
use crate::log::chain;
use crate::log::{EventLog, LogError, Record};
use crate::metrics::Metrics;
use crate::projection::batch::{Batches, Outlook};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::feed::Feed;
use crate::projection::live::Projection;
use crate::projection::meta::Progress;
use crate::projection::notices::{self, News, Teller};
use crate::projection::store::Commit;
use crate::storage::Failure;

/// The first and the longest pause before a request to an unavailable log is retried.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Folds the log until `stop` is canceled, or until an error that neither a retry nor another file
/// fixes. Everything folded is durable when this returns.
pub async fn run(
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), FoldError> {
    metrics.progress(projection.position(), log.known_head());
    let result = follow_and_mend(&projection, &log, &metrics, &stop).await;
    let flushing = Arc::clone(&projection);
    let progress = blocking(move || {
        let store = flushing.store()?;
        store.flush()?;
        Ok(*store.snapshot()?.progress())
    })
    .await;
    if let Ok(progress) = &progress {
        // Part of a failed batch may have been committed.
        projection.publish(*progress, log.known_head());
    }
    projection.set_stopped();
    result?;
    progress.map(|_| ())
}

/// Follows the log, and goes on after failures of the read model's file.
async fn follow_and_mend(
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<(), FoldError> {
    let mut mends = 0;
    loop {
        let result = follow(projection, log, metrics, stop).await;
        if stop.is_cancelled() {
            return result;
        }
        let failure = projection.store().ok().and_then(|store| store.failure());
        let (why, damage) = match (failure, result) {
            (Some(Failure::Sync(why)), _) => return Err(StoreError::NotSynced(why).into()),
            (Some(_), result) if !projection.can_be_mended() => {
                return result.and(Err(StoreError::Mending.into()));
            }
            (Some(failure), _) => (failure.to_string(), Damage::of(&failure)),
            (None, Err(FoldError::Store(error)))
                if error.is_mended_by_a_rebuild() && projection.can_be_mended() =>
            {
                (WithCauses(&error).to_string(), Damage::Certain)
            }
            // The embedded log opens its file again after a failure.
            (None, Err(FoldError::Log(error @ LogError::Unavailable(_)))) if log.is_available() => {
                projection.set_trouble(Some(WithCauses(&error).to_string()));
                pause(stop).await;
                continue;
            }
            (None, result) => return result,
        };
        projection.set_trouble(Some(format!("the read model: {why}")));
        let damaged = match damage {
            Damage::None => {
                pause(stop).await;
                false
            }
            Damage::Possible | Damage::Certain if mends == FOLD_MENDS_MAX => {
                return Err(StoreError::Unreadable(why).into());
            }
            Damage::Possible | Damage::Certain => {
                mends += 1;
                damage == Damage::Certain || 1 < mends
            }
        };
        // Readers saw the position before. After damage they also wait for what was acknowledged since.
        projection.owe(log.known_head());
        mend(projection, damaged, stop).await?;
        metrics.read_model_mended();
    }
}

/// Whether the bytes of a file that failed are lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// What the disk does not return once, it may return the next time.
    Possible,
    Certain,
}

impl Damage {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::NoRoom(_) | Failure::Write(_) | Failure::Sync(_) => Self::None,
            Failure::Read(_) => Self::Possible,
            Failure::Damaged(_) => Self::Certain,
        }
    }
}

/// Mends the read model's file. Tries again until it succeeds or `stop` is canceled.
async fn mend(
    projection: &Arc<Projection>,
    mut damaged: bool,
    stop: &CancellationToken,
) -> Result<(), FoldError> {
    while !stop.is_cancelled() {
        let mending = Arc::clone(projection);
        // Once: a second time would replace the damaged file, which is evidence, by a half made one.
        let renews = std::mem::take(&mut damaged);
        let mended = blocking(move || {
            let mended = if renews {
                mending.renew()
            } else {
                mending.reopen()
            };
            Ok(mended?)
        });
        match mended.await {
            Ok(()) => {
                projection.set_trouble(None);
                return Ok(());
            }
            Err(error @ FoldError::Store(StoreError::NotSynced(_))) => return Err(error),
            Err(FoldError::Store(error)) => {
                let why = format!("the read model cannot be opened: {}", WithCauses(&error));
                projection.set_trouble(Some(why));
                pause(stop).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn pause(stop: &CancellationToken) {
    let pause = Duration::from_millis(FOLD_ROOM_WAIT_MS);
    let _canceled = tokio::time::timeout(pause, stop.cancelled()).await;
}

async fn follow(
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<(), FoldError> {
    let store = projection.store()?;
    let (feed, chunks) = Feed::endless(projection.progress().rules.current());
    let ended = stop.child_token();
    let reading = async {
        tokio::select! {
            () = ended.cancelled() => Ok(()),
            // A reader can find damage while the fold has nothing to do.
            _failure = store.failed() => Ok(()),
            result = read(log, projection, feed) => result,
        }
    };
    let folding = async {
        let batches = Batches::new(Arc::clone(&store), chunks);
        let result = fold(projection, log, metrics, batches, &ended).await;
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
    let record = retry(|| log.get(vec![at])).await?;
    if record
        .first()
        .is_some_and(|record| is_next(progress, record))
    {
        Ok(())
    } else {
        Err(FoldError::Diverged { at })
    }
}

/// Whether a read model was built from a log that reaches its position.
pub async fn is_of_log(progress: &Progress, log: &dyn EventLog) -> Result<bool, LogError> {
    if progress.position == Position::ZERO {
        return Ok(true);
    }
    let record = log.get(vec![progress.position]).await?;
    Ok(record
        .first()
        .is_some_and(|record| is_next(progress, record)))
}

/// Whether a record is the last one that a read model was built from.
fn is_next(progress: &Progress, record: &Record) -> bool {
    let rules = progress.rules.at(progress.position);
    chain::next(&progress.chain_before, rules, record) == progress.chain
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
    ended: &CancellationToken,
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
        while !batches.has_room() {
            if projection
                .store()
                .is_ok_and(|store| store.failure().is_some())
            {
                return Ok(());
            }
            let why = "the disk of the read model is full, or nearly full: make room";
            projection.set_trouble(Some(why.to_owned()));
            pause(ended).await;
            if ended.is_cancelled() {
                return Ok(());
            }
        }
        projection.set_trouble(None);
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
        self.projection.is_awaited()
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
