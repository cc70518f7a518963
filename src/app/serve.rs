//! Runs a ledger: starts the log, the fold and the API, and shuts them down gracefully.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::config::{Access, Config};
use crate::app::descriptors;
use crate::app::files::DataDir;
use crate::app::http_server::{Bounds, Room};
use crate::app::keys;
use crate::app::listeners::{Addresses, Listeners};
use crate::app::open::{self, Opened};
use crate::app::secret::{self, SecretError};
use crate::app::secret_files::warn_of_exposed;
use crate::app::snapshots::Snapshots;
use crate::app::tasks::Tasks;
use crate::app::tls::ServerTls;
use crate::dialects;
use crate::domain::limits::{SHUTDOWN_WAIT_MS, TLS_FILES_MS};
use crate::domain::{Clock, Position, Rules, WithCauses};
use crate::http::{Hosts, Services, StreamTasks};
use crate::ledger::{Commands, Ledger, Reactor, TokenSecret, rules};
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::projection::{FoldError, Past, Projection, StoreError, Waited, past, runner};

/// How long the HTTP server may take to end. It includes its own timeout for requests under way.
const HTTP_WAIT: Duration = Duration::from_millis(SHUTDOWN_WAIT_MS + 5_000);
/// How long the start of a new ledger waits for the fold of its first record.
const BEGIN_WAIT: Duration = Duration::from_secs(5);
/// How long the background tasks may take to end. The fold syncs the read model to disk in this
/// time.
const FLUSH_WAIT: Duration = Duration::from_secs(30);

/// A running ledger. Call [`Running::stop`] at the end: dropping it is like a crash.
pub struct Running {
    addresses: Addresses,
    data_dir: PathBuf,
    projection: Arc<Projection>,
    log: Arc<dyn EventLog>,
    admin: Arc<dyn EventLog>,
    requests: Tasks,
    workers: Tasks,
    fatal: Fatal,
}

/// Why the process must end; `None` while it need not.
#[derive(Debug, Clone)]
struct Fatal(Arc<watch::Sender<Option<String>>>);

impl Default for Fatal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Fatal {
    fn note(&self, error: &dyn std::error::Error) {
        let why = WithCauses(error).to_string();
        tracing::error!("the server ends: {why}");
        self.0.send_replace(Some(why));
    }
}

/// Opens the ledger, starts its tasks and serves.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check()?;
    let tls = config.tls.clone().map(ServerTls::load).transpose()?;
    warn_of_exposed(&config.secret_files);
    // Before the files: a start that fails because of its address must not create a directory.
    let listeners = Listeners::bind(&config, tls.as_ref().map(ServerTls::acceptor)).await?;
    let addresses = listeners.addresses()?;
    let Opened {
        log,
        admin,
        projection,
        clock,
    } = open::open(&config).await?;
    let began = rules::begin(&*log).await?;
    warn_of_old_rules(&projection);
    let metrics = Arc::new(Metrics::default());
    let mut workers = Tasks::default();
    let keys =
        keys::follow_and_remember(&admin, &DataDir::new(&config.data_dir), &mut workers).await?;
    let access = keys::access(&config, &keys, &mut workers).await?;
    let fatal = Fatal::default();
    spawn_fold(&mut workers, &projection, &log, &metrics, &fatal);
    spawn_watch(&mut workers, &log, &fatal);
    spawn_watch(&mut workers, &admin, &fatal);
    spawn_tls(&mut workers, tls, &clock, &metrics);
    if let Some(position) = began {
        // Until the first record is folded, the server would reject requests.
        projection.wait_for(position, BEGIN_WAIT).await;
    }
    spawn_reactors(&mut workers, &projection, &log, &clock, &metrics);
    let past = spawn_history(&mut workers, &config, (&log, &projection), &metrics);
    let own = DataDir::new(&config.data_dir).token_secret();
    let secret = token_secret(config.token_secret_file.as_deref(), &own, &*log).await?;
    let ledger = Ledger::new(
        Arc::clone(&log),
        Arc::clone(&projection),
        Arc::clone(&clock),
    );
    // The ledger has said what the fold owes: before that, a snapshot would be due too early.
    spawn_snapshots(&mut workers, config.snapshots, (&log, &projection), &clock);
    let streams = StreamTasks::default();
    let services = Services {
        commands: Commands::new(ledger.clone(), secret),
        ledger,
        projection: Arc::clone(&projection),
        past,
        log: Arc::clone(&log),
        access: Arc::new(access),
        keys: Arc::clone(&keys),
        clock,
        metrics: Arc::clone(&metrics),
        streams: streams.clone(),
        origins: config.origins,
        trace_url: config.trace_url,
    };
    let router = dialects::router(services, hosts(&config.access));
    let mut requests = Tasks::default();
    let room = Arc::new(Room::new(bounds(), metrics));
    listeners.serve(&router, &room, &mut requests);
    requests.spawn("streams", |stop| streams.end_after(stop));
    addresses.announce();
    Ok(Running {
        addresses,
        data_dir: config.data_dir,
        projection,
        log,
        admin,
        requests,
        workers,
        fatal,
    })
}

