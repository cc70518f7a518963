//! Bounds the number of connections, and closes some if the server is full.
//!
//! If there is no place for a new connection, the one that has been idle longest is closed. If none
//! is idle, the new connection gets one of a few extra places. There the server answers health
//! checks, and answers every other request with an error that says that the server is full.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{interval, timeout};

use super::Patience;
use crate::domain::limits::{
    CONNECTION_ROOM_WAIT_MS, CONNECTION_STALLED_MS, CONNECTIONS_CLOSED_AT_ONCE,
    CONNECTIONS_HEALTH_MAX, CONNECTIONS_MAX, FULL_WARNING_MS, UNSENT_LARGE_BYTES,
};
use crate::http::{BodyPatience, Connection, Lane, Unsent, UnsentBounds};
use crate::metrics::Metrics;

/// When the server is full, it closes one idle connection at a time per this many places.
const CONNECTIONS_PER_CLOSED: usize = 512;

/// How much a server holds at one time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of usual connections.
    pub connections: usize,
    /// The number of further connections, for health checks.
    pub health: usize,
    /// The bytes of answers that are not sent yet.
    pub unsent: UnsentBounds,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            health: CONNECTIONS_HEALTH_MAX,
            unsent: UnsentBounds::default(),
        }
    }
}

/// The connections of all addresses of a server.
#[derive(Debug)]
pub struct Room {
    bounds: Bounds,
    usual: Arc<Semaphore>,
    health: Arc<Semaphore>,
    open: Mutex<Open>,
    unsent: Arc<Unsent>,
    metrics: Arc<Metrics>,
    started: Instant,
    /// The next warning that the server is full is logged no earlier than this, in milliseconds
    /// since `started`.
    silent_until_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// The place of a connection. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) connection: Arc<Connection>,
    room: Arc<Room>,
    number: u64,
    #[expect(dead_code, reason = "only its drop has an effect")]
    permit: OwnedSemaphorePermit,
}

/// A connection that rests: it has no buffers. Dropping it ends the rest.
#[derive(Debug)]
pub(super) struct Resting<'a>(&'a Metrics);

