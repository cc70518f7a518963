//! A simulated node: the fold, both reactors and the write side, on a disk that can lose power.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use fastrand::Rng;
use session_ledger::domain::{Clock, Position, Timestamp};
use session_ledger::ledger::{Commands, Ledger, Reactor, TokenSecret};
use session_ledger::log::EventLog;
use session_ledger::metrics::Metrics;
use session_ledger::projection::{Projection, Store, runner};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fold::history::START_US;
use crate::simulation::disk::Disk;
use crate::simulation::log::{Client, SimLog};

/// The true time: it passes with the runtime's clock, and jumps when the simulation says so.
#[derive(Debug)]
pub(crate) struct Time {
    began: Instant,
    jumped_us: AtomicI64,
}

impl Time {
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            jumped_us: AtomicI64::new(0),
        })
    }

    pub(crate) fn now_us(&self) -> i64 {
        let passed = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        START_US + passed + self.jumped_us.load(Ordering::SeqCst)
    }

    pub(crate) fn jump(&self, micros: i64) {
        self.jumped_us.fetch_add(micros, Ordering::SeqCst);
    }
}

/// A clock that is fast or slow.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    time: Arc<Time>,
    skew_us: AtomicI64,
}

impl SkewedClock {
    pub(crate) fn new(time: &Arc<Time>, skew_us: i64) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            skew_us: AtomicI64::new(skew_us),
        })
    }

    pub(crate) fn set_skew(&self, skew_us: i64) {
        self.skew_us.store(skew_us, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = self.time.now_us() + self.skew_us.load(Ordering::SeqCst);
        Timestamp::from_micros(now).unwrap()
    }
}

/// A node, which may be down.
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) disk: Disk,
    pub(crate) up: Option<Running>,
}

/// The parts of a node that runs.
pub(crate) struct Running {
    pub(crate) projection: Arc<Projection>,
    pub(crate) ledger: Ledger,
    pub(crate) commands: Commands,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), String>>,
}

impl Node {
    /// Starts a node that is down. Fails if its disk loses power during the start.
    pub(crate) fn start(&mut self, log: &Arc<SimLog>, lagging_by: u64) -> Result<(), String> {
        let store = Store::open_on(self.disk.clone()).map_err(|error| format!("{error:?}"))?;
        let projection = Projection::of(store).map_err(|error| format!("{error:?}"))?;
        let projection = Arc::new(projection);
        // A node that starts asks for the head, and gets one that may be old already.
        let head = log.head().saturating_sub(lagging_by);
        let seen = Arc::new(AtomicU64::new(head.max(projection.position().get())));
        let client = |role| -> Arc<dyn EventLog> {
            Arc::new(Client::new(log, &seen, (self.number, role, 0)))
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let fold = runner::run(
            Arc::clone(&projection),
            client("fold"),
            Arc::new(Metrics::default()),
            stop.clone(),
        );
        tasks.spawn(async move { fold.await.map_err(|error| format!("{error:?}")) });
        let clock: Arc<dyn Clock> = Arc::<SkewedClock>::clone(&self.clock);
        let reactor = |role| Reactor {
            log: client(role),
            projection: Arc::clone(&projection),
            clock: Arc::clone(&clock),
            metrics: Arc::default(),
        };
        let (expiry, revocation) = (reactor("expiry"), reactor("revocation"));
        let (one, other) = (stop.clone(), stop.clone());
        tasks.spawn(async move {
            expiry.expire(one).await;
            Ok(())
        });
        tasks.spawn(async move {
            revocation.end_revoked(other).await;
            Ok(())
        });
        let ledger = Ledger::new(client("client"), Arc::clone(&projection), clock);
        let secret = TokenSecret::new([7; TokenSecret::BYTES]);
        let commands = Commands::new(ledger.clone(), secret);
        self.up = Some(Running {
            projection,
            ledger,
            commands,
            stop,
            tasks,
        });
        Ok(())
    }

    /// Cuts the power: the node stops at once, and its disk loses what was not synced.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let image = self.disk.cut(rng);
        self.up = None;
        self.disk = Disk::with(image);
    }

    /// Stops the node gracefully.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.stop.cancel();
            while let Some(stopped) = up.tasks.join_next().await {
                stopped.unwrap().unwrap();
            }
        }
    }

    /// Why the node has stopped by itself; `None` if it runs.
    pub(crate) fn failure(&mut self) -> Option<String> {
        let ended = self.up.as_mut()?.tasks.try_join_next()?;
        Some(match ended {
            Ok(Ok(())) => "a task ended".to_owned(),
            Ok(Err(error)) => error,
            Err(panicked) => format!("{panicked:?}"),
        })
    }

    pub(crate) fn position(&self) -> Option<Position> {
        Some(self.up.as_ref()?.projection.position())
    }
}
