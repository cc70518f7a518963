//! The state of a connection: how many bytes of its answers are unsent, and since when.
//!
//! An answer uses memory until the socket has taken it, and a slow client can delay that. So the
//! server counts the unsent bytes of each connection and of all connections together. Beyond a
//! bound, it rejects a request before its handler runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{
    REQUEST_BODY_WAIT_MS, UNSENT_BYTES_MAX, UNSENT_PER_CONNECTION_BYTES_MAX,
};
use crate::metrics::Metrics;

/// How long the server waits for the body of a request.
#[derive(Debug, Clone)]
pub struct BodyPatience {
    /// The timeout for the whole body.
    pub at_most: Duration,
    /// Canceled when the server stops; this ends the wait early.
    pub ended: CancellationToken,
}

impl Default for BodyPatience {
    fn default() -> Self {
        Self {
            at_most: Duration::from_millis(REQUEST_BODY_WAIT_MS),
            ended: CancellationToken::new(),
        }
    }
}

/// The bounds on unsent bytes of answers.
#[derive(Debug, Clone, Copy)]
pub struct UnsentBounds {
    /// For one connection. A connection without unsent bytes may exceed it with one answer.
    pub per_connection: usize,
    /// For all connections together.
    pub in_all: usize,
}

impl Default for UnsentBounds {
    fn default() -> Self {
        Self {
            per_connection: UNSENT_PER_CONNECTION_BYTES_MAX,
            in_all: UNSENT_BYTES_MAX,
        }
    }
}

/// Counts the unsent bytes of all connections.
#[derive(Debug)]
pub struct Unsent {
    bounds: UnsentBounds,
    bytes: AtomicUsize,
    /// Notified when an answer does not fit into the bound for all connections.
    short: Notify,
    metrics: Arc<Metrics>,
}

impl Unsent {
    /// A counter at zero.
    pub fn new(bounds: UnsentBounds, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            bytes: AtomicUsize::new(0),
            short: Notify::new(),
            metrics,
        }
    }

    /// Waits until an answer does not fit into the bound for all connections.
    pub async fn is_short(&self) {
        self.short.notified().await;
    }
}

/// In the extensions of a request that came over TLS.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// Which requests a connection may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// All requests.
    Usual,
    /// Only `/healthz` and `/readyz`: the server is at its maximum number of connections.
    HealthOnly,
}

/// Why a request is rejected before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The connection is for health checks only ([`Lane::HealthOnly`]).
    Full,
    /// The connection has too many unsent bytes.
    OfConnection,
    /// All connections together have too many unsent bytes.
    InAll,
}

/// One connection of a client.
#[derive(Debug)]
pub struct Connection {
    lane: Lane,
    bodies: Arc<BodyPatience>,
    all: Arc<Unsent>,
    /// The zero of the times below.
    opened: Instant,
    begun: AtomicU64,
    ended: AtomicU64,
    unsent: AtomicUsize,
    /// When a request last began or ended, in microseconds.
    used_us: AtomicU64,
    /// When the socket last took bytes of an answer, or when unsent bytes began to wait.
    progress_us: AtomicU64,
    /// When the answer of the current request began; zero before that.
    answered_us: AtomicU64,
    /// Whether the last write to the socket is pending.
    blocked: AtomicBool,
    /// Whether the client speaks HTTP/2.
    multiplexed: AtomicBool,
    close: CancellationToken,
}

