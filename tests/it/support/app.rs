//! A whole ledger in this process: embedded log, fold and API, behind a real socket.

use std::sync::Arc;

use session_ledger::app::http_server::{self, Address, Bounds, Patience, Room};
use session_ledger::app::tls::{ServerTls, TlsFiles};
use session_ledger::auth::{Access, Author, Credentials, Grant, Keys, Roles};
use session_ledger::dialects;
use session_ledger::domain::{Clock, TenantId, Timestamp};
use session_ledger::http::{Hosts, Origin, Services, StreamTasks};
use session_ledger::ledger::{Commands, Ledger, Reactor, TokenSecret, rules};
use session_ledger::log::{EmbeddedLog, EventLog, NewRecord};
use session_ledger::metrics::Metrics;
use session_ledger::projection::{Past, Projection, Waited, past, runner};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::clock::ManualClock;
use super::faulty_log::DoubtfulLog;

/// The time on the clock of a new ledger.
pub(crate) const NOW: &str = "2026-01-31T12:00:00.000000Z";

/// The origin whose pages may call it from a browser.
pub(crate) const ORIGIN: &str = "https://console.example";

/// How often the server of a test reads its TLS files.
const TLS_FILES_EVERY: std::time::Duration = std::time::Duration::from_millis(5);

/// How a ledger serves.
#[derive(Default)]
pub(crate) struct Serving {
    pub(crate) patience: Patience,
    pub(crate) bounds: Bounds,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) no_history: bool,
    /// The files of a ledger that has stopped; `None` for a new ledger.
    pub(crate) dir: Option<tempfile::TempDir>,
}

/// A running ledger.
pub(crate) struct App {
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) ledger: Ledger,
    pub(crate) projection: Arc<Projection>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keys: Arc<Keys>,
    clock: Arc<ManualClock>,
    url: String,
    stop_fold: CancellationToken,
    stop_server: CancellationToken,
    tasks: JoinSet<()>,
    dir: tempfile::TempDir,
}

/// Watches the files of the TLS certificate, if there is one.
fn watch_files(
    tasks: &mut JoinSet<()>,
    tls: Option<ServerTls>,
    with: (Arc<dyn Clock>, Arc<Metrics>),
    stop: &CancellationToken,
) {
    if let Some(tls) = tls {
        tasks.spawn(tls.watch(TLS_FILES_EVERY, with, stop.clone()));
    }
}

/// Keeps the history file up to date.
fn trail(
    tasks: &mut JoinSet<()>,
    past: Arc<Past>,
    (log, projection): (Arc<dyn EventLog>, &Arc<Projection>),
    (metrics, stop): (&Arc<Metrics>, &CancellationToken),
) {
    let (projection, metrics) = (Arc::clone(projection), Arc::clone(metrics));
    tasks.spawn(past::runner::run(
        past,
        projection,
        log,
        metrics,
        stop.clone(),
    ));
}

impl App {
    /// Starts a ledger with an empty log.
    pub(crate) async fn start() -> Self {
        Self::start_on(|log| log).await
    }

    /// Starts a ledger whose API uses a wrapped log. Its fold uses the log itself.
    pub(crate) async fn start_on(
        wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
    ) -> Self {
        let access = |_keys| Access::Everybody;
        let app = Self::serve(wrap, |keys| keys, Serving::default(), access).await;
        app.folding().await
    }

    /// Starts a ledger whose log fails to confirm appends, as often as the test says.
    pub(crate) async fn start_on_doubtful_log() -> (Self, Arc<DoubtfulLog>) {
        let mut doubtful = None;
        let app = Self::start_on(|log| {
            let log = Arc::new(DoubtfulLog::new(log));
            doubtful = Some(Arc::clone(&log));
            log
        });
        let app = app.await;
        (app, doubtful.expect("its log was wrapped"))
    }

    /// Starts a ledger that requires credentials: API keys, and what `add` adds.
    pub(crate) async fn start_with_credentials(
        add: impl FnOnce(Credentials) -> Credentials,
    ) -> Self {
        Self::start_with_credentials_on(|log| log, |keys| keys, add).await
    }

    /// Starts a ledger that requires credentials, and whose API uses a wrapped log and a wrapped log of keys.
    pub(crate) async fn start_with_credentials_on(
        wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        wrap_keys: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        add: impl FnOnce(Credentials) -> Credentials,
    ) -> Self {
        let app = Self::serve(wrap, wrap_keys, Serving::default(), credentials(add)).await;
        app.folding().await
    }

    /// Starts a ledger that requires credentials, accepts events and never folds them.
    pub(crate) async fn start_with_credentials_and_no_fold(
        add: impl FnOnce(Credentials) -> Credentials,
    ) -> Self {
        Self::serve(|log| log, |keys| keys, Serving::default(), credentials(add)).await
    }