impl Room {
    /// Makes a room without connections.
    pub fn new(bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            usual: Arc::new(Semaphore::new(bounds.connections)),
            health: Arc::new(Semaphore::new(bounds.health)),
            open: Mutex::default(),
            unsent: Arc::new(Unsent::new(bounds.unsent, Arc::clone(&metrics))),
            metrics,
            started: Instant::now(),
            silent_until_ms: AtomicU64::new(0),
        }
    }

    /// How many connections the server accepts at one time, including those that wait for a place.
    pub(super) fn accepted_max(&self) -> usize {
        self.bounds.connections + 2 * self.bounds.health.max(1)
    }

    /// Counts a connection as resting.
    pub(super) fn rest(&self) -> Resting<'_> {
        self.metrics.connection_rests();
        Resting(&self.metrics)
    }

    /// Counts a TLS handshake that failed.
    pub(super) fn handshake_failed(&self, reason: &'static str) {
        self.metrics.tls_handshake_failed(reason);
    }

    /// Returns a place for a new connection. `None` if there is none and none becomes free in time.
    pub(super) async fn enter(self: &Arc<Self>, bodies: &Arc<BodyPatience>) -> Option<Place> {
        for (lane, places) in [(Lane::Usual, &self.usual), (Lane::HealthOnly, &self.health)] {
            if let Some(permit) = self.permit(lane, places).await {
                return Some(self.place(lane, permit, bodies));
            }
        }
        self.metrics.connection_closed("full");
        None
    }

    async fn permit(&self, lane: Lane, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            return Some(permit);
        }
        let leaving = self.make_way(lane);
        self.warn(lane, leaving);
        if leaving == 0 {
            return None;
        }
        let at_most = Duration::from_millis(CONNECTION_ROOM_WAIT_MS);
        let freed = timeout(at_most, Arc::clone(places).acquire_owned()).await;
        freed.ok().and_then(Result::ok)
    }

    fn place(
        self: &Arc<Self>,
        lane: Lane,
        permit: OwnedSemaphorePermit,
        bodies: &Arc<BodyPatience>,
    ) -> Place {
        let unsent = Arc::clone(&self.unsent);
        let connection = Arc::new(Connection::new(lane, Arc::clone(bodies), unsent));
        self.metrics.connection_opened();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, Arc::clone(&connection));
        Place {
            connection,
            room: Arc::clone(self),
            number,
            permit,
        }
    }

    /// Returns the `count` connections with the longest times, in no order. Ignores connections
    /// that are closing, and those for which `time` returns `None`.
    fn longest(
        &self,
        count: usize,
        time: impl Fn(&Connection) -> Option<Duration>,
    ) -> Vec<Arc<Connection>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let staying = open.connections.values().filter(|it| !it.is_closing());
        let timed = staying.filter_map(|it| Some((Reverse(time(it)?), it)));
        let mut timed: Vec<_> = timed.collect();
        if count < timed.len() {
            timed.select_nth_unstable_by_key(count, |(time, _)| *time);
            timed.truncate(count);
        }
        timed.into_iter().map(|(_, it)| Arc::clone(it)).collect()
    }

    /// Closes the connections that have been idle longest, or else the one whose client has read
    /// nothing for longest. Returns how many it closes.
    fn make_way(&self, lane: Lane) -> usize {
        let share = self.bounds.connections / CONNECTIONS_PER_CLOSED;
        let idle = self.longest(share.clamp(1, CONNECTIONS_CLOSED_AT_ONCE), |it| {
            it.idle_for().filter(|_| it.lane() == lane)
        });
        if idle.is_empty() {
            return self.end_stalled(|it| it.lane() == lane);
        }
        for connection in &idle {
            self.end(connection, "idle");
        }
        idle.len()
    }

    /// Closes the connection whose client has read nothing for longest, if that is long enough.
    /// Returns how many it closes.
    fn end_stalled(&self, which: impl Fn(&Connection) -> bool) -> usize {
        let at_least = Duration::from_millis(CONNECTION_STALLED_MS);
        let stalled = self.longest(1, |it| {
            let stalled = it.stalled_for().filter(|time| at_least <= *time);
            stalled.filter(|_| which(it))
        });
        for connection in &stalled {
            self.end(connection, "stalled");
        }
        stalled.len()
    }

    /// Closes a connection to free memory for answers: the one whose client has read nothing for
    /// longest, or else the one with the most unsent bytes. The second case is a client that reads
    /// a little from time to time.
    fn make_room(&self) {
        if self.end_stalled(|_| true) != 0 {
            return;
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let staying = open.connections.values().filter(|it| !it.is_closing());
        let large = staying.filter(|it| UNSENT_LARGE_BYTES <= it.unsent_bytes());
        if let Some(connection) = large.max_by_key(|it| it.unsent_bytes()) {
            self.end(connection, "large");
        }
    }

    fn end(&self, connection: &Connection, reason: &'static str) {
        self.metrics.connection_closed(reason);
        connection.close();
    }

    fn warn(&self, lane: Lane, leaving: usize) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = now_ms.saturating_add(FULL_WARNING_MS);
        let allowed = |silent: u64| (silent <= now_ms).then_some(until);
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        if self
            .silent_until_ms
            .fetch_update(set, read, allowed)
            .is_err()
        {
            return;
        }
        let connections = self.bounds.connections;
        match (lane, leaving) {
            (Lane::Usual, 0) => tracing::warn!(
                connections,
                "the server is full: all of its {connections} connections are in use; it answers \
                 requests on new ones with an error"
            ),
            (Lane::Usual, _) => tracing::warn!(
                connections,
                "the server is full: it has {connections} connections; it closes the ones that have \
                 been idle longest to make room for new ones"
            ),
            (Lane::HealthOnly, _) => tracing::warn!(
                connections,
                "the server is full: all of its {connections} connections are in use, and so are \
                 the places for health checks; it closes connections without an answer"
            ),
        }
    }

    /// Closes connections whose clients read too slowly. Never returns.
    pub(super) async fn watch(&self, patience: &Patience) -> std::convert::Infallible {
        let mut looks = interval(patience.look());
        loop {
            tokio::select! {
                _now = looks.tick() => self.look(patience),
                () = self.unsent.is_short() => self.make_room(),
            }
        }
    }

    fn look(&self, patience: &Patience) {
        let beyond = |time: Option<Duration>, bound: Duration| time.is_some_and(|it| bound <= it);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in open.connections.values().filter(|it| !it.is_closing()) {
            if beyond(connection.stalled_for(), patience.write) {
                self.end(connection, "stalled");
            } else if beyond(connection.sending_for(), patience.answer) {
                self.end(connection, "slow");
            }
        }
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.connection_wakes();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .room
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.connections.remove(&self.number);
        self.room.metrics.connection_ended();
    }
}
