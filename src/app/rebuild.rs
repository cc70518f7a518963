//! Rebuilding the read model from the log, offline: beside the live file, compared, then swapped in.
//!
//! Until the swap, which is one rename, the live file is only read. It stays locked meanwhile, so
//! no server can start on it.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError, OpenLog, blocking};
use crate::domain::{Clock, Position};
use crate::log::{EventLog, LogError};
use crate::projection::{FoldError, Progress, Store, StoreError, chain, rebuild};

/// What to rebuild.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the read model is.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogSource,
    /// Go on although the log lacks records that the read model was built from, or has others.
    pub accept_truncation: bool,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Records are folded.
    Folding {
        /// The last one.
        position: Position,
        /// The last there will be.
        until: Position,
    },
    /// Files are read from end to end and compared.
    Comparing,
}

/// What a rebuild came to.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuilt {
    /// The last position that was folded.
    pub position: Position,
    /// Head of the hash chain there, in hexadecimal digits.
    pub chain: String,
    /// Digest of the new read model.
    pub digest: String,
    /// How it compares with the live one.
    pub comparison: Comparison,
    /// What the log no longer holds.
    pub lost: Option<Lost>,
    /// Where the old file was kept.
    pub kept: Option<PathBuf>,
}

/// How the new read model compares with the live one, at the live one's position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Comparison {
    /// There was none.
    NoLiveModel,
    /// It could not be read, so it was not compared.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It was built from records that the log does not hold.
    OtherLog {
        /// Its position.
        position: Position,
    },
    /// Both are the same to the byte.
    Equal {
        /// At which position.
        position: Position,
    },
    /// They differ: the live file was changed by something else than the fold.
    Different {
        /// At which position.
        position: Position,
        /// Digest of the live one.
        live_digest: String,
    },
}

/// Records that a read model was built from, and that the log no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The first one.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// Head of the hash chain at the last one, in hexadecimal digits.
    pub chain: String,
}

/// The live file.
enum Live {
    Missing,
    Unreadable(StoreError),
    Open(Arc<Store>, Progress),
}