/// The host names that requests may have.
fn hosts(access: &Access) -> Hosts {
    match access {
        Access::Local | Access::Private(_) => Hosts::Loopback,
        Access::Credentials(_) | Access::Network => Hosts::Any,
    }
}

/// The bounds of connections that the open files of this process allow.
fn bounds() -> Bounds {
    Bounds {
        connections: descriptors::connections_max(),
        ..Bounds::default()
    }
}

fn spawn_reactors(
    workers: &mut Tasks,
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) {
    let expiry = Reactor {
        log: Arc::clone(log),
        projection: Arc::clone(projection),
        clock: Arc::clone(clock),
        metrics: Arc::clone(metrics),
    };
    let revocation = expiry.clone();
    workers.spawn("expiry", |stop| expiry.expire(stop));
    workers.spawn("revocation", |stop| revocation.end_revoked(stop));
}

fn spawn_snapshots(
    workers: &mut Tasks,
    snapshots: Option<Snapshots>,
    (log, projection): (&Arc<dyn EventLog>, &Arc<Projection>),
    clock: &Arc<dyn Clock>,
) {
    let Some(snapshots) = snapshots else {
        return;
    };
    let (source, clock) = ((Arc::clone(log), Arc::clone(projection)), Arc::clone(clock));
    workers.spawn("snapshots", |stop| {
        snapshots.keep_writing(source, clock, stop)
    });
}

fn spawn_history(
    workers: &mut Tasks,
    config: &Config,
    (log, projection): (&Arc<dyn EventLog>, &Arc<Projection>),
    metrics: &Arc<Metrics>,
) -> Option<Arc<Past>> {
    if !config.history {
        return None;
    }
    let past = Arc::new(Past::new(&DataDir::new(&config.data_dir).history()));
    let (kept, projection) = (Arc::clone(&past), Arc::clone(projection));
    let (log, metrics) = (Arc::clone(log), Arc::clone(metrics));
    workers.spawn("history", |stop| {
        past::runner::run(kept, projection, log, metrics, stop)
    });
    Some(past)
}

/// Reads the secret of session tokens from a file that the operator made, or else from the data
/// directory.
async fn token_secret(
    given: Option<&Path>,
    own: &Path,
    log: &dyn EventLog,
) -> Result<TokenSecret, SecretError> {
    let secret = match given {
        Some(file) => secret::read(file)?,
        None => secret::read_or_make(own)?,
    };
    warn_of_another_secret(log, &secret).await;
    Ok(secret)
}

/// Warns if one of the last records has tokens from another secret. Reading them is not worth a failure.
async fn warn_of_another_secret(log: &dyn EventLog, secret: &TokenSecret) {
    if let Ok(Some(position)) = secret::last_foreign(log, secret).await {
        tracing::warn!("{}", secret::foreign_warning(position));
    }
}