impl Connection {
    /// A new connection.
    pub fn new(lane: Lane, bodies: Arc<BodyPatience>, all: Arc<Unsent>) -> Self {
        Self {
            lane,
            bodies,
            all,
            opened: Instant::now(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
            used_us: AtomicU64::new(0),
            progress_us: AtomicU64::new(0),
            answered_us: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            close: CancellationToken::new(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment_us: &AtomicU64) -> Duration {
        let now_us = self.now_us();
        Duration::from_micros(now_us.saturating_sub(moment_us.load(Ordering::Relaxed)))
    }

    /// The requests that the connection may make.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// How long the server waits for request bodies.
    pub(crate) fn bodies(&self) -> &Arc<BodyPatience> {
        &self.bodies
    }

    /// Starts a request, which ends when the returned guard is dropped.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.used_us.store(self.now_us(), Ordering::Relaxed);
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// How many requests have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many requests have ended.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Records the result of a write: whether the socket took bytes, or the write is pending.
    pub fn socket(&self, takes: bool) {
        if takes {
            self.blocked.store(false, Ordering::Relaxed);
            // On HTTP/2 the bytes need not belong to an answer: they may answer a ping.
            if !self.multiplexed.load(Ordering::Relaxed) {
                self.progress();
            }
        } else if !self.blocked.swap(true, Ordering::Relaxed) && !self.has_unsent() {
            self.progress();
        }
    }

    fn progress(&self) {
        self.progress_us.store(self.now_us(), Ordering::Relaxed);
    }

    fn has_unsent(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) != 0
    }

    /// The time since the last request, if no request is in progress and no bytes are unsent.
    pub fn idle_for(&self) -> Option<Duration> {
        let idle = self.begun() == self.ended() && !self.has_unsent();
        (idle && !self.blocked.load(Ordering::Relaxed)).then(|| self.since(&self.used_us))
    }

    /// How long the client has read nothing although bytes wait for it.
    pub fn stalled_for(&self) -> Option<Duration> {
        let waits = self.has_unsent() || self.blocked.load(Ordering::Relaxed);
        waits.then(|| self.since(&self.progress_us))
    }

    /// How long the current answer has been sending. `None` on HTTP/2, where a connection sends
    /// several answers at a time: there the HTTP server times each stream.
    pub fn sending_for(&self) -> Option<Duration> {
        let one = !self.multiplexed.load(Ordering::Relaxed) && self.begun() != self.ended();
        let sending = one && self.answered_us.load(Ordering::Relaxed) != 0;
        sending.then(|| self.since(&self.answered_us))
    }

    /// The number of unsent bytes.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Requests that the connection closes.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Waits until [`Self::close`] is called.
    pub async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// Checks whether the connection may make another request.
    pub(crate) fn admit(&self) -> Result<(), NoRoom> {
        if self.lane == Lane::HealthOnly {
            return Err(NoRoom::Full);
        }
        self.check(0)
    }

    /// Checks whether an answer of this length fits into the bounds.
    pub(crate) fn check(&self, len: usize) -> Result<(), NoRoom> {
        let UnsentBounds {
            per_connection,
            in_all,
        } = self.all.bounds;
        let own = self.unsent.load(Ordering::Relaxed);
        if own != 0 && per_connection <= own.saturating_add(len) {
            return Err(NoRoom::OfConnection);
        }
        let all = self.all.bytes.load(Ordering::Relaxed);
        if all != 0 && in_all <= all.saturating_add(len) {
            self.all.short.notify_one();
            return Err(NoRoom::InAll);
        }
        Ok(())
    }

    /// Counts bytes of an answer as unsent until the returned guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        if self.unsent.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.progress();
        }
        // Only the first part of an answer sets the time, so that it measures the whole answer.
        let now_us = self.now_us().max(1);
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        let _later_part = self.answered_us.compare_exchange(0, now_us, set, read);
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.metrics.unsent_more(bytes);
        Held {
            connection: Arc::clone(self),
            bytes,
        }
    }
}

/// RAII guard of a request in progress. Dropping it ends the request.
#[derive(Debug)]
pub struct UnderWay(Arc<Connection>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let connection = &self.0;
        connection
            .used_us
            .store(connection.now_us(), Ordering::Relaxed);
        connection.answered_us.store(0, Ordering::Relaxed);
        connection.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// RAII guard of unsent bytes. Dropping it subtracts them from the counts.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records that some of the bytes were sent.
    pub(crate) fn progress(&self) {
        self.connection.progress();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Connection { unsent, all, .. } = &*self.connection;
        unsent.fetch_sub(self.bytes, Ordering::Relaxed);
        all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        all.metrics.unsent_less(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(lane: Lane, count: usize) -> Vec<Arc<Connection>> {
        let bounds = UnsentBounds {
            per_connection: 100,
            in_all: 150,
        };
        let all = Arc::new(Unsent::new(bounds, Arc::default()));
        let one = || Connection::new(lane, Arc::default(), Arc::clone(&all));
        (0..count).map(|_| Arc::new(one())).collect()
    }

    #[test]
    fn a_connection_and_all_connections_stay_within_their_bounds() {
        let open = connections(Lane::Usual, 3);
        let long = open[0].hold(1_000);
        assert_eq!(open[0].admit(), Err(NoRoom::OfConnection));
        assert_eq!(open[1].admit(), Err(NoRoom::InAll));
        drop(long);
        let first = open[0].hold(99);
        assert_eq!(open[0].admit(), Ok(()));
        assert_eq!(open[0].check(1), Err(NoRoom::OfConnection));
        assert_eq!(open[1].check(50), Ok(()));
        let second = open[1].hold(50);
        assert_eq!(open[2].check(1), Err(NoRoom::InAll));
        drop((first, second));
        assert_eq!(open[2].check(99), Ok(()));
    }

    #[test]
    fn a_connection_is_idle_before_a_request_and_after_its_answer_is_sent() {
        let open = connections(Lane::Usual, 1);
        let connection = &open[0];
        assert!(connection.idle_for().is_some());
        let under_way = connection.begin(false);
        assert_eq!(connection.idle_for(), None);
        assert_eq!(connection.stalled_for(), None);
        let held = connection.hold(1);
        assert!(connection.sending_for().is_some());
        drop(under_way);
        assert_eq!(connection.idle_for(), None);
        assert!(connection.stalled_for().is_some());
        drop(held);
        assert!(connection.idle_for().is_some());
        assert_eq!(connection.sending_for(), None);
        connection.socket(false);
        assert_eq!(connection.idle_for(), None);
        connection.socket(true);
        assert!(connection.idle_for().is_some());
    }

    #[test]
    fn a_connection_beyond_the_maximum_may_check_only_health() {
        let open = connections(Lane::HealthOnly, 1);
        assert_eq!(open[0].admit(), Err(NoRoom::Full));
    }
}
