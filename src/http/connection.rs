//! A connection as its requests see it: how much of its answers is made and not sent, and since when.
//!
//! An answer costs memory from when it is made until the socket has taken it, and how long that
//! takes is the client's choice. So the bytes are counted, for each connection and for all
//! together, and a request beyond the bound is refused before anything is done for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{
    REQUEST_BODY_WAIT_MS, UNSENT_BYTES_MAX, UNSENT_PER_CONNECTION_BYTES_MAX,
};
use crate::metrics::Metrics;

/// How long a body may take. A [`Connection`] says it to its requests.
#[derive(Debug, Clone)]
pub struct BodyPatience {
    /// From the first byte that is waited for to the last.
    pub at_most: Duration,
    /// Ends the wait early: the server is stopping.
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

/// How many bytes of answers may be made and not sent.
#[derive(Debug, Clone, Copy)]
pub struct UnsentBounds {
    /// Of one connection. An answer that is alone on its connection may be longer.
    pub per_connection: usize,
    /// Of all connections.
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

/// What is made and not sent, of all connections.
#[derive(Debug)]
pub struct Unsent {
    bounds: UnsentBounds,
    bytes: AtomicUsize,
    /// Told when a request is refused because of what all connections hold.
    short: Notify,
    metrics: Arc<Metrics>,
}

impl Unsent {
    /// Nothing yet.
    pub fn new(bounds: UnsentBounds, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            bytes: AtomicUsize::new(0),
            short: Notify::new(),
            metrics,
        }
    }

    /// Waits until a request is refused because of what all connections hold.
    pub async fn is_short(&self) {
        self.short.notified().await;
    }
}

/// What a connection may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Everything.
    Usual,
    /// Whether the server is alive and ready: it has no room for more.
    HealthOnly,
}

/// Why a request is refused before anything is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The connection has a place for questions about health only.
    Full,
    /// Its client does not read.
    OfConnection,
    /// The clients together do not read.
    InAll,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    lane: Lane,
    bodies: Arc<BodyPatience>,
    all: Arc<Unsent>,
    /// What the times below are counted from.
    opened: Instant,
    begun: AtomicU64,
    ended: AtomicU64,
    unsent: AtomicUsize,
    /// When a request last began or ended, in microseconds.
    used_us: AtomicU64,
    /// When something of an answer was last sent, or the first unsent one was made.
    progress_us: AtomicU64,
    /// When the latest answer was made.
    answered_us: AtomicU64,
    /// The socket does not take what it is given.
    blocked: AtomicBool,
    /// The client speaks HTTP/2.
    multiplexed: AtomicBool,
    close: CancellationToken,
}

impl Connection {
    /// A connection that was just accepted.
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

    /// What it may ask.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// How long its requests' bodies may take.
    pub(crate) fn bodies(&self) -> &Arc<BodyPatience> {
        &self.bodies
    }

    /// A request begins; it is under way until what is returned is dropped.
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

    /// Whether the socket takes what it is given.
    pub fn socket(&self, takes: bool) {
        if takes {
            self.blocked.store(false, Ordering::Relaxed);
            // On HTTP/2 it may be anything, such as the answer to a ping.
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

    /// How long nobody has asked for anything, if nothing is under way.
    pub fn idle_for(&self) -> Option<Duration> {
        let idle = self.begun() == self.ended() && !self.has_unsent();
        (idle && !self.blocked.load(Ordering::Relaxed)).then(|| self.since(&self.used_us))
    }

    /// How long its client has read nothing of what there is for it.
    pub fn stalled_for(&self) -> Option<Duration> {
        let waits = self.has_unsent() || self.blocked.load(Ordering::Relaxed);
        waits.then(|| self.since(&self.progress_us))
    }

    /// How long the one answer that it sends has taken. Answers of HTTP/2 are timed one by one.
    pub fn sending_for(&self) -> Option<Duration> {
        let one = !self.multiplexed.load(Ordering::Relaxed) && self.begun() != self.ended();
        let sending = one && self.answered_us.load(Ordering::Relaxed) != 0;
        sending.then(|| self.since(&self.answered_us))
    }

    /// How many bytes wait for its client.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Asks for its end.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Whether its end was asked for.
    pub fn is_closing(&self) -> bool {
        self.close.is_cancelled()
    }

    /// Waits until its end is asked for.
    pub async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// Whether there is room for the answer to one more request.
    pub(crate) fn admit(&self) -> Result<(), NoRoom> {
        if self.lane == Lane::HealthOnly {
            return Err(NoRoom::Full);
        }
        self.check(0)
    }

    /// Whether an answer of this length may be kept until it is sent.
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

    /// Counts an answer, or a part of one, until what is returned is dropped.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        if self.unsent.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.progress();
        }
        // The first part of an answer counts: its time is that of the whole.
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

/// A request that has begun. It ends when this is dropped.
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

/// Bytes that are counted.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A part of them was sent.
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
    fn a_connection_and_all_together_hold_no_more_than_their_bounds() {
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
    fn a_connection_is_idle_until_a_request_begins_and_once_its_answer_is_sent() {
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
    fn a_connection_beyond_the_room_may_ask_about_health_only() {
        let open = connections(Lane::HealthOnly, 1);
        assert_eq!(open[0].admit(), Err(NoRoom::Full));
    }
}
