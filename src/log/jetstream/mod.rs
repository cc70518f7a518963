//! The log on a NATS `JetStream` stream, whose sequence numbers are the positions.
//!
//! Three rules hold in this module:
//!
//! - It sends no `Nats-Msg-Id`.
//! - It makes no durable consumers, which the server would have to store.
//! - It does not create the log's stream again for a ledger that has read from it.
//!
//! The server's `sync_interval` and the stream's replicas decide which acknowledged records survive a
//! power failure.

mod batch;
mod config;
mod consume;
mod denied;
mod get;
mod guarded;
mod inspect;
mod link;
mod login;
mod message;
mod open;
mod prepare;
mod publish;
mod pull;
mod pulse;
mod range;
mod reads;
mod recent;
mod sent;
mod servers;
mod settings;
mod speed;
mod topology;
mod writable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

pub use config::{Credentials, JetStreamConfig, NatsTls};
pub use inspect::{InspectedStream, Inspection, inspect};
pub use prepare::{Prepared, PreparedStream, prepare};

use crate::domain::limits::LOG_DOUBT_MS;
use crate::domain::{Position, WithCauses, backoff};
use crate::log::{Appended, EventLog, Guard, LogError, NewRecord, Notice, Record, Tail};
use consume::JetStreamTail;
use link::Link;
use reads::Reads;
use recent::{Recent, is_plain};

/// How long records must seem to be missing before that is an alarm.
const DOUBT_MAX: Duration = Duration::from_millis(LOG_DOUBT_MS);
/// The first and the longest pause before a server is asked again for records that seem to be missing.
const DOUBT_PAUSE_MIN: Duration = Duration::from_millis(20);
const DOUBT_PAUSE_MAX: Duration = Duration::from_millis(640);

/// The log on a stream.
pub struct JetStreamLog {
    shared: Arc<Shared>,
}

/// The connections, which two logs share. Each is separate from the others, so that a message that breaks one
/// of them costs the others nothing.
#[derive(Clone)]
struct Connections {
    /// For appends, and for records by position. Acknowledgements do not wait for long reads.
    writes: Link,
    /// For tails.
    reads: Reads,
    /// For many records at once.
    ranges: Reads,
}

/// What the log and its tails share.
struct Shared {
    stream: String,
    /// A subject of the stream, for probes.
    probe_subject: String,
    connections: Connections,
    recent: Recent,
    head: AtomicU64,
    /// Whether records that were read before seem to be missing.
    doubted: AtomicBool,
    /// Whether this log watches the connections, for itself and for the other log that shares them.
    takes_pulse: bool,
}

impl JetStreamLog {
    /// Connects. Creates the stream if the user may, or checks the one that exists.
    ///
    /// Set `expect_existing` if this ledger has read from the stream before. Then a missing stream is
    /// an error.
    pub async fn connect(
        config: &JetStreamConfig,
        expect_existing: bool,
    ) -> Result<Self, LogError> {
        // Boxed, because these futures take several kilobytes.
        let writes = Box::pin(Link::connect(config, "session-ledger")).await?;
        let reads = Box::pin(Reads::connect(config, "session-ledger reads")).await?;
        let ranges = Box::pin(Reads::connect(config, "session-ledger ranges")).await?;
        if let Some(too_small) = writes.too_small() {
            tracing::warn!("{too_small}");
        }
        let connections = Connections {
            writes,
            reads,
            ranges,
        };
        Self::open(connections, config, expect_existing, true).await
    }

    /// Opens the stream of API keys over the same connections. Creates it if it does not exist, unless
    /// `expect_existing` is set. Closing one of the two logs closes both.
    pub async fn connect_admin(
        &self,
        config: &JetStreamConfig,
        expect_existing: bool,
    ) -> Result<Self, LogError> {
        let connections = self.shared.connections.clone();
        Self::open(connections, &config.admin(), expect_existing, false).await
    }

