//! A connection to the server, with a generation that increments on every reconnect.
//!
//! The client library reconnects by itself, forever. It does not say which answers were lost with the
//! old connection. Callers compare generations to find out. `pulse` finds out whether the server at the
//! other end reaches the leader of the stream.

use std::future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, Event};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::config::JetStreamConfig;
use super::denied::Denials;
use super::login;
use super::servers::NextServer;
use super::speed::Speed;
use super::writable::Writable;
use crate::domain::backoff;
use crate::domain::limits::{
    LOG_APPEND_WAIT_MS, LOG_BATCHES_OPEN_MAX, LOG_CLOSE_WAIT_MS, LOG_CONNECT_WAIT_MS,
    LOG_MESSAGE_BYTES_MAX, LOG_PING_MS, LOG_PUBLISH_IN_FLIGHT_MAX, LOG_TURN_WAIT_MS,
    LOG_UNACKNOWLEDGED_MAX,
};
use crate::log::LogError;

/// The oldest server that keeps the log's promises. Older ones lose or reorder batches.
const SERVER_VERSION_MIN: Version = [2, 12, 3];
/// The oldest server on which atomic batches are faster. Older ones sync every message of a batch twice,
/// if they are set to sync.
const BATCHES_VERSION_MIN: Version = [2, 15, 0];
/// The longest time that a request to the server may take.
const REQUEST_WAIT: Duration = Duration::from_millis(LOG_APPEND_WAIT_MS);
/// The first and the longest pause between two attempts to reconnect.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(4);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The longest time that closing may take.
const CLOSE_WAIT: Duration = Duration::from_millis(LOG_CLOSE_WAIT_MS);

type Version = [u64; 3];

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LinkState {
    /// Increments on every reconnect.
    pub(super) generation: u64,
    pub(super) connected: bool,
    /// Whether the leader of the stream does not answer over this connection.
    pub(super) silent: bool,
    /// Increments when the stream has another leader, or when its leader answers again. A leader
    /// acknowledges no message that was sent to another one, or during a silence.
    pub(super) term: u64,
    /// How often this process has moved the connection to another server.
    pub(super) moves: u64,
}

impl LinkState {
    /// Whether requests can be answered.
    fn is_usable(&self) -> bool {
        self.connected && !self.silent
    }
}

/// A connection. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    /// A permit for each atomic batch that may be open; `None` if the server is too old for batches.
    pub(super) batches: Option<Arc<Semaphore>>,
    /// A permit for each message that may be in flight.
    in_flight: Arc<Semaphore>,
    pub(super) speed: Arc<Speed>,
    pub(super) writable: Arc<Writable>,
    pub(super) denials: Denials,
    closed: CancellationToken,
    state: watch::Receiver<LinkState>,
    /// The callback of the client library has the only strong reference. See [`Link::is_dead`].
    changes: Weak<watch::Sender<LinkState>>,
    /// When the leader of the stream last answered.
    heard: Arc<watch::Sender<Instant>>,
}

