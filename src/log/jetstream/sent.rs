//! One published message: sends it, waits for its acknowledgement, and reads the server's answer.

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

use super::link::{Link, LinkState};
use super::message::{CONTENT_TYPE, CONTENT_TYPE_HEADER, PRIVATE_HEADER};
use super::writable;
use crate::domain::Position;
use crate::domain::limits::{LOG_APPEND_WAIT_MS, LOG_RECONNECTED_WAIT_MS};
use crate::log::{LogError, NewRecord};
use crate::metrics::trace;

/// How long an append waits for an acknowledgement, or for a connection.
pub(super) const WAIT: Duration = Duration::from_millis(LOG_APPEND_WAIT_MS);
/// How long to wait for an acknowledgement after a reconnect.
const WAIT_AFTER_RECONNECT: Duration = Duration::from_millis(LOG_RECONNECTED_WAIT_MS);

/// Why a record was not acknowledged.
pub(super) enum Failure {
    /// The server was busy and did not store the record.
    Busy,
    /// Any other failure.
    Final(LogError),
}

/// Why a record was not sent.
pub(super) enum Unsent {
    /// This record cannot be published.
    Record(LogError),
    /// No record can be published now.
    All(LogError),
}

/// A published message whose acknowledgement has not arrived yet.
pub(super) struct Sent {
    ack: PublishAckFuture,
    /// The connection on which it was sent, and the leader that it was sent to.
    target: LinkState,
    deadline: Instant,
}

/// A lost connection or leader, and the time until which to wait for its acknowledgements. All messages
/// that were in flight to it share one wait.
pub(super) type Grace = Option<(LinkState, Instant)>;

/// Publishes a record with additional headers.
pub(super) async fn send(
    link: &Link,
    record: &NewRecord,
    more: impl IntoIterator<Item = (HeaderName, String)>,
) -> Result<Sent, Unsent> {
    let deadline = Instant::now() + WAIT;
    let away = |_elapsed| {
        let why = "NATS is not connected, or the stream has no leader";
        Unsent::All(LogError::unavailable(why))
    };
    let state = timeout_at(deadline, link.connected()).await;
    let target = state.map_err(away)?.map_err(Unsent::All)?;
    let message = PublishMessage::build()
        .payload(record.body.clone())
        .headers(headers(record, more));
    let sent = link
        .context
        .send_publish(record.subject.to_string(), message);
    let ack = timeout_at(deadline, sent).await.map_err(away)?;
    let ack = ack.map_err(|error| Unsent::Record(not_sent(link, error)))?;
    Ok(Sent {
        ack,
        target,
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
            target,
            deadline,
        } = self;
        let give_up = async {
            if timeout_at(deadline, link.replaced(target)).await.is_ok() {
                let until = match *grace {
                    Some((lost, until)) if lost == target => until,
                    _ => Instant::now() + WAIT_AFTER_RECONNECT,
                };
                *grace = Some((target, until));
                sleep_until(until).await;
            }
        };
        tokio::select! {
            biased;
            acked = ack.into_future() => stored_at(link, stream, acked),
            () = give_up => Err(Failure::Final(LogError::unconfirmed(
                "no acknowledgement arrived in time",
            ))),
        }
    }
}

impl Failure {
    pub(super) fn into_error(self) -> LogError {
        match self {
            Self::Busy => LogError::unavailable("NATS was busy for too long"),
            Self::Final(error) => error,
        }
    }
}

/// Returns the headers of a record. There is no `Nats-Msg-Id`: with one, the server would drop a message
/// whose id another publisher has used. The fold drops copies.
pub(super) fn headers(
    record: &NewRecord,
    more: impl IntoIterator<Item = (HeaderName, String)>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE_HEADER, CONTENT_TYPE);
    if !record.private.is_empty() {
        headers.insert(PRIVATE_HEADER, STANDARD.encode(&record.private));
    }
    // It stands beside the event, whose bytes stay as they are.
    if let Some(traceparent) = trace::traceparent() {
        headers.insert(trace::TRACEPARENT, traceparent);
    }
    for (name, value) in more {
        headers.insert(name, value);
    }
    headers
}

/// Returns the position of a message that our stream has stored.
fn stored_at(
    link: &Link,
    stream: &str,
    acked: Result<PublishAck, PublishError>,
) -> Result<Position, Failure> {
    let ack = acked.map_err(|error| refused(link, error))?;
    link.hear();
    link.writable.accept();
    if ack.stream != stream || ack.duplicate {
        return Err(Failure::Final(LogError::unconfirmed(
            "another stream acknowledged the message, or the server took it for a copy",
        )));
    }
    Ok(Position::new(ack.sequence))
}

fn not_sent(link: &Link, error: PublishError) -> LogError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large(link),
        _ => LogError::unavailable(error),
    }
}

/// Reads the error of a message that was sent and not acknowledged.
fn refused(link: &Link, error: PublishError) -> Failure {
    let final_error = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            let why = "no stream has this subject, or JetStream does not answer (no responders)";
            link.writable.refuse(why);
            LogError::unavailable(why)
        }
        _ => match error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
        {
            Some(error) => return answered(link, error),
            None => LogError::unconfirmed(error),
        },
    };
    Failure::Final(final_error)
}

/// Reads an error with which the stream itself answered.
fn answered(link: &Link, error: &jetstream::Error) -> Failure {
    let refuses = writable::is_refusal(error);
    if refuses {
        link.writable.refuse(&error.to_string());
    }
    Failure::Final(match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => too_large(link),
        // A cluster answers with the second code while it replicates another message on the subject.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            LogError::Overtaken
        }
        // Writing failed, and part of the message may be stored.
        ErrorCode::STREAM_STORE_FAILED => LogError::unconfirmed(error.clone()),
        _ if error.code() == 429 => return Failure::Busy,
        _ if refuses => LogError::refusing(error.clone()),
        _ => LogError::unavailable(error.clone()),
    })
}

fn too_large(link: &Link) -> LogError {
    LogError::TooLarge {
        bytes_max: link.message_bytes_max(),
    }
}
