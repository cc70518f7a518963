//! Opens a consumer after a position. Fails if records that were read are no longer on the stream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::ConsumerErrorKind;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Link, LinkState};
use super::pull::Pull;
use super::{Shared, get, topology};
use crate::domain::limits::LOG_RESCUED_RECORDS_MAX;
use crate::domain::{Position, WithCauses};
use crate::log::{LogError, Record};

/// How long a cluster may take to create a consumer before the tail reads by position. This takes some
/// milliseconds, but only the leader of the cluster can do it, and it may be away.
pub(super) const CREATE_MAX: Duration = Duration::from_millis(500);
/// How long the tail reads by position before it asks for a consumer again, and the pause between two
/// looks for the next record.
const BY_POSITION_MAX: Duration = Duration::from_secs(2);
const BY_POSITION_PAUSE: Duration = Duration::from_millis(20);
/// How long the server keeps a consumer without requests.
const INACTIVE_MAX: Duration = Duration::from_secs(10);

/// A request to open a consumer.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    /// The last record that was read, to start after it; `None` to start at the beginning.
    pub(super) last: Option<Record>,
    /// The pause before the attempt.
    pub(super) pause: Duration,
    /// The position that the last consumer delivered instead of the next one, if it did.
    pub(super) jumped_to: Option<Position>,
    /// Whether to read the next records by position, because their delivery breaks the connection.
    pub(super) rescue: bool,
}

impl Opening {
    fn after(&self) -> Position {
        position_of(self.last.as_ref())
    }
}

/// The result of an [`Opening`].
pub(super) enum Opened {
    Pull(Box<Pull>),
    /// The next records, read by position. No consumer was opened.
    Rescued(Vec<Record>),
    /// The next records, if there are any, read by position, and why no consumer was created.
    ByPosition(Vec<Record>, String),
}

/// Why nothing was opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// A retry would not help: records are missing, or the log was closed.
    Final(LogError),
    /// Records seem to be missing. A server of a cluster that lags behind another may say so too: ask
    /// again for a while.
    Doubtful(LogError),
    /// Anything else. Retry.
    Later(String),
}

impl From<LogError> for NotOpened {
    fn from(error: LogError) -> Self {
        Self::Later(WithCauses(&error).to_string())
    }
}

/// Opens a consumer as soon as there is a connection.
pub(super) async fn open(shared: Arc<Shared>, opening: Opening) -> Result<Opened, NotOpened> {
    sleep(opening.pause).await;
    let reads = shared.connections.reads.alive().await?;
    let connected = reads.connected().await.map_err(NotOpened::Final)?;
    tokio::select! {
        biased;
        opened = open_connected(&shared, &reads, opening, connected) => opened,
        () = reads.lost(connected.generation) => {
            Err(NotOpened::Later("the connection was lost again".to_owned()))
        }
        // The old leader does not answer any more.
        () = reads.replaced(connected) => {
            Err(NotOpened::Later("the stream has another leader".to_owned()))
        }
    }
}

async fn open_connected(
    shared: &Shared,
    reads: &Link,
    opening: Opening,
    connected: LinkState,
) -> Result<Opened, NotOpened> {
    let after = opening.after();
    if opening.rescue {
        let rescued = rescue(shared, after).await?;
        if !rescued.is_empty() {
            return Ok(Opened::Rescued(rescued));
        }
    }
    if let Some(found) = opening.jumped_to
        && get::get_one(&shared.connections.writes, &shared.stream, after.next())
            .await?
            .is_none()
    {
        return Err(NotOpened::Final(LogError::Gap { after, found }));
    }
    let link = reads.clone();
    let inbox = link.client.new_inbox();
    let messages = link.client.subscribe(inbox.clone()).await;
    let messages = messages.map_err(|error| NotOpened::Later(error.to_string()))?;
    let created = create(&link, &shared.stream, after, INACTIVE_MAX);
    let created = timeout(CREATE_MAX, created).await;
    let consumer = match created {
        Ok(Ok(consumer)) => consumer,
        Ok(Err(doubtful @ (NotOpened::Doubtful(_) | NotOpened::Final(_)))) => return Err(doubtful),
        late => {
            let why = match late {
                Ok(Err(NotOpened::Later(why))) => why,
                _ => "the leader of the cluster does not answer".to_owned(),
            };
            let records = by_position(shared, after).await?;
            // After the records: if the stream is replaced later, these are still the right ones.
            check_stream(shared, opening.last.as_ref()).await?;
            return Ok(Opened::ByPosition(records, why));
        }
    };
    // After the consumer: if the stream is replaced later, the consumer ends with it.
    check_stream(shared, opening.last.as_ref()).await?;
    let consumer = (shared.stream.as_str(), consumer.as_str());
    let pull = Pull::new((link, connected), (inbox, messages), consumer, after);
    Ok(Opened::Pull(Box::new(pull)))
}