impl Link {
    /// Connects, and checks that the server is recent enough.
    pub(super) async fn connect(config: &JetStreamConfig, name: &str) -> Result<Self, LogError> {
        let (sender, mut state) = watch::channel(LinkState::default());
        let sender = Arc::new(sender);
        let changes = Arc::downgrade(&sender);
        let next_server = NextServer::default();
        let denials = Denials::new();
        let noted = denials.clone();
        let options = login::options(config)
            .await?
            .name(name)
            .custom_inbox_prefix(&config.inbox_prefix)
            .request_timeout(Some(REQUEST_WAIT))
            // A server that hangs keeps its connections open. Only a missing pong shows that it hangs.
            .ping_interval(Duration::from_millis(LOG_PING_MS))
            .connection_timeout(Duration::from_millis(LOG_CONNECT_WAIT_MS))
            .reconnect_delay_callback(reconnect_pause)
            .reconnect_to_server_callback(move |servers, _last| {
                future::ready(next_server.choose(&servers))
            })
            .event_callback(move |event| {
                update(&sender, &event);
                if let Event::ServerError(error) = &event {
                    noted.note(error);
                }
                future::ready(())
            });
        let client = options
            .connect(&config.urls)
            .await
            .map_err(|error| LogError::unavailable(login::refused(config, error)))?;
        let version = check_version(&client.server_info().version)?;
        let batches = (BATCHES_VERSION_MIN <= version)
            .then(|| Arc::new(Semaphore::new(LOG_BATCHES_OPEN_MAX)));
        let context = ContextBuilder::new()
            .timeout(REQUEST_WAIT)
            .max_ack_inflight(LOG_UNACKNOWLEDGED_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        // The event of the first connection comes late. Without this wait, it would look like a
        // reconnect.
        let first = state.wait_for(|state| state.connected).await.map(|_| ());
        first.map_err(|_closed| LogError::closed())?;
        Ok(Self {
            client,
            context,
            batches,
            in_flight: Arc::new(Semaphore::new(LOG_UNACKNOWLEDGED_MAX)),
            speed: Arc::default(),
            writable: Arc::default(),
            denials,
            closed: CancellationToken::new(),
            state,
            changes,
            heard: Arc::new(watch::Sender::new(Instant::now())),
        })
    }

    /// The largest message that the server and the stream accept, with its headers, in bytes.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.client.max_payload().min(LOG_MESSAGE_BYTES_MAX)
    }

    /// Returns a warning if the server accepts only smaller messages than the ledger needs.
    pub(super) fn too_small(&self) -> Option<String> {
        let max_payload = self.client.max_payload();
        (max_payload < LOG_MESSAGE_BYTES_MAX).then(|| {
            format!(
                "NATS accepts messages of at most {max_payload} bytes, so larger events are refused: set \
                 max_payload in its configuration to {LOG_MESSAGE_BYTES_MAX} or more"
            )
        })
    }

    /// Waits until an append of this many records may begin; `None` if that takes too long. The appends
    /// take turns. Each holds its permits until it ends.
    pub(super) async fn admit(&self, records: usize) -> Option<SemaphorePermit<'_>> {
        let permits = u32::try_from(records.min(LOG_PUBLISH_IN_FLIGHT_MAX)).ok()?;
        let turn = self.in_flight.acquire_many(permits);
        let wait = Duration::from_millis(LOG_TURN_WAIT_MS);
        timeout(wait, turn).await.ok()?.ok()
    }

    /// Whether there is a connection now, over which the leader of the stream answers.
    pub(super) fn is_connected(&self) -> bool {
        !self.is_dead() && self.require_open().is_ok() && self.state.borrow().is_usable()
    }

    /// The state of the connection now.
    pub(super) fn state(&self) -> LinkState {
        *self.state.borrow()
    }

    /// Changes the state of the connection.
    pub(super) fn change(&self, change: impl FnOnce(&mut LinkState)) {
        if let Some(state) = self.changes.upgrade() {
            state.send_modify(change);
        }
    }

    /// Notes that the leader of the stream has answered.
    pub(super) fn hear(&self) {
        self.heard.send_replace(Instant::now());
    }

    /// When the leader of the stream last answered.
    pub(super) fn heard_at(&self) -> Instant {
        *self.heard.borrow()
    }

    /// Connects to another server, if there is one.
    pub(super) async fn move_on(&self) {
        let servers = self.client.server_pool().await;
        if servers.is_ok_and(|servers| 1 < servers.len()) {
            self.change(|state| state.moves += 1);
            if let Err(error) = self.client.force_reconnect().await {
                tracing::debug!("the connection was not moved: {error}");
            }
        }
    }

    /// Whether the task of the client library has died. Then nothing connects again.
    pub(super) fn is_dead(&self) -> bool {
        // The library drops the callback, and with it the sender, when its tasks end.
        self.require_open().is_ok() && self.state.has_changed().is_err()
    }

    /// Closes the connection and does not reconnect. Waits until the server has everything that was
    /// published.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        let LinkState {
            generation,
            connected,
            ..
        } = self.state();
        if let Err(error) = self.client.drain().await {
            tracing::debug!("the connection was closed already: {error}");
        }
        // The client library takes the request to close only while it is connected.
        if connected && timeout(CLOSE_WAIT, self.lost(generation)).await.is_err() {
            tracing::debug!("the connection did not close in time");
        }
    }

    /// Fails as `Unavailable` once the connection was closed.
    pub(super) fn require_open(&self) -> Result<(), LogError> {
        if self.closed.is_cancelled() {
            return Err(LogError::closed());
        }
        Ok(())
    }

    /// Waits until there is a connection over which the leader of the stream answers. Fails as
    /// `Unavailable` once it was closed.
    pub(super) async fn connected(&self) -> Result<LinkState, LogError> {
        // While the server is away, the state does not change when the connection is closed.
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(LogError::closed()),
            connected = self.wait(LinkState::is_usable) => connected,
        }
    }

    /// Waits until the connection of a generation is lost or closed.
    pub(super) async fn lost(&self, generation: u64) {
        let gone = |state: &LinkState| state.generation != generation || !state.connected;
        drop(self.wait(gone).await);
    }

    /// Waits until the client has reconnected, or the stream has another leader, since a state. Answers
    /// to what was sent before are then lost.
    pub(super) async fn replaced(&self, since: LinkState) {
        let before = (since.generation, since.term);
        let replaced = |state: &LinkState| (state.generation, state.term) != before;
        drop(self.wait(replaced).await);
    }

    async fn wait(&self, until: impl FnMut(&LinkState) -> bool) -> Result<LinkState, LogError> {
        let mut state = self.state.clone();
        let reached = state.wait_for(until).await.map(|state| *state);
        reached.map_err(|_closed| LogError::closed())
    }
}