    /// Starts a ledger again on the files of one that has stopped. It does not fold yet.
    pub(crate) async fn start_again(dir: tempfile::TempDir) -> Self {
        let access = |_keys| Access::Everybody;
        let serving = Serving {
            dir: Some(dir),
            ..Serving::default()
        };
        Self::serve(|log| log, |keys| keys, serving, access).await
    }

    /// Writes the newest rules to a new log, as a server does, starts the fold, and waits until it has caught up.
    pub(crate) async fn folding(mut self) -> Self {
        rules::begin(&*self.log).await.unwrap();
        let app = &mut self;
        let (projection, log) = (Arc::clone(&app.projection), app.log());
        let (metrics, stop) = (Arc::clone(&app.metrics), app.stop_fold.clone());
        app.tasks.spawn(async move {
            runner::run(projection, log, metrics, stop).await.unwrap();
        });
        let soon = std::time::Duration::from_mins(1);
        let head = self.log.head().await.unwrap();
        let caught_up = self.projection.wait_for(head, soon).await;
        assert_eq!(caught_up, Waited::Reached);
        self
    }

    /// Folds until a future completes, and then stops.
    pub(crate) async fn fold_during<R>(&self, done: impl Future<Output = R>) -> R {
        let (projection, metrics) = (Arc::clone(&self.projection), Arc::clone(&self.metrics));
        let fold = runner::run(projection, self.log(), metrics, CancellationToken::new());
        tokio::select! {
            done = done => done,
            ended = fold => panic!("the fold ended: {ended:?}"),
        }
    }

    /// Starts the expiry reactor.
    pub(crate) fn start_expiry(&mut self) {
        let clock = Arc::clone(&self.clock);
        self.start_expiry_by(clock);
    }

    /// Starts the expiry reactor with its own clock.
    pub(crate) fn start_expiry_by(&mut self, clock: Arc<ManualClock>) {
        let reactor = Reactor {
            clock,
            ..self.reactor()
        };
        self.tasks.spawn(reactor.expire(self.stop_fold.clone()));
    }

    /// Starts the revocation reactor.
    pub(crate) fn start_revocation(&mut self) {
        let reactor = self.reactor();
        self.tasks
            .spawn(reactor.end_revoked(self.stop_fold.clone()));
    }

    /// Returns a reactor on this ledger's log, read model and clock.
    pub(crate) fn reactor(&self) -> Reactor {
        Reactor {
            log: self.log(),
            projection: Arc::clone(&self.projection),
            clock: Arc::<ManualClock>::clone(&self.clock),
            metrics: Arc::default(),
        }
    }

    /// Starts a ledger that accepts events and never folds them.
    pub(crate) async fn start_without_fold() -> Self {
        Self::start_with_patience(Patience::default()).await
    }

    /// Starts a ledger that never folds, with these timeouts.
    pub(crate) async fn start_with_patience(patience: Patience) -> Self {
        let access = |_keys| Access::Everybody;
        let serving = Serving {
            patience,
            ..Serving::default()
        };
        Self::serve(|log| log, |keys| keys, serving, access).await
    }

    /// Starts a ledger that keeps no history file.
    pub(crate) async fn start_without_history() -> Self {
        Self::start_serving(Serving {
            no_history: true,
            ..Serving::default()
        })
        .await
    }

    /// Starts a ledger with these timeouts and bounds.
    pub(crate) async fn start_with_bounds(patience: Patience, bounds: Bounds) -> Self {
        Self::start_serving(Serving {
            patience,
            bounds,
            ..Serving::default()
        })
        .await
    }

    /// Starts a ledger that serves in this way.
    pub(crate) async fn start_serving(serving: Serving) -> Self {
        let access = |_keys| Access::Everybody;
        let app = Self::serve(|log| log, |keys| keys, serving, access).await;
        app.folding().await
    }

