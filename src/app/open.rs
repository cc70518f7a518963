//! Opens what a ledger stands on: the data directory, the log and the read model.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::clock::SystemClock;
use crate::app::config::{Config, LogSource};
use crate::app::files::DataDir;
use crate::domain::{Clock, Position};
use crate::log::jetstream::{JetStreamConfig, JetStreamLog};
use crate::log::{EmbeddedLog, EventLog, LogError};
use crate::projection::{Projection, StoreError};

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open. Stop that one, or ask it.
    #[error(
        "another ledger holds the directory {}: stop it first, or ask it over HTTP \
         (`--url http://HOST:PORT` instead of `--data-dir`)",
        .0.display()
    )]
    Held(PathBuf),
    /// There is nothing to open, and the caller asked not to make it.
    #[error("there is no ledger in {}: it has no {}", .dir.display(), .file)]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
        /// What it lacks.
        file: &'static str,
    },
    /// The directory cannot be made.
    #[error("cannot make the directory {}", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The read model cannot be opened.
    #[error(transparent)]
    Store(StoreError),
    /// Opening panicked.
    #[error("opening the ledger's files failed unexpectedly")]
    Panicked,
}

/// A log, and how to close it.
#[derive(Clone)]
pub enum OpenLog {
    /// In the data directory.
    Embedded(Arc<EmbeddedLog>),
    /// On a NATS server.
    JetStream(Arc<JetStreamLog>),
}

/// An open ledger that nothing drives yet.
pub struct Opened {
    /// The log.
    pub log: OpenLog,
    /// The log of the keys.
    pub admin: OpenLog,
    /// The read model.
    pub projection: Arc<Projection>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl OpenLog {
    /// The log itself.
    pub fn port(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => Arc::clone(log) as Arc<dyn EventLog>,
            Self::JetStream(log) => Arc::clone(log) as Arc<dyn EventLog>,
        }
    }

    /// Finishes what is under way and gives up the log's lock, or its connections, which it may
    /// share with the other log.
    pub async fn close(&self) {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::JetStream(log) => log.close().await,
        }
    }
}

/// Opens the read model and the logs, or makes them.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let dir = DataDir::new(&config.data_dir);
    make_dir(&dir).await?;
    // The read model first: its lock tells in every case, whatever the log is, whether another
    // process holds the directory.
    let model = dir.clone();
    let projection = blocking(move || {
        Projection::open(&model.model()).map_err(|error| store_error(error, &model))
    })
    .await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = open_log(&config.log, &dir, &clock, projection.position()).await?;
    let admin = open_admin(&config.log, &log, &dir, &clock).await?;
    Ok(Opened {
        log,
        admin,
        projection: Arc::new(projection),
        clock,
    })
}

/// Makes the data directory, if it is not there.
pub async fn make_dir(dir: &DataDir) -> Result<(), OpenError> {
    let dir = dir.clone();
    blocking(move || {
        dir.make()
            .map_err(|error| OpenError::Directory(dir.path().to_path_buf(), error))
    })
    .await
}

/// Opens the log. `known` is the last position that was read from it: then it must exist.
pub async fn open_log(
    source: &LogSource,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
    known: Position,
) -> Result<OpenLog, OpenError> {
    match source {
        LogSource::Embedded => open_embedded(dir.log(), dir, clock).await,
        LogSource::JetStream(config) => {
            let log = connect(config, known).await?;
            Ok(OpenLog::JetStream(Arc::new(log)))
        }
    }
}

/// Opens the log of the keys beside the other.
async fn open_admin(
    source: &LogSource,
    log: &OpenLog,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
) -> Result<OpenLog, OpenError> {
    match (source, log) {
        (LogSource::JetStream(config), OpenLog::JetStream(log)) => {
            let admin = log.connect_admin(config).await?;
            Ok(OpenLog::JetStream(Arc::new(admin)))
        }
        (LogSource::Embedded, _) | (_, OpenLog::Embedded(_)) => {
            open_embedded(dir.admin_log(), dir, clock).await
        }
    }
}

/// Opens a log that is built in, in a file of a directory.
pub async fn open_embedded(
    file: PathBuf,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
) -> Result<OpenLog, OpenError> {
    let (clock, dir) = (Arc::clone(clock), dir.path().to_path_buf());
    let open = move || {
        EmbeddedLog::open(&file, clock).map_err(|error| match error {
            LogError::Held(_) => OpenError::Held(dir),
            other => OpenError::Log(other),
        })
    };
    Ok(OpenLog::Embedded(Arc::new(blocking(open).await?)))
}

/// Connects to a log on NATS. `known` is the last position that was read from it: then it must
/// exist.
pub async fn connect(config: &JetStreamConfig, known: Position) -> Result<JetStreamLog, OpenError> {
    let log = JetStreamLog::connect(config, known != Position::ZERO).await?;
    if !log.is_guarded() {
        tracing::warn!("NATS asks nobody for credentials: whoever reaches it can write events");
    }
    Ok(log)
}

/// Says which directory is held.
pub fn store_error(error: StoreError, dir: &DataDir) -> OpenError {
    match error {
        StoreError::InUse => OpenError::Held(dir.path().to_path_buf()),
        other => OpenError::Store(other),
    }
}

/// Runs work that blocks where it may.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(OpenError::Panicked))
}