/// Rebuilds the read model of a directory that no server holds.
pub async fn run(request: Request, mut on_step: impl FnMut(Step)) -> anyhow::Result<Rebuilt> {
    let dir = DataDir::new(&request.data_dir);
    require_log(&request.log, &dir)?;
    let live = open_live(&dir).await?;
    let known = match &live {
        Live::Open(_, progress) if !request.accept_truncation => progress.position,
        Live::Open(..) | Live::Missing | Live::Unreadable(_) => Position::ZERO,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = open::open_log(&request.log, &dir, &clock, known).await?;
    let result = rebuild_beside(&request, &dir, &log, live, &mut on_step).await;
    log.close().await;
    let (rebuilt, live) = result?;
    swap(&dir, rebuilt, live, &*clock)
}

/// A directory without the embedded log must not get an empty one.
pub(super) fn require_log(source: &LogSource, dir: &DataDir) -> Result<(), OpenError> {
    match source {
        LogSource::Embedded if !dir.log().exists() => Err(OpenError::Missing {
            dir: dir.path().to_path_buf(),
            file: "log.redb (is its log on NATS? then add --nats-url)",
        }),
        LogSource::Embedded | LogSource::JetStream(_) => Ok(()),
    }
}

async fn open_live(dir: &DataDir) -> Result<Live, OpenError> {
    let dir = dir.clone();
    blocking(move || {
        dir.make()
            .map_err(|error| OpenError::Directory(dir.path().to_path_buf(), error))?;
        if !dir.model().exists() {
            return Ok(Live::Missing);
        }
        let opened = Store::open(&dir.model()).and_then(|store| {
            let progress = *store.snapshot()?.progress();
            Ok(Live::Open(Arc::new(store), progress))
        });
        match opened {
            Err(error) if error.is_mended_by_a_rebuild() => Ok(Live::Unreadable(error)),
            other => other.map_err(|error| open::store_error(error, &dir)),
        }
    })
    .await
}

/// Makes the new file, and compares it with the live one.
async fn rebuild_beside(
    request: &Request,
    dir: &DataDir,
    log: &OpenLog,
    live: Live,
    on_step: &mut impl FnMut(Step),
) -> anyhow::Result<(Rebuilt, Live)> {
    let log = &*log.port();
    let until = log.head().await?;
    let same_log = match &live {
        Live::Open(_, progress) => {
            same_log(log, until, progress, request.accept_truncation).await?
        }
        Live::Missing | Live::Unreadable(_) => true,
    };
    let store = new_store(dir).await?;
    let mut on_batch = |position| on_step(Step::Folding { position, until });
    let comparison = match &live {
        Live::Missing => Comparison::NoLiveModel,
        Live::Unreadable(error) => Comparison::Unreadable { why: why(error) },
        Live::Open(_, progress) if !same_log => Comparison::OtherLog {
            position: progress.position,
        },
        Live::Open(live, progress) => {
            rebuild::fold_up_to(&store, log, progress.position, &mut on_batch).await?;
            on_step(Step::Comparing);
            compare(&store, live, progress.position).await?
        }
    };
    let mut on_batch = |position| on_step(Step::Folding { position, until });
    rebuild::fold_up_to(&store, log, until, &mut on_batch).await?;
    on_step(Step::Comparing);
    let lost = match &live {
        Live::Open(live, progress) if !same_log => Some(lost(&store, live, progress).await?),
        Live::Open(..) | Live::Missing | Live::Unreadable(_) => None,
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

/// Whether the live read model was built from this log; if not, that must have been accepted.
async fn same_log(
    log: &dyn EventLog,
    head: Position,
    live: &Progress,
    accepted: bool,
) -> anyhow::Result<bool> {
    let at = live.position;
    if at == Position::ZERO {
        return Ok(true);
    }
    let problem: FoldError = if head < at {
        LogError::Truncated { head, after: at }.into()
    } else {
        let records = log.get(vec![at]).await?;
        let next = records
            .first()
            .map(|record| chain::next(&live.chain_before, live.rules.at(at), record));
        if next == Some(live.chain) {
            return Ok(true);
        }
        FoldError::Diverged { at }
    };
    anyhow::ensure!(
        accepted,
        "{problem}. If the log was cut or replaced on purpose, add --accept-truncation: the read \
         model is then built from what there is, and the old one is kept beside it"
    );
    Ok(false)
}

async fn new_store(dir: &DataDir) -> Result<Arc<Store>, OpenError> {
    let dir = dir.clone();
    blocking(move || {
        let path = dir.rebuilding();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Directory(path, error));
            }
            // Left by a rebuild that was torn, or not there.
            Ok(()) | Err(_) => {}
        }
        let store = Store::open(&path).map_err(|error| open::store_error(error, &dir))?;
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
        Err(OpenError::Store(error)) if error.is_mended_by_a_rebuild() => {
            Comparison::Unreadable { why: why(&error) }
        }
        Err(error) => return Err(error.into()),
    })
}

fn why(error: &StoreError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
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
        // Only what a read model does not keep of a record differs: the last is known to.
        first: first.unwrap_or(last),
        last,
        chain: hex::encode(old.chain),
    })
}

/// Puts the new file in the live one's place.
fn swap(
    dir: &DataDir,
    mut rebuilt: Rebuilt,
    live: Live,
    clock: &dyn Clock,
) -> anyhow::Result<Rebuilt> {
    let keep = match (&rebuilt.comparison, &live) {
        // A file of another layout is as good as the log that it was built from.
        (Comparison::NoLiveModel | Comparison::Equal { .. }, _)
        | (_, Live::Unreadable(StoreError::Layout { .. }) | Live::Missing) => None,
        (_, Live::Unreadable(_)) => Some(Position::ZERO),
        (_, Live::Open(_, progress)) => Some(progress.position),
    };
    // Closed, as it was written to by nobody since.
    drop(live);
    if let Some(position) = keep {
        let (kept, reasons) = dir.replaced(position);
        rebuilt.kept = Some(kept.clone());
        let text = serde_json::json!({ "replaced_at": clock.now(), "rebuilt": &rebuilt });
        fs::write(&reasons, format!("{text:#}\n"))
            .with_context(|| format!("cannot write {}", reasons.display()))?;
        // As a link, so that there is a live file at every moment; not every file system has them.
        fs::hard_link(dir.model(), &kept)
            .or_else(|_no_links| fs::rename(dir.model(), &kept))
            .with_context(|| format!("cannot keep the old file as {}", kept.display()))?;
        dir.sync()?;
    }
    fs::rename(dir.rebuilding(), dir.model()).context("cannot swap the rebuilt file in")?;
    dir.sync()?;
    Ok(rebuilt)
}