/// Creates a consumer that starts after a position, and returns its name. The server keeps it for some time
/// without requests.
pub(super) async fn create(
    link: &Link,
    stream: &str,
    after: Position,
    inactive_threshold: Duration,
) -> Result<String, NotOpened> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: after.next().get(),
        },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold,
        ..pull::Config::default()
    };
    match link.context.create_consumer_on_stream(config, stream).await {
        Ok(consumer) => Ok(consumer.cached_info().name.clone()),
        Err(error) => match error.kind() {
            ConsumerErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Err(no_stream(stream, after))
            }
            _ => Err(NotOpened::Later(format!(
                "cannot create a consumer: {error}"
            ))),
        },
    }
}

/// Checks that this is the stream that was read before, and that it still has every record. Otherwise
/// the positions mean something else now, so this is an alarm.
pub(super) async fn check_stream(shared: &Shared, last: Option<&Record>) -> Result<(), NotOpened> {
    let after = position_of(last);
    let reads = shared.connections.reads.link();
    let Some(state) = topology::state(&reads, &shared.stream).await? else {
        return Err(no_stream(&shared.stream, after));
    };
    if state.head < after {
        return Err(NotOpened::Doubtful(LogError::Truncated {
            head: state.head,
            after,
        }));
    }
    state.check_first().map_err(NotOpened::Final)?;
    if let Some(last) = last {
        let replaced = LogError::Replaced { at: after };
        match get::get_one(&reads, &shared.stream, after).await? {
            Some(found) if is_same(&found, last) => {}
            Some(_other) => return Err(NotOpened::Final(replaced)),
            None => return Err(NotOpened::Doubtful(replaced)),
        }
    }
    shared.note_head(state.head);
    Ok(())
}

/// Whether both are the same record. Headers are left out: an answer by position and a delivery can
/// spell them differently.
fn is_same(found: &Record, last: &Record) -> bool {
    found.recorded_at == last.recorded_at
        && found.subject == last.subject
        && found.private == last.private
        && found.payload == last.payload
}

pub(super) fn position_of(last: Option<&Record>) -> Position {
    last.map_or(Position::ZERO, |record| record.position)
}

fn no_stream(stream: &str, after: Position) -> NotOpened {
    if after == Position::ZERO {
        return NotOpened::from(topology::missing(stream));
    }
    NotOpened::Doubtful(LogError::Truncated {
        head: Position::ZERO,
        after,
    })
}

/// Reads by position until there are records, or until it is time to ask for a consumer again.
async fn by_position(shared: &Shared, after: Position) -> Result<Vec<Record>, LogError> {
    let until = Instant::now() + BY_POSITION_MAX;
    loop {
        let records = rescue(shared, after).await?;
        if !records.is_empty() || until < Instant::now() {
            return Ok(records);
        }
        sleep(BY_POSITION_PAUSE).await;
    }
}

async fn rescue(shared: &Shared, after: Position) -> Result<Vec<Record>, LogError> {
    let mut records = Vec::new();
    let mut position = after.next();
    while records.len() < LOG_RESCUED_RECORDS_MAX {
        match get::get_one(&shared.connections.writes, &shared.stream, position).await? {
            Some(record) => records.push(record),
            None => break,
        }
        position = position.next();
    }
    Ok(records)
}
