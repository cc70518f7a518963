//! Opens the data directory, the logs and the read model of a ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::clock::SystemClock;
use crate::app::config::{Config, LogSource};
use crate::app::files::DataDir;
use crate::backup::LogKind;
use crate::domain::{Clock, Position};
use crate::log::jetstream::{JetStreamConfig, JetStreamLog};
use crate::log::{EmbeddedLog, EventLog, LogError};
use crate::projection::{Projection, StoreError};
use crate::storage;

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error(
        "another ledger holds the directory {}: stop it first, or use its HTTP API \
         (`--url http://HOST:PORT` instead of `--data-dir`)",
        .0.display()
    )]
    Held(PathBuf),
    /// A file is missing, and the caller does not want it created.
    #[error("there is no ledger in {}: it has no {}", .dir.display(), .file)]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// The missing file, possibly with advice.
        file: &'static str,
    },
    /// A restore into the directory has not come to its end.
    #[error(
        "a restore into {} was interrupted, so there is no whole ledger: run `session-ledger restore` \
         again",
        .0.display()
    )]
    Restoring(PathBuf),
    /// A restore into the directory is running.
    #[error("a restore into {} is running: wait until it has ended", .0.display())]
    RestoreRuns(PathBuf),
    /// The directory cannot be created.
    #[error("cannot create the directory {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// A file of an interrupted rebuild or restore cannot be removed.
    #[error("cannot remove {}, which an interrupted command left", .0.display())]
    Remove(PathBuf, #[source] io::Error),
    /// The disk does not let the process open, read or write the read model.
    #[error("{}", storage::not_opened(.0))]
    Model(PathBuf, #[source] io::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The read model cannot be opened.
    #[error(transparent)]
    Store(StoreError),
    /// Work on the ledger's files panicked.
    #[error("work on the ledger's files failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

/// An open ledger whose tasks are not started yet.
pub struct Opened {
    /// The log of events.
    pub log: Arc<dyn EventLog>,
    /// The log of API keys.
    pub admin: Arc<dyn EventLog>,
    /// The read model.
    pub projection: Arc<Projection>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Opens the read model and the logs. Creates what is missing. A missing read model starts from a
/// snapshot if there is one.
pub async fn open(config: &Config) -> anyhow::Result<Opened> {
    let dir = DataDir::new(&config.data_dir);
    make_dir(&dir).await?;
    // The read model first: its lock shows whether another process has the directory open. A log on
    // NATS has no such lock.
    let mut projection = open_model(&dir).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (log, admin) = open_logs(&config.log, &dir, &clock, projection.position()).await?;
    if let Some(snapshots) = &config.snapshots
        && projection.position() == Position::ZERO
        && let Some(installed) = snapshots.install(&*log, &dir.model()).await?
    {
        // If another process opens the new file first, this start fails, because that process holds it.
        installed.persist(&dir.model())?;
        projection = open_model(&dir).await?;
    }
    Ok(Opened {
        log,
        admin,
        projection: Arc::new(projection),
        clock,
    })
}

async fn open_model(dir: &DataDir) -> Result<Projection, OpenError> {
    let model = dir.model();
    blocking(move || Projection::open(&model).map_err(|error| store_error(error, &model))).await
}

/// Creates the data directory if it is missing.
pub async fn make_dir(dir: &DataDir) -> Result<(), OpenError> {
    let dir = dir.clone();
    blocking(move || {
        dir.make()
            .map_err(|error| OpenError::Directory(dir.path().to_path_buf(), error))
    })
    .await
}

/// Fails if the log is built in and its file is missing. Opening the log would create an empty one.
pub fn require_log(source: &LogSource, dir: &DataDir) -> Result<(), OpenError> {
    match source {
        LogSource::Embedded if !dir.log().exists() => Err(OpenError::Missing {
            dir: dir.path().to_path_buf(),
            file: "log.redb (is its log on NATS? then add --nats-url)",
        }),
        LogSource::Embedded | LogSource::JetStream(_) => Ok(()),
    }
}

/// Opens the log. `known` is the last position that was read from it. Unless that is zero, a
/// missing stream on NATS is an error.
pub async fn open_log(
    source: &LogSource,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
    known: Position,
) -> Result<Arc<dyn EventLog>, OpenError> {
    match source {
        LogSource::Embedded => open_embedded(dir.log(), dir, clock).await,
        LogSource::JetStream(config) => Ok(Arc::new(connect(config, known).await?)),
    }
}

/// Opens the log of events, as [`open_log`] does, and the log of API keys.
async fn open_logs(
    source: &LogSource,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
    known: Position,
) -> Result<(Arc<dyn EventLog>, Arc<dyn EventLog>), OpenError> {
    match source {
        LogSource::Embedded => Ok((
            open_embedded(dir.log(), dir, clock).await?,
            open_embedded(dir.admin_log(), dir, clock).await?,
        )),
        LogSource::JetStream(config) => {
            let log = connect(config, known).await?;
            let admin = log.connect_admin(config, dir.keys_seen().exists()).await?;
            Ok((Arc::new(log), Arc::new(admin)))
        }
    }
}

/// Opens a built-in log in a file of a directory. Creates a missing file, unless a restore is about to put
/// its log there.
pub async fn open_embedded(
    file: PathBuf,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn EventLog>, OpenError> {
    let (clock, dir) = (Arc::clone(clock), dir.clone());
    let open = move || {
        if LogKind::ALL
            .iter()
            .any(|kind| dir.restoring(*kind).exists())
        {
            if !dir.log().exists() {
                let dir_path = dir.path().to_path_buf();
                return Err(if dir.is_locked() {
                    OpenError::RestoreRuns(dir_path)
                } else {
                    OpenError::Restoring(dir_path)
                });
            }
            // The restore has put all of its logs there. Later these names must not mark the live logs as
            // those of a restore that was interrupted.
            let cleared = dir.clear_restore();
            cleared.map_err(|(file, error)| OpenError::Remove(file, error))?;
        }
        EmbeddedLog::open(&file, clock).map_err(|error| match error {
            LogError::Held(_) => OpenError::Held(dir.path().to_path_buf()),
            other => OpenError::Log(other),
        })
    };
    Ok(Arc::new(blocking(open).await?))
}

/// Connects to a log on NATS. `known` is the last position that was read from it. Unless that is
/// zero, a missing stream is an error.
pub async fn connect(config: &JetStreamConfig, known: Position) -> Result<JetStreamLog, OpenError> {
    let log = JetStreamLog::connect(config, known != Position::ZERO).await?;
    if !log.asks_for_credentials() {
        tracing::warn!(
            "NATS requires no credentials: anyone who can connect to it can write events"
        );
    }
    Ok(log)
}

/// Converts the error of opening a read model. Names the file, or the directory that is in use.
pub fn store_error(error: StoreError, file: &Path) -> OpenError {
    match error {
        StoreError::InUse => OpenError::Held(file.parent().unwrap_or(Path::new(".")).to_path_buf()),
        other => match other.into_os_error() {
            Ok(error) => OpenError::Model(file.to_path_buf(), error),
            Err(other) => OpenError::Store(other),
        },
    }
}

/// Runs blocking work on a thread for such work.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(OpenError::Panicked(error)))
}
