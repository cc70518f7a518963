//! Opens the data directory, the logs and the read model of a ledger.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::config::{Config, LogSource};
use crate::app::files::DataDir;
use crate::domain::{Clock, Position, SystemClock};
use crate::log::jetstream::{JetStreamConfig, JetStreamLog};
use crate::log::{EmbeddedLog, EventLog, LogError};
use crate::projection::{Projection, StoreError};

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
    /// The directory cannot be created.
    #[error("cannot create the directory {}", .0.display())]
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
    /// The built-in log.
    Embedded(Arc<EmbeddedLog>),
    /// A log on a NATS server.
    JetStream(Arc<JetStreamLog>),
}

/// An open ledger whose tasks are not started yet.
pub struct Opened {
    /// The log.
    pub log: OpenLog,
    /// The log of the keys.
    pub admin: OpenLog,
    /// The read model.
    pub projection: Arc<Projection>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl OpenLog {
    /// The log, without the ability to close it.
    pub fn port(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => Arc::clone(log) as Arc<dyn EventLog>,
            Self::JetStream(log) => Arc::clone(log) as Arc<dyn EventLog>,
        }
    }

    /// Finishes the operations under way, and releases the lock of the log or closes its
    /// connections. Two logs on NATS may share connections.
    pub async fn close(&self) {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::JetStream(log) => log.close().await,
        }
    }
}

/// Opens the read model and the logs. Creates what is missing.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let dir = DataDir::new(&config.data_dir);
    make_dir(&dir).await?;
    // The read model first: its lock shows whether another process has the directory open. A log on
    // NATS has no such lock.
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

/// Creates the data directory if it is missing.
pub async fn make_dir(dir: &DataDir) -> Result<(), OpenError> {
    let dir = dir.clone();
    blocking(move || {
        dir.make()
            .map_err(|error| OpenError::Directory(dir.path().to_path_buf(), error))
    })
    .await
}

/// Opens the log. `known` is the last position that was read from it. Unless that is zero, a
/// missing stream on NATS is an error.
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

/// Opens the log of keys that belongs to a log.
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

/// Opens a built-in log in a file of a directory. Creates a missing file.
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

/// Connects to a log on NATS. `known` is the last position that was read from it. Unless that is
/// zero, a missing stream is an error.
pub async fn connect(config: &JetStreamConfig, known: Position) -> Result<JetStreamLog, OpenError> {
    let log = JetStreamLog::connect(config, known != Position::ZERO).await?;
    if !log.is_guarded() {
        tracing::warn!(
            "NATS asks for no credentials: everybody who can connect to it can write events"
        );
    }
    Ok(log)
}

/// Converts an error. If the read model is in use, names the directory.
pub fn store_error(error: StoreError, dir: &DataDir) -> OpenError {
    match error {
        StoreError::InUse => OpenError::Held(dir.path().to_path_buf()),
        other => OpenError::Store(other),
    }
}

/// Runs blocking work on a thread for such work.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(OpenError::Panicked))
}