fn update(state: &watch::Sender<LinkState>, event: &Event) {
    match event {
        Event::Connected => state.send_modify(|state| {
            state.generation += 1;
            state.connected = true;
        }),
        Event::Disconnected | Event::Closed => state.send_modify(|state| state.connected = false),
        // This would be a bug: a reader asks for no more messages than its channel holds.
        Event::SlowConsumer(_) => tracing::warn!("NATS messages were dropped; reading them again"),
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS reports an error"),
        Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {}
    }
}

/// Returns the pause before an attempt to connect: zero before the first.
fn reconnect_pause(attempts: usize) -> Duration {
    match u32::try_from(attempts).unwrap_or(u32::MAX).checked_sub(2) {
        None => Duration::ZERO,
        Some(retries) => backoff(retries, RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX),
    }
}

fn check_version(version: &str) -> Result<Version, LogError> {
    let numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    let mut numbers = numbers.map(|number| number.parse().unwrap_or(0));
    let actual = [(); 3].map(|()| numbers.next().unwrap_or(0));
    if actual < SERVER_VERSION_MIN {
        let [major, minor, patch] = SERVER_VERSION_MIN;
        return Err(LogError::misconfigured(format!(
            "nats-server has version {version}; install {major}.{minor}.{patch} or later"
        )));
    }
    Ok(actual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WithCauses;

    #[test]
    fn servers_older_than_2_12_3_are_refused() {
        for recent in [
            "2.12.3",
            "2.12.10",
            "2.15.1",
            "v2.13.0",
            "3.0.0",
            "2.15.0-RC.1",
        ] {
            assert!(check_version(recent).is_ok(), "{recent}");
        }
        for old in ["2.12.2", "2.9.10", "1.99.99", "2.12", "", "dev"] {
            let error = check_version(old).unwrap_err();
            let text = WithCauses(&error).to_string();
            assert!(text.contains("2.12.3 or later"), "{text}");
        }
    }

    #[test]
    fn the_pause_between_attempts_to_connect_is_bounded() {
        assert_eq!(reconnect_pause(1), Duration::ZERO);
        assert_eq!(reconnect_pause(2), Duration::from_millis(4));
        assert_eq!(reconnect_pause(usize::MAX), RECONNECT_PAUSE_MAX);
    }
}
