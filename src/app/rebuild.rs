//! Rebuilds the read model from the log while no server runs. The new file is made beside the live
//! file, compared with it, and then put in its place.
//!
//! The live file is only read until the final rename. It stays locked until then, so no server can
//! start on it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::{self, DataDir};
use crate::app::open::{self, OpenError, blocking};
use crate::app::verify::LOST_RECORDS;
use crate::domain::{Clock, Position, WithCauses};
use crate::log::{EventLog, LogError, chain};
use crate::projection::{FoldError, Progress, Store, StoreError, rebuild};

/// What to rebuild.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the read model is.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogSource,
    /// Continue even if the log lacks records that the read model was built from, or has different
    /// ones.
    pub accept_truncation: bool,
}

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The rebuild is folding records.
    Folding {
        /// The last folded record.
        position: Position,
        /// The last record to fold.
        until: Position,
    },
    /// The rebuild is reading both files completely to compare them.
    Comparing,
}

/// The result of a rebuild.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuilt {
    /// The last position that was folded.
    pub position: Position,
    /// The chain at that position, in hexadecimal digits.
    pub chain: String,
    /// The digest of the new read model.
    pub digest: String,
    /// How the new read model compares with the live one.
    pub comparison: Comparison,
    /// The records that the log no longer has.
    pub lost: Option<Lost>,
    /// The path of the old file, if it was kept.
    pub kept: Option<PathBuf>,
}

/// How the new read model compares with the live one at the position of the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Comparison {
    /// There was no live read model.
    NoLiveModel,
    /// The live read model is unreadable and was not compared.
    Unreadable {
        /// Why it is unreadable.
        why: String,
    },
    /// The live read model was built from records that the log does not have.
    OtherLog {
        /// The position of the live read model.
        position: Position,
    },
    /// Both read models are equal byte for byte.
    Equal {
        /// The position at which they were compared.
        position: Position,
    },
    /// The read models differ: something other than the fold has changed the live file.
    Different {
        /// The position at which they were compared.
        position: Position,
        /// The digest of the live read model.
        live_digest: String,
    },
}

/// The records that the live read model was built from and that the log no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The first of these records.
    pub first: Position,
    /// The last of these records.
    pub last: Position,
    /// The chain at the last of these records, in hexadecimal digits.
    pub chain: String,
}

/// The live read model.
enum LiveModel {
    Missing,
    Unreadable(StoreError),
    Open(Arc<Store>, Progress),
}

/// What there is to compare the new read model with.
enum Case<'a> {
    /// There is no live read model.
    Missing,
    /// The live read model is unreadable.
    Unreadable(&'a StoreError),
    /// The live read model was built from the records of this log.
    SameLog(&'a Arc<Store>, &'a Progress),
    /// The live read model was built from records that this log does not have.
    OtherLog(&'a Arc<Store>, &'a Progress),
}