    async fn open(
        connections: Connections,
        config: &JetStreamConfig,
        expect_existing: bool,
        takes_pulse: bool,
    ) -> Result<Self, LogError> {
        // Boxed, because this future takes several kilobytes.
        let state = Box::pin(topology::ensure(
            &connections.writes,
            config,
            expect_existing,
        ))
        .await?;
        let shared = Shared {
            stream: config.stream.clone(),
            probe_subject: config.probe_subject(),
            connections,
            recent: Recent::default(),
            head: AtomicU64::new(state.head.get()),
            doubted: AtomicBool::default(),
            takes_pulse,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether the server requires credentials. If not, anyone who can connect can write events.
    pub fn asks_for_credentials(&self) -> bool {
        self.shared
            .connections
            .writes
            .client
            .server_info()
            .auth_required
    }
}

impl Shared {
    fn known_head(&self) -> Position {
        Position::new(self.head.load(Ordering::Acquire))
    }

    fn doubt(&self, doubted: bool) {
        self.doubted.store(doubted, Ordering::Release);
    }

    fn note_head(&self, head: Position) {
        self.head.fetch_max(head.get(), Ordering::AcqRel);
    }

    fn note_appended(&self, appended: &Appended) {
        if let Some(last) = appended.iter().flatten().max() {
            self.note_head(*last);
        }
    }

    /// Returns records: those that a range has, and the others one by one.
    async fn get(&self, positions: &[Position]) -> Result<Vec<Record>, LogError> {
        self.connections.writes.require_open()?;
        let mut found = vec![None; positions.len()];
        if let Some((first, last)) = range::around(positions) {
            let records = range::read(self, positions, (first, last)).await;
            for (position, slot) in positions.iter().zip(&mut found) {
                let at = records.binary_search_by_key(position, |record| record.position);
                let record = at.ok().and_then(|at| records.get(at));
                *slot = record.filter(|record| is_plain(record)).cloned();
            }
        }
        let rest = missing(positions, &found);
        let rest = get::get(&self.connections.writes, &self.stream, rest).await?;
        Ok(fill(found, rest))
    }

    /// Returns records that this process, or an earlier one, has read before. If they seem to be missing,
    /// asks again for a while: a server of a cluster may lag behind another.
    async fn get_again(&self, positions: &[Position]) -> Result<Vec<Record>, LogError> {
        let (began, mut retries) = (Instant::now(), 0);
        loop {
            match self.get(positions).await {
                Err(error @ LogError::Truncated { .. }) if began.elapsed() < DOUBT_MAX => {
                    if retries == 0 {
                        tracing::warn!("{}; asking again", WithCauses(&error));
                        self.doubt(true);
                    }
                    sleep(backoff(retries, DOUBT_PAUSE_MIN, DOUBT_PAUSE_MAX)).await;
                    retries += 1;
                }
                Ok(records) => {
                    self.doubt(false);
                    return Ok(records);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.connections.writes.require_open()?;
        let state = topology::state(&self.connections.writes, &self.stream).await?;
        let head = state.ok_or_else(|| topology::missing(&self.stream))?.head;
        self.note_head(head);
        Ok(head)
    }
}

/// Puts the other records where none was found.
fn fill(found: Vec<Option<Record>>, rest: Vec<Record>) -> Vec<Record> {
    let (records, mut rest) = (found.into_iter(), rest.into_iter());
    records
        .filter_map(|found| found.or_else(|| rest.next()))
        .collect()
}

/// The positions whose records were not found.
fn missing(positions: &[Position], found: &[Option<Record>]) -> Vec<Position> {
    let pairs = positions.iter().zip(found);
    let missing = pairs.filter(|(_, record)| record.is_none());
    missing.map(|(position, _)| *position).collect()
}

impl EventLog for JetStreamLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        async move {
            let shared = &self.shared;
            let appended =
                publish::append(&shared.connections.writes, &shared.stream, &records).await;
            shared.note_appended(&appended);
            appended
        }
        .boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        async move {
            let shared = &self.shared;
            let appended =
                guarded::append(&shared.connections.writes, &shared.stream, &records, guard).await;
            shared.note_appended(&appended);
            appended
        }
        .boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            let were_seen = positions.iter().max() <= Some(&self.known_head());
            if were_seen {
                self.shared.get_again(&positions).await
            } else {
                self.shared.get(&positions).await
            }
        }
        .boxed()
    }

    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            self.shared.connections.writes.require_open()?;
            let found = self.shared.recent.find(&positions);
            let rest = match missing(&positions, &found) {
                none if none.is_empty() => Vec::new(),
                rest => self.get(rest).await?,
            };
            Ok(fill(found, rest))
        }
        .boxed()
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        async move {
            self.shared.connections.writes.require_open()?;
            let last = match after {
                // Every stream has a start.
                Position::ZERO => None,
                _ => self.shared.get_again(&[after]).await?.pop(),
            };
            self.shared.note_head(after);
            Ok(Box::new(JetStreamTail::new(Arc::clone(&self.shared), last)) as Box<dyn Tail>)
        }
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.shared.head().boxed()
    }

    fn is_available(&self) -> bool {
        let doubted = self.shared.doubted.load(Ordering::Acquire);
        !doubted
            && self.shared.connections.writes.is_connected()
            && self.shared.connections.reads.link().is_connected()
    }

    fn known_head(&self) -> Position {
        self.shared.known_head()
    }

    fn refuses_writes(&self) -> Option<String> {
        self.shared.connections.writes.writable.refusal()
    }

    fn watch(&self) -> BoxFuture<'_, LogError> {
        async move {
            let Shared {
                stream,
                probe_subject,
                connections:
                    Connections {
                        writes,
                        reads,
                        ranges,
                    },
                takes_pulse,
                ..
            } = &*self.shared;
            if !*takes_pulse {
                return writable::watch(writes, probe_subject).await;
            }
            let (error, (), (), ()) = tokio::join!(
                writable::watch(writes, probe_subject),
                pulse::watch_writes(writes, stream),
                pulse::watch_reads(reads, writes, stream),
                pulse::watch_reads(ranges, writes, stream),
            );
            error
        }
        .boxed()
    }

    fn notify(&self, notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        async move {
            let client = &self.shared.connections.writes.client;
            let mut all_sent = true;
            for Notice { subject, payload } in notices {
                if let Err(error) = client.publish(subject, payload.into()).await {
                    tracing::debug!("a notice was not sent: {error}");
                    all_sent = false;
                }
            }
            all_sent
        }
        .boxed()
    }

    /// Closes the connections. The server may have stored records whose acknowledgement has not
    /// arrived.
    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.shared.connections.ranges.close().await;
            self.shared.connections.reads.close().await;
            self.shared.connections.writes.close().await;
        }
        .boxed()
    }
}