    async fn serve(
        wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        wrap_keys: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        serving: Serving,
        access: impl FnOnce(Arc<Keys>) -> Access,
    ) -> Self {
        let dir = serving.dir.unwrap_or_else(|| tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::default());
        clock.set_micros(Timestamp::parse(NOW).unwrap().micros());
        let as_clock = || Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>;
        let log = Arc::new(EmbeddedLog::open(&dir.path().join("log.redb"), as_clock()).unwrap());
        let projection = Arc::new(Projection::open(&dir.path().join("model.redb")).unwrap());
        let metrics = Arc::new(Metrics::default());
        let admin = EmbeddedLog::open(&dir.path().join("admin.redb"), as_clock()).unwrap();
        let keys = Arc::new(Keys::new(wrap_keys(Arc::new(admin))));
        let as_log = wrap(Arc::<EmbeddedLog>::clone(&log));
        let ledger = Ledger::new(Arc::clone(&as_log), Arc::clone(&projection), as_clock());
        let secret = TokenSecret::new([7; TokenSecret::BYTES]);
        let past = Arc::new(Past::new(&dir.path().join("history.redb")));
        let streams = StreamTasks::default();
        let services = Services {
            commands: Commands::new(ledger.clone(), secret),
            ledger: ledger.clone(),
            projection: Arc::clone(&projection),
            past: (!serving.no_history).then(|| Arc::clone(&past)),
            log: Arc::clone(&as_log),
            access: Arc::new(access(Arc::clone(&keys))),
            keys: Arc::clone(&keys),
            clock: as_clock(),
            metrics: Arc::clone(&metrics),
            streams: streams.clone(),
            origins: vec![Origin::parse(ORIGIN).unwrap()],
            trace_url: None,
        };
        let router = dialects::router(services, Hosts::Any);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = serving.tls.as_ref().map_or("http", |_| "https");
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let stop_server = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let tls = serving.tls.map(|files| ServerTls::load(files).unwrap());
        let acceptor = tls.as_ref().map(ServerTls::acceptor);
        let with = (as_clock(), Arc::clone(&metrics));
        watch_files(&mut tasks, tls, with, &stop_server);
        let address = Address {
            listener,
            tls: acceptor,
        };
        let (patience, stopped) = (serving.patience, stop_server.clone());
        let room = Arc::new(Room::new(serving.bounds, Arc::clone(&metrics)));
        tasks.spawn(streams.end_after(stop_server.clone()));
        tasks.spawn(http_server::run(address, router, patience, room, stopped));
        let stop_fold = CancellationToken::new();
        trail(
            &mut tasks,
            past,
            (as_log, &projection),
            (&metrics, &stop_fold),
        );
        let (followed, stopped) = (Arc::clone(&keys), stop_fold.clone());
        tasks.spawn(async move { followed.run(stopped).await.unwrap() });
        Self {
            log,
            ledger,
            projection,
            metrics,
            keys,
            clock,
            url,
            stop_fold,
            stop_server,
            tasks,
            dir,
        }
    }

    pub(crate) fn log(&self) -> Arc<dyn EventLog> {
        Arc::<EmbeddedLog>::clone(&self.log)
    }

    /// Whether only the rules are folded, with which every ledger begins.
    pub(crate) fn is_empty(&self) -> bool {
        self.projection.position().get() == 1
    }

    /// Sets the clock of the log and the API.
    pub(crate) fn set_time(&self, text: &str) {
        self.clock
            .set_micros(Timestamp::parse(text).unwrap().micros());
    }

    /// Returns the server's address as host and port.
    pub(crate) fn host(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// Returns a client with a new key of a tenant.
    pub(crate) async fn client_with_key(&self, tenant: &str, roles: Roles) -> Client {
        let key = self.key(grant(tenant, roles)).await;
        self.client(tenant).with_key(&key)
    }

    /// Issues a key, and returns its text.
    pub(crate) async fn key(&self, grant: Grant) -> String {
        let (key, _entry) = self
            .keys
            .issue(grant, Author::Operator, self.clock.now())
            .await
            .unwrap();
        key.reveal()
    }

    /// Returns a client that names this tenant.
    pub(crate) fn client(&self, tenant: &str) -> Client {
        Client::new(&self.url, tenant)
    }

    /// Appends a record directly to the log, as a NATS client would. Returns its position.
    pub(crate) async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) -> u64 {
        let record = NewRecord {
            subject: subject.into(),
            private: bytes::Bytes::new(),
            body: bytes::Bytes::from(body.into()),
        };
        let appended = self.log.append(vec![record]).await;
        appended[0].as_ref().unwrap().get()
    }

    /// Stops the fold, and waits until it has ended.
    pub(crate) async fn stop_fold(&self) {
        self.stop_fold.cancel();
        let never = session_ledger::domain::Position::new(u64::MAX);
        let wait = std::time::Duration::from_mins(1);
        self.projection.wait_for(never, wait).await;
    }

    /// Returns the path of one of its files.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Stops everything gracefully.
    pub(crate) async fn stop(self) {
        drop(self.stop_and_keep().await);
    }

    /// Stops everything gracefully, and keeps the files.
    pub(crate) async fn stop_and_keep(mut self) -> tempfile::TempDir {
        self.stop_server.cancel();
        self.stop_fold.cancel();
        while let Some(stopped) = self.tasks.join_next().await {
            stopped.unwrap();
        }
        self.log.close().await;
        self.dir
    }
}

/// Returns an access control that requires credentials: API keys, and what `add` adds.
fn credentials(add: impl FnOnce(Credentials) -> Credentials) -> impl FnOnce(Arc<Keys>) -> Access {
    |keys| {
        Access::Credentials(add(Credentials {
            keys,
            tokens: None,
            rate_limits: None,
        }))
    }
}

/// Returns the grant for a key of a tenant with these roles.
pub(crate) fn grant(tenant: &str, roles: Roles) -> Grant {
    Grant {
        tenant: TenantId::parse(tenant).unwrap(),
        name: None,
        roles,
        agent: None,
        expires_at: None,
    }
}