/// Rebuilds the read model of a directory. No server may have it open.
pub async fn run(request: Request, mut on_step: impl FnMut(Step)) -> anyhow::Result<Rebuilt> {
    let dir = DataDir::new(&request.data_dir);
    open::require_log(&request.log, &dir)?;
    let live = open_live(&dir).await?;
    let known = match &live {
        LiveModel::Open(_, progress) if !request.accept_truncation => progress.position,
        LiveModel::Open(..) | LiveModel::Missing | LiveModel::Unreadable(_) => Position::ZERO,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = open::open_log(&request.log, &dir, &clock, known).await?;
    let result = rebuild_beside(&request, &dir, &*log, live, &mut on_step).await;
    log.close().await;
    let (rebuilt, live) = result.map_err(with_advice)?;
    swap(&dir, rebuilt, live, &*clock)
}

/// Says what to do about an error if records are lost.
fn with_advice(error: anyhow::Error) -> anyhow::Error {
    let log = match error.downcast_ref() {
        Some(FoldError::Log(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    if log.is_some_and(LogError::is_loss) {
        return anyhow::anyhow!("{}. {LOST_RECORDS}", WithCauses(&*error));
    }
    error
}

async fn open_live(dir: &DataDir) -> Result<LiveModel, OpenError> {
    let dir = dir.clone();
    blocking(move || {
        dir.make()
            .map_err(|error| OpenError::Directory(dir.path().to_path_buf(), error))?;
        if !dir.model().exists() {
            return Ok(LiveModel::Missing);
        }
        let opened = Store::open(&dir.model()).and_then(|store| {
            let progress = *store.snapshot()?.progress();
            Ok(LiveModel::Open(Arc::new(store), progress))
        });
        match opened {
            Err(error) if error.is_mended_by_a_rebuild() => Ok(LiveModel::Unreadable(error)),
            other => other.map_err(|error| open::store_error(error, &dir.model())),
        }
    })
    .await
}

/// Builds the new read model, and compares it with the live one.
async fn rebuild_beside(
    request: &Request,
    dir: &DataDir,
    log: &dyn EventLog,
    live: LiveModel,
    on_step: &mut impl FnMut(Step),
) -> anyhow::Result<(Rebuilt, LiveModel)> {
    let until = log.head().await?;
    let case = live.case(log, until, request).await?;
    let store = new_store(dir).await?;
    let mut fold = async |up_to| {
        let mut on_batch = |position| on_step(Step::Folding { position, until });
        rebuild::fold_up_to(&store, log, up_to, &mut on_batch).await?;
        on_step(Step::Comparing);
        anyhow::Ok(())
    };
    let mut changed = None;
    let comparison = match case {
        Case::Missing => Comparison::NoLiveModel,
        Case::Unreadable(error) => Comparison::Unreadable {
            why: WithCauses(error).to_string(),
        },
        Case::OtherLog(_, progress) => Comparison::OtherLog {
            position: progress.position,
        },
        Case::SameLog(live, progress) => {
            fold(progress.position).await?;
            if store.snapshot()?.progress().chain == progress.chain {
                compare(&store, live, progress.position).await?
            } else {
                let records = lost(&store, live, progress).await?;
                accept(request, &FoldError::Diverged { at: records.first })?;
                changed = Some(records);
                Comparison::OtherLog {
                    position: progress.position,
                }
            }
        }
    };
    fold(until).await?;
    let lost = match case {
        Case::OtherLog(live, progress) => Some(lost(&store, live, progress).await?),
        Case::SameLog(..) | Case::Missing | Case::Unreadable(_) => changed,
    };
    let progress = *store.snapshot()?.progress();
    let rebuilt = Rebuilt {
        position: progress.position,
        chain: hex::encode(progress.chain),
        digest: digest(&store).await?,
        comparison,
        lost,
        kept: None,
    };
    Ok((rebuilt, live))
}

impl LiveModel {
    /// Compares the live read model with the end of a log. Fails if it was built from other records,
    /// unless the request accepts that.
    async fn case(
        &self,
        log: &dyn EventLog,
        head: Position,
        request: &Request,
    ) -> anyhow::Result<Case<'_>> {
        let (store, progress) = match self {
            Self::Missing => return Ok(Case::Missing),
            Self::Unreadable(error) => return Ok(Case::Unreadable(error)),
            Self::Open(store, progress) => (store, progress),
        };
        let Some(problem) = difference(log, head, progress).await? else {
            return Ok(Case::SameLog(store, progress));
        };
        accept(request, &problem)?;
        Ok(Case::OtherLog(store, progress))
    }
}

/// Fails with a problem of the log, unless the request accepts it.
fn accept(request: &Request, problem: &FoldError) -> anyhow::Result<()> {
    anyhow::ensure!(
        request.accept_truncation,
        "{problem}. If the log was cut or replaced on purpose, add --accept-truncation: the new read \
         model is then built from the records that the log has, and the old file is kept"
    );
    Ok(())
}

/// How the log differs from the records that a live read model was built from; `None` if it does not.
async fn difference(
    log: &dyn EventLog,
    head: Position,
    live: &Progress,
) -> anyhow::Result<Option<FoldError>> {
    let at = live.position;
    if at == Position::ZERO {
        return Ok(None);
    }
    if head < at {
        return Ok(Some(LogError::Truncated { head, after: at }.into()));
    }
    let records = log.get(vec![at]).await?;
    let chain = records
        .first()
        .map(|record| chain::next(&live.chain_before, live.rules.at(at), record));
    Ok((chain != Some(live.chain)).then_some(FoldError::Diverged { at }))
}

async fn new_store(dir: &DataDir) -> Result<Arc<Store>, OpenError> {
    let dir = dir.clone();
    blocking(move || {
        let path = dir.rebuilding();
        // Of a rebuild that was interrupted.
        files::remove(&path).map_err(|error| OpenError::Remove(path.clone(), error))?;
        let store = Store::open(&path).map_err(|error| open::store_error(error, &path))?;
        Ok(Arc::new(store))
    })
    .await
}

async fn compare(
    store: &Arc<Store>,
    live: &Arc<Store>,
    position: Position,
) -> anyhow::Result<Comparison> {
    let new = digest(store).await?;
    Ok(match digest(live).await {
        Ok(live) if live == new => Comparison::Equal { position },
        Ok(live_digest) => Comparison::Different {
            position,
            live_digest,
        },
        Err(OpenError::Store(error)) if error.is_mended_by_a_rebuild() => Comparison::Unreadable {
            why: WithCauses(&error).to_string(),
        },
        Err(error) => return Err(error.into()),
    })
}

async fn digest(store: &Arc<Store>) -> Result<String, OpenError> {
    let store = Arc::clone(store);
    blocking(move || {
        let digest = store.snapshot().and_then(|snapshot| snapshot.digest());
        digest.map(hex::encode).map_err(OpenError::Store)
    })
    .await
}

async fn lost(store: &Arc<Store>, live: &Arc<Store>, old: &Progress) -> Result<Lost, OpenError> {
    let (new, live, last) = (Arc::clone(store), Arc::clone(live), old.position);
    let first = blocking(move || {
        let compared = new
            .snapshot()
            .and_then(|new| rebuild::first_difference(&*live.snapshot()?, &new, last));
        compared.map_err(OpenError::Store)
    })
    .await?;
    Ok(Lost {
        // Without a difference in the rows, the records differ in parts that a read model does not
        // store. Then only the last one is known to differ.
        first: first.unwrap_or(last),
        last,
        chain: hex::encode(old.chain),
    })
}

/// Replaces the live file with the new one.
fn swap(
    dir: &DataDir,
    mut rebuilt: Rebuilt,
    live: LiveModel,
    clock: &dyn Clock,
) -> anyhow::Result<Rebuilt> {
    let keep = match (&rebuilt.comparison, &live) {
        // A file of another layout has nothing that the log lacks, so it is not kept.
        (Comparison::NoLiveModel | Comparison::Equal { .. }, _)
        | (_, LiveModel::Unreadable(StoreError::Layout { .. }) | LiveModel::Missing) => None,
        (_, LiveModel::Unreadable(_)) => Some(Position::ZERO),
        (_, LiveModel::Open(_, progress)) => Some(progress.position),
    };
    // Close the live file before the rename.
    drop(live);
    if let Some(position) = keep {
        let (kept, reasons) = dir.replaced(position);
        rebuilt.kept = Some(kept.clone());
        let text = serde_json::json!({ "replaced_at": clock.now(), "rebuilt": &rebuilt });
        fs::write(&reasons, format!("{text:#}\n"))
            .with_context(|| format!("cannot write {}", reasons.display()))?;
        // With a hard link, there is a live file at every moment. Not every file system supports links.
        fs::hard_link(dir.model(), &kept)
            .or_else(|_no_links| fs::rename(dir.model(), &kept))
            .with_context(|| format!("cannot keep the old file as {}", kept.display()))?;
        dir.sync()?;
    }
    fs::rename(dir.rebuilding(), dir.model()).context("cannot swap the rebuilt file in")?;
    dir.sync()?;
    Ok(rebuilt)
}
