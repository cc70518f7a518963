//! A connection to the server, and the knowledge of when it broke.
//!
//! The client library reconnects by itself, for ever. What it does not say is which answers a lost
//! connection took with it, so every connection has a generation that others compare.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::{Semaphore, watch};

use super::config::{Credentials, JetStreamConfig};
use super::pace::Pace;
use super::taking::Taking;
use crate::domain::backoff;
use crate::domain::limits::{
    LOG_APPEND_WAIT_MS, LOG_BATCHES_OPEN_MAX, LOG_MESSAGE_BYTES_MAX, LOG_PING_MS,
};
use crate::log::LogError;

/// The oldest server that keeps the promises: its predecessors lose or reorder batches.
const SERVER_VERSION_MIN: Version = [2, 12, 3];
/// The oldest server on which atomic batches pay: its predecessors sync every message of a batch,
/// twice, where they sync at all.
const BATCHES_VERSION_MIN: Version = [2, 15, 0];
/// How long a request to the server may take.
const REQUEST_WAIT: Duration = Duration::from_millis(LOG_APPEND_WAIT_MS);
/// The first and the longest pause between two attempts to reconnect.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(4);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Most unacknowledged messages of all appends together. Stays under the 10,000 pending messages
/// from which on the server refuses more.
const UNACKNOWLEDGED_MAX: usize = 8192;

type Version = [u64; 3];

/// Whether there is a connection, and the how-manyeth it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LinkState {
    pub(super) generation: u64,
    pub(super) connected: bool,
}

/// A connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    /// Atomic batches that may still be opened; `None` if the server is too old for any.
    pub(super) batches: Option<Arc<Semaphore>>,
    pub(super) pace: Arc<Pace>,
    pub(super) taking: Arc<Taking>,
    state: watch::Receiver<LinkState>,
}

impl Link {
    /// Connects, and checks that the server is recent enough.
    pub(super) async fn connect(config: &JetStreamConfig, name: &str) -> Result<Self, LogError> {
        let (sender, mut state) = watch::channel(LinkState::default());
        let options = options(config)
            .await?
            .name(name)
            .custom_inbox_prefix(&config.inbox_prefix)
            .request_timeout(Some(REQUEST_WAIT))
            // A server that hangs keeps its connections: only its silence tells.
            .ping_interval(Duration::from_millis(LOG_PING_MS))
            .reconnect_delay_callback(reconnect_pause)
            .event_callback(move |event| {
                note(&sender, &event);
                future::ready(())
            });
        let client = options
            .connect(&config.urls)
            .await
            .map_err(|error| LogError::Unavailable(format!("cannot connect to NATS: {error}")))?;
        let version = check_version(&client.server_info().version)?;
        let batches = (BATCHES_VERSION_MIN <= version)
            .then(|| Arc::new(Semaphore::new(LOG_BATCHES_OPEN_MAX)));
        let context = ContextBuilder::new()
            .timeout(REQUEST_WAIT)
            .max_ack_inflight(UNACKNOWLEDGED_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        // The event of the first connection comes late; seen after us it would look like a new one.
        let first = state.wait_for(|state| state.connected).await.map(|_| ());
        first.map_err(|_closed| closed())?;
        Ok(Self {
            client,
            context,
            batches,
            pace: Arc::default(),
            taking: Arc::default(),
            state,
        })
    }

    /// The largest message that the log takes, with its headers, in bytes.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.client.max_payload().min(LOG_MESSAGE_BYTES_MAX)
    }

    /// What is to be said of a server that takes smaller messages than the ledger needs.
    pub(super) fn too_small(&self) -> Option<String> {
        let max_payload = self.client.max_payload();
        (max_payload < LOG_MESSAGE_BYTES_MAX).then(|| {
            format!(
                "NATS takes messages of at most {max_payload} bytes, so larger events are refused: set \
                 max_payload in its configuration to {LOG_MESSAGE_BYTES_MAX} or more"
            )
        })
    }

    /// Whether there is a connection now.
    pub(super) fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }

    /// Waits until there is a connection. `Unavailable` once the client is closed for good.
    pub(super) async fn connected(&self) -> Result<LinkState, LogError> {
        self.wait(|state| state.connected).await
    }

    /// Waits until the connection of a generation is lost.
    pub(super) async fn lost(&self, generation: u64) {
        let gone = |state: &LinkState| state.generation != generation || !state.connected;
        // A client that is closed has lost its connection as well.
        drop(self.wait(gone).await);
    }

    /// Waits until there is a connection after that of a generation.
    pub(super) async fn replaced(&self, generation: u64) {
        drop(self.wait(|state| state.generation != generation).await);
    }

    async fn wait(&self, until: impl FnMut(&LinkState) -> bool) -> Result<LinkState, LogError> {
        let mut state = self.state.clone();
        let reached = state.wait_for(until).await.map(|state| *state);
        reached.map_err(|_closed| closed())
    }
}

fn closed() -> LogError {
    LogError::Unavailable("the connection was closed".to_owned())
}

fn note(state: &watch::Sender<LinkState>, event: &Event) {
    match event {
        Event::Connected => state.send_modify(|state| {
            state.generation += 1;
            state.connected = true;
        }),
        Event::Disconnected | Event::Closed => state.send_modify(|state| state.connected = false),
        // A reader that cannot keep up is a bug: it asks for no more than its channel holds.
        Event::SlowConsumer(_) => tracing::warn!("NATS messages were dropped, and are read again"),
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS reports an error"),
        Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {}
    }
}

async fn options(config: &JetStreamConfig) -> Result<ConnectOptions, LogError> {
    let options = ConnectOptions::new();
    Ok(match &config.credentials {
        Credentials::None => options,
        Credentials::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        Credentials::Token(token) => options.token(token.clone()),
        Credentials::File(path) => options.credentials_file(path).await.map_err(|error| {
            LogError::Misconfigured(format!(
                "cannot read the NATS credentials file {}: {error}",
                path.display()
            ))
        })?,
    })
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
        return Err(LogError::Misconfigured(format!(
            "nats-server is version {version}, and {major}.{minor}.{patch} or later is needed"
        )));
    }
    Ok(actual)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(error.to_string().contains("2.12.3 or later"), "{error}");
        }
    }

    #[test]
    fn the_pause_between_attempts_to_connect_is_bounded() {
        assert_eq!(reconnect_pause(1), Duration::ZERO);
        assert_eq!(reconnect_pause(2), Duration::from_millis(4));
        assert_eq!(reconnect_pause(usize::MAX), RECONNECT_PAUSE_MAX);
    }
}