/// Warns if newer rules are available. A ledger keeps the rules of the build that created it until
/// an operator adopts newer ones.
fn warn_of_old_rules(projection: &Projection) {
    let progress = projection.progress();
    let (held, newest) = (progress.rules.current(), Rules::LATEST);
    if progress.position != Position::ZERO && held < newest {
        let (held, newest) = (held.number(), newest.number());
        tracing::warn!(
            "the ledger uses rules version {held}, and this build knows version {newest}: when every \
             server of the ledger runs a build that knows it, run `session-ledger rules adopt`"
        );
    }
}

/// Watches a log. Without it, a server that writes nothing would not notice that the log accepts writes
/// again.
fn spawn_watch(workers: &mut Tasks, log: &Arc<dyn EventLog>, fatal: &Fatal) {
    let (log, fatal) = (Arc::clone(log), fatal.clone());
    workers.spawn("log", |stop| async move {
        if let Some(error) = stop.run_until_cancelled(log.watch()).await {
            fatal.note(&error);
        }
    });
}

/// Watches the files of the TLS certificate.
fn spawn_tls(
    workers: &mut Tasks,
    tls: Option<ServerTls>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) {
    if let Some(tls) = tls {
        let with = (Arc::clone(clock), Arc::clone(metrics));
        let every = Duration::from_millis(TLS_FILES_MS);
        workers.spawn("tls", |stop| tls.watch(every, with, stop));
    }
}

fn spawn_fold(
    workers: &mut Tasks,
    projection: &Arc<Projection>,
    log: &Arc<dyn EventLog>,
    metrics: &Arc<Metrics>,
    fatal: &Fatal,
) {
    let (projection, metrics) = (Arc::clone(projection), Arc::clone(metrics));
    let (log, fatal) = (Arc::clone(log), fatal.clone());
    workers.spawn("fold", |stop| async move {
        if let Err(error) = runner::run(projection, log, metrics, stop).await {
            if let FoldError::Store(StoreError::NotSynced(_)) = &error {
                fatal.note(&error);
                return;
            }
            tracing::error!(
                "the fold has stopped: {}. Reads show the last state, unless they have shown a newer \
                 one, and the server accepts no changes",
                WithCauses(&error)
            );
        }
    });
}

impl Running {
    /// The address of the HTTP server.
    pub fn addr(&self) -> SocketAddr {
        self.addresses.own
    }

    /// The base URL of the HTTP server, without a slash at its end.
    pub fn url(&self) -> String {
        self.addresses.url()
    }

    /// Waits until the process must end, and returns why. Drop the server then: it must write nothing more.
    pub async fn failed(&self) -> String {
        let mut fatal = self.fatal.0.subscribe();
        loop {
            if let Some(why) = &*fatal.borrow_and_update() {
                return why.clone();
            }
            if fatal.changed().await.is_err() {
                // Cannot be: `self` keeps the sender.
                return std::future::pending().await;
            }
        }
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The last position that was folded.
    pub fn position(&self) -> Position {
        self.projection.position()
    }

    /// Waits until everything that is on the log now is folded. Returns the position of the head.
    pub async fn catch_up(&self) -> anyhow::Result<Position> {
        let head = self.log.head().await?;
        match self.projection.reach(head).await {
            Waited::Reached => Ok(head),
            Waited::TimedOut | Waited::Stopped => anyhow::bail!("the fold has stopped"),
        }
    }

    /// Accepts no more requests, finishes those under way, syncs the read model to disk, and closes
    /// the logs.
    pub async fn stop(self) -> anyhow::Result<()> {
        // Requests first: they wait for verdicts of the fold.
        let mut late = self.requests.stop(HTTP_WAIT).await;
        late.extend(self.workers.stop(FLUSH_WAIT).await);
        let folded = self.projection.position();
        self.admin.close().await;
        self.log.close().await;
        anyhow::ensure!(
            late.is_empty(),
            "stopped, but some tasks did not end in time: {}. Acknowledged events are on the log",
            late.join(", ")
        );
        tracing::info!(position = folded.get(), "stopped at position {folded}");
        Ok(())
    }
}
