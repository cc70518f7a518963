//! One published message: how it is sent, how long its acknowledgement is awaited, and what the
//! server's answers mean.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::link::Link;
use super::message::{CONTENT_TYPE, CONTENT_TYPE_HEADER, PRIVATE_HEADER};
use super::taking;
use crate::domain::Position;
use crate::domain::limits::LOG_APPEND_WAIT_MS;
use crate::log::{LogError, NewRecord};

/// How long an append waits for an acknowledgement, or for a server that takes messages.
pub(super) const WAIT: Duration = Duration::from_millis(LOG_APPEND_WAIT_MS);
/// How long an acknowledgement may take after the connection it was expected on was replaced. Most
/// are lost with the old one; those of messages that were still queued come at once.
const WAIT_AFTER_RECONNECT: Duration = Duration::from_millis(250);

/// Why a record was not acknowledged.
pub(super) enum Failure {
    /// It was not tried yet, or the server has too much to do and did not take it.
    Busy,
    /// Anything else.
    Final(LogError),
}

/// Why a record did not leave this process.
pub(super) enum Unsent {
    /// It cannot be published at all.
    Record(LogError),
    /// Nothing can be, now.
    All(LogError),
}

/// A published message whose acknowledgement is awaited.
pub(super) struct Sent {
    ack: PublishAckFuture,
    generation: u64,
    deadline: Instant,
}

/// Until when to wait for acknowledgements of a lost connection, by its generation: one wait for all
/// that were in flight on it, not one for each.
pub(super) type Grace = Option<(u64, Instant)>;

/// Publishes a record with headers that say more about how.
pub(super) async fn send(
    link: &Link,
    record: &NewRecord,
    more: impl IntoIterator<Item = (HeaderName, String)>,
) -> Result<Sent, Unsent> {
    let deadline = Instant::now() + WAIT;
    let away = |_elapsed| Unsent::All(unavailable("NATS is not connected"));
    let state = timeout_at(deadline, link.connected()).await;
    let generation = state.map_err(away)?.map_err(Unsent::All)?.generation;
    let message = PublishMessage::build()
        .payload(record.body.clone())
        .headers(headers(record, more));
    let sent = link
        .context
        .send_publish(record.subject.to_string(), message);
    let ack = timeout_at(deadline, sent).await.map_err(away)?;
    let ack = ack.map_err(|error| Unsent::Record(not_sent(link, &error)))?;
    Ok(Sent {
        ack,
        generation,
        deadline,
    })
}

impl Sent {
    /// Waits for the acknowledgement.
    pub(super) async fn acknowledged(
        self,
        link: &Link,
        stream: &str,
        grace: &mut Grace,
    ) -> Result<Position, Failure> {
        let Self {
            ack,
            generation,
            deadline,
        } = self;
        let give_up = async {
            if timeout_at(deadline, link.replaced(generation))
                .await
                .is_ok()
            {
                let until = match *grace {
                    Some((lost, until)) if lost == generation => until,
                    _ => Instant::now() + WAIT_AFTER_RECONNECT,
                };
                *grace = Some((generation, until));
                sleep_until(until).await;
            }
        };
        tokio::select! {
            biased;
            acked = ack.into_future() => by(link, stream, acked),
            () = give_up => Err(Failure::Final(unconfirmed("no acknowledgement came in time"))),
        }
    }
}

impl Failure {
    pub(super) fn into_error(self) -> LogError {
        match self {
            Self::Busy => unavailable("NATS did not take it in time"),
            Self::Final(error) => error,
        }
    }
}

/// No `Nats-Msg-Id`: the server's window would let one publisher's id swallow another's message,
/// and the fold drops copies however late they come.
pub(super) fn headers(
    record: &NewRecord,
    more: impl IntoIterator<Item = (HeaderName, String)>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE_HEADER, CONTENT_TYPE);
    if !record.private.is_empty() {
        headers.insert(PRIVATE_HEADER, STANDARD.encode(&record.private));
    }
    for (name, value) in more {
        headers.insert(name, value);
    }
    headers
}

fn by(
    link: &Link,
    stream: &str,
    acked: Result<PublishAck, PublishError>,
) -> Result<Position, Failure> {
    let ack = acked.map_err(|error| refused(link, &error))?;
    link.taking.note_taken();
    if ack.stream != stream || ack.duplicate {
        return Err(Failure::Final(unconfirmed(
            "it was acknowledged, but not by our stream",
        )));
    }
    Ok(Position::new(ack.sequence))
}

fn not_sent(link: &Link, error: &PublishError) -> LogError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large(link),
        _ => unavailable(&error.to_string()),
    }
}

/// A message that was sent and not acknowledged.
fn refused(link: &Link, error: &PublishError) -> Failure {
    let final_error = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            let why = "no stream takes this subject, or JetStream is not there (no responders)";
            link.taking.note_refused(why);
            unavailable(why)
        }
        _ => match error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
        {
            Some(error) => return answered(link, error),
            None => unconfirmed(&error.to_string()),
        },
    };
    Failure::Final(final_error)
}

/// An error that the stream itself answered with: it did not store the message.
fn answered(link: &Link, error: &jetstream::Error) -> Failure {
    let refuses = taking::is_refusal(error);
    if refuses {
        link.taking.note_refused(&error.to_string());
    }
    Failure::Final(match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => too_large(link),
        // The second one on a cluster, while another's message is on its way to the replicas.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            LogError::Overtaken
        }
        // Writing failed, and the server does not say how far it came.
        ErrorCode::STREAM_STORE_FAILED => unconfirmed(&error.to_string()),
        _ if error.code() == 429 => return Failure::Busy,
        _ if refuses => LogError::Refusing(error.to_string()),
        _ => unavailable(&error.to_string()),
    })
}

fn too_large(link: &Link) -> LogError {
    LogError::TooLarge {
        bytes_max: link.message_bytes_max(),
    }
}

fn unavailable(why: &str) -> LogError {
    LogError::Unavailable(why.to_owned())
}

fn unconfirmed(why: &str) -> LogError {
    LogError::Unconfirmed(why.to_owned())
}
