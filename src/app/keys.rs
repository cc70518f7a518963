//! Opens the keys of a ledger: for a server, and for commands that change keys without a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::clock::SystemClock;
use crate::app::config::{Access, Config, LogSource};
use crate::app::files::DataDir;
use crate::app::keys_seen;
use crate::app::open::{self, OpenError};
use crate::app::tasks::Tasks;
use crate::auth::jwt::Tokens;
use crate::auth::{self, Credentials, Keys, RateLimits};
use crate::domain::{Clock, Position, WithCauses};
use crate::log::EventLog;
use crate::log::jetstream::JetStreamConfig;

/// How long the task that follows the log may take to end.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Does what [`follow`] does, and remembers in a directory how far this node has read. Fails if the log
/// lacks what this node has read before.
pub(super) async fn follow_and_remember(
    admin: &Arc<dyn EventLog>,
    dir: &DataDir,
    workers: &mut Tasks,
) -> anyhow::Result<Arc<Keys>> {
    let file = dir.keys_seen();
    let seen = keys_seen::check(&file, &**admin).await?;
    let keys = follow(admin, workers).await?;
    let remembered = Arc::clone(&keys);
    workers.spawn("keys seen", |stop| {
        keys_seen::remember(file, remembered, seen, stop)
    });
    Ok(keys)
}

/// Reads all keys, and starts a task that follows their log.
async fn follow(admin: &Arc<dyn EventLog>, workers: &mut Tasks) -> anyhow::Result<Arc<Keys>> {
    let keys = Arc::new(Keys::new(Arc::clone(admin)));
    let followed = Arc::clone(&keys);
    workers.spawn("keys", |stop| async move {
        if let Err(error) = followed.run(stop).await {
            tracing::error!(
                "this server can no longer follow the log of keys: {}. Keys that are revoked from \
                 now on stay valid here",
                WithCauses(&error)
            );
        }
    });
    keys.catch_up().await.context("cannot read the keys")?;
    Ok(keys)
}

/// Opens what the server needs to check credentials.
pub(super) async fn access(
    config: &Config,
    keys: &Arc<Keys>,
    workers: &mut Tasks,
) -> anyhow::Result<auth::Access> {
    let checks = match &config.access {
        Access::Credentials(checks) => checks,
        Access::Local | Access::Network => return Ok(auth::Access::Everybody),
        Access::Private(key) => return Ok(auth::Access::Private(key.hash())),
    };
    let tokens = match &checks.tokens {
        Some(tokens) => {
            let tokens = Tokens::open(tokens.clone()).await;
            Some(Arc::new(
                tokens.context("cannot load the key set for tokens")?,
            ))
        }
        None => None,
    };
    if let Some(tokens) = &tokens {
        let tokens = Arc::clone(tokens);
        workers.spawn("tokens", |stop| tokens.run(stop));
    } else if keys.is_empty() {
        tracing::warn!(
            "there is no key yet, so nobody can call the API. To issue the first: {}",
            first_key(config)
        );
    }
    Ok(auth::Access::Credentials(Credentials {
        keys: Arc::clone(keys),
        tokens,
        rate_limits: checks.rate_limit.map(RateLimits::new),
    }))
}

/// How to issue the first key.
fn first_key(config: &Config) -> String {
    let rest = "--tenant TENANT --role admin";
    match &config.log {
        LogSource::Embedded => format!(
            "stop this server, then `session-ledger keys issue --data-dir {} {rest}`",
            config.data_dir.display()
        ),
        LogSource::JetStream(_) => format!(
            "`session-ledger keys issue {rest}`, with the NATS options of this server, which can \
             keep running"
        ),
    }
}

/// Where the log of keys is, for commands that change keys without a server.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// In the data directory of a ledger with the built-in log.
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Whether to create the directory and the log if they are missing.
        make: bool,
    },
    /// On a NATS server, in a stream of its own beside that of the events.
    JetStream(Box<JetStreamConfig>),
}

/// The keys of a ledger, opened without a server. Call [`OpenKeys::close`] in the end.
pub struct OpenKeys {
    /// The keys.
    pub keys: Arc<Keys>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    log: Arc<dyn EventLog>,
    tasks: Tasks,
}

impl OpenKeys {
    /// Opens the log of keys and reads all of it.
    pub async fn open(source: KeySource) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log: Arc<dyn EventLog> = match source {
            KeySource::Directory { dir, make } => {
                let dir = DataDir::new(&dir);
                if make {
                    open::make_dir(&dir).await?;
                } else if !dir.admin_log().exists() {
                    let missing = OpenError::Missing {
                        dir: dir.path().to_path_buf(),
                        file: "admin.redb (if its log is on NATS, give --nats-url)",
                    };
                    return Err(missing.into());
                }
                open::open_embedded(dir.admin_log(), &dir, &clock).await?
            }
            KeySource::JetStream(config) => {
                Arc::new(open::connect(&config.admin(), Position::ZERO).await?)
            }
        };
        let mut tasks = Tasks::default();
        let keys = follow(&log, &mut tasks).await?;
        Ok(Self {
            keys,
            clock,
            log,
            tasks,
        })
    }

    /// Stops following the log, and closes it.
    pub async fn close(self) {
        self.tasks.stop(STOP_WAIT).await;
        self.log.close().await;
    }
}
