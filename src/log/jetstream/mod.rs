//! The log on a NATS `JetStream` stream, whose sequence numbers are the positions.
//!
//! Always: no `Nats-Msg-Id` on what we publish, no consumer that the server must remember, and no
//! stream created anew under a ledger that has read from it. What an acknowledgement is worth when
//! power fails is the server's `sync_interval` and the stream's replicas to decide.

mod batch;
mod config;
mod consume;
mod get;
mod guarded;
mod inspect;
mod link;
mod message;
mod open;
mod pace;
mod publish;
mod pull;
mod sent;
mod taking;
mod topology;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use config::{Credentials, JetStreamConfig};
pub use inspect::{InspectedStream, Inspection, inspect};

use crate::domain::Position;
use crate::log::{Appended, EventLog, Guard, LogError, NewRecord, Notice, Record, Tail};
use consume::JetStreamTail;
use link::Link;

/// The log on a stream.
pub struct JetStreamLog {
    shared: Arc<Shared>,
}

/// What the log and its tails have in common.
struct Shared {
    stream: String,
    /// A subject of the stream, to ask with whether it takes writes.
    probe_subject: String,
    created_ns: i128,
    writes: Link,
    /// A connection of its own: a message that breaks it must not take acknowledgements with it,
    /// and a backfill must not stand before them.
    reads: Link,
    head: AtomicU64,
}

impl JetStreamLog {
    /// Connects, and creates or checks the stream.
    ///
    /// `expect_existing` says that this ledger has read from the stream: then it must exist.
    pub async fn connect(
        config: &JetStreamConfig,
        expect_existing: bool,
    ) -> Result<Self, LogError> {
        // Boxed: what the client library needs to connect is several kilobytes.
        let writes = Box::pin(Link::connect(config, "session-ledger")).await?;
        let reads = Box::pin(Link::connect(config, "session-ledger reads")).await?;
        if let Some(too_small) = writes.too_small() {
            tracing::warn!("{too_small}");
        }
        Self::open(writes, reads, config, expect_existing).await
    }

    /// Opens the stream of the keys, and creates it if need be, over the same connections: closing
    /// either log closes both.
    pub async fn connect_admin(&self, config: &JetStreamConfig) -> Result<Self, LogError> {
        let (writes, reads) = (self.shared.writes.clone(), self.shared.reads.clone());
        Self::open(writes, reads, &config.admin(), false).await
    }

    async fn open(
        writes: Link,
        reads: Link,
        config: &JetStreamConfig,
        expect_existing: bool,
    ) -> Result<Self, LogError> {
        // Boxed for the same reason.
        let state = Box::pin(topology::ensure(&writes, config, expect_existing)).await?;
        let shared = Shared {
            stream: config.stream.clone(),
            probe_subject: config.probe_subject(),
            created_ns: state.created_ns,
            writes,
            reads,
            head: AtomicU64::new(state.head.get()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether the server asks who we are. If not, anyone who reaches it can write events.
    pub fn is_guarded(&self) -> bool {
        self.shared.writes.client.server_info().auth_required
    }

    /// Closes both connections. Appends under way may end unconfirmed.
    pub async fn close(&self) {
        for link in [&self.shared.reads, &self.shared.writes] {
            if let Err(error) = link.client.drain().await {
                tracing::debug!(error = %error, "the connection was closed already");
            }
        }
    }
}

impl Shared {
    fn known_head(&self) -> Position {
        Position::new(self.head.load(Ordering::Acquire))
    }

    fn note_head(&self, head: Position) {
        self.head.fetch_max(head.get(), Ordering::AcqRel);
    }

    fn note_appended(&self, appended: &Appended) {
        if let Some(last) = appended.iter().flatten().max() {
            self.note_head(*last);
        }
    }

    async fn head(&self) -> Result<Position, LogError> {
        let state = topology::state(&self.writes, &self.stream).await?;
        let head = state.ok_or_else(|| topology::missing(&self.stream))?.head;
        self.note_head(head);
        Ok(head)
    }
}

impl EventLog for JetStreamLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        async move {
            let shared = &self.shared;
            let appended = publish::append(&shared.writes, &shared.stream, &records).await;
            shared.note_appended(&appended);
            appended
        }
        .boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        async move {
            let shared = &self.shared;
            let appended = guarded::append(&shared.writes, &shared.stream, &records, guard).await;
            shared.note_appended(&appended);
            appended
        }
        .boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        get::get(&self.shared.writes, &self.shared.stream, positions).boxed()
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        async move {
            let head = match after {
                // Every stream has a start, so there is nothing to ask.
                Position::ZERO => Position::ZERO,
                _ => self.shared.head().await?,
            };
            if head < after {
                return Err(LogError::Truncated { head, after });
            }
            Ok(Box::new(JetStreamTail::new(Arc::clone(&self.shared), after)) as Box<dyn Tail>)
        }
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.shared.head().boxed()
    }

    fn is_available(&self) -> bool {
        self.shared.writes.is_connected() && self.shared.reads.is_connected()
    }

    fn known_head(&self) -> Position {
        self.shared.known_head()
    }

    fn refuses_writes(&self) -> Option<String> {
        self.shared.writes.taking.refusal()
    }

    fn watch(&self) -> BoxFuture<'_, ()> {
        taking::watch(&self.shared.writes, &self.shared.probe_subject).boxed()
    }

    fn notify(&self, notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        async move {
            let client = &self.shared.writes.client;
            let mut all_sent = true;
            for Notice { subject, payload } in notices {
                if let Err(error) = client.publish(subject, payload.into()).await {
                    tracing::debug!(error = %error, "a notice was not sent");
                    all_sent = false;
                }
            }
            all_sent
        }
        .boxed()
    }
}
