//! Appending: publish in order, many acknowledgements in flight, one result per record.

use std::collections::VecDeque;
use std::error::Error as _;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::link::Link;
use super::message::{CONTENT_TYPE, CONTENT_TYPE_HEADER, PRIVATE_HEADER};
use crate::domain::Position;
use crate::domain::limits::{LOG_APPEND_WAIT_MS, LOG_PUBLISH_IN_FLIGHT_MAX};
use crate::log::{Appended, LogError, NewRecord};

/// How long an append waits for an acknowledgement, or for a server that takes messages.
const WAIT: Duration = Duration::from_millis(LOG_APPEND_WAIT_MS);
/// How long an acknowledgement may take after the connection it was expected on was replaced. Most
/// are lost with the old one; those of messages that were still queued come at once.
const WAIT_AFTER_RECONNECT: Duration = Duration::from_millis(250);
/// The first pause after the server said that it has too much to do.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(5);
/// The longest one.
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Why a record was not acknowledged.
enum Failure {
    /// It was not tried yet, or the server has too much to do and did not take it.
    Busy,
    /// Anything else.
    Final(LogError),
}

/// Why a record did not leave this process.
enum Unsent {
    /// It cannot be published at all.
    Record(LogError),
    /// Nothing can be, now.
    All(LogError),
}

/// A published record whose acknowledgement is awaited.
struct InFlight {
    index: usize,
    ack: PublishAckFuture,
    generation: u64,
    deadline: Instant,
}

/// One append under way.
struct Append<'a> {
    link: &'a Link,
    stream: &'a str,
    records: &'a [NewRecord],
    /// By record; `Busy` until it was tried.
    results: Vec<Result<Position, Failure>>,
    /// Until when to wait for acknowledgements of a lost connection, by its generation.
    grace: Option<(u64, Instant)>,
}

/// Publishes records to the stream and waits for their acknowledgements.
pub(super) async fn append(link: &Link, stream: &str, records: &[NewRecord]) -> Appended {
    let results = records.iter().map(|record| {
        if record.fits() {
            Err(Failure::Busy)
        } else {
            Err(Failure::Final(LogError::TooLarge))
        }
    });
    let mut append = Append {
        link,
        stream,
        records,
        results: results.collect(),
        grace: None,
    };
    append.run(Instant::now() + WAIT).await;
    append
        .results
        .into_iter()
        .map(|result| result.map_err(Failure::into_error))
        .collect()
}

impl Append<'_> {
    async fn run(&mut self, deadline: Instant) {
        let mut pause = BUSY_PAUSE_MIN;
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            self.publish(&left).await;
            if self.left().is_empty() || deadline < Instant::now() + pause {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(BUSY_PAUSE_MAX);
        }
    }

    /// The records to publish, again or at all. One that the server was too busy for, but whose
    /// successor it took, is given up: it would now stand out of order.
    fn left(&self) -> Vec<usize> {
        let taken = |result: &Result<Position, Failure>| {
            matches!(
                result,
                Ok(_) | Err(Failure::Final(LogError::Unconfirmed(_)))
            )
        };
        let first = self
            .results
            .iter()
            .rposition(taken)
            .map_or(0, |last| last + 1);
        let busy = |index: &usize| matches!(self.results.get(*index), Some(Err(Failure::Busy)));
        (first..self.results.len()).filter(busy).collect()
    }

    /// Publishes records in order, and waits for all their acknowledgements. Stops early when the
    /// server is busy or away.
    async fn publish(&mut self, indexes: &[usize]) {
        let mut in_flight = VecDeque::with_capacity(indexes.len().min(LOG_PUBLISH_IN_FLIGHT_MAX));
        let mut going_on = true;
        for &index in indexes {
            if in_flight.len() == LOG_PUBLISH_IN_FLIGHT_MAX
                && let Some(oldest) = in_flight.pop_front()
            {
                going_on = self.settle(oldest).await;
            }
            if !going_on {
                break;
            }
            match self.send(index).await {
                Ok(sent) => in_flight.push_back(sent),
                Err(Unsent::Record(error)) => self.set(index, Err(Failure::Final(error))),
                Err(Unsent::All(error)) => {
                    // The rest would wait as long, one after another.
                    for &index in indexes.iter().filter(|other| index <= **other) {
                        self.set(index, Err(Failure::Final(error.clone())));
                    }
                    break;
                }
            }
        }
        for sent in in_flight {
            self.settle(sent).await;
        }
    }

    async fn send(&self, index: usize) -> Result<InFlight, Unsent> {
        let deadline = Instant::now() + WAIT;
        let away = |_elapsed| Unsent::All(unavailable("NATS is not connected"));
        let state = timeout_at(deadline, self.link.connected()).await;
        let generation = state.map_err(away)?.map_err(Unsent::All)?.generation;
        let record = self.records.get(index);
        let record = record.ok_or_else(|| Unsent::Record(unavailable("no such record")))?;
        let message = PublishMessage::build()
            .payload(record.body.clone())
            .headers(headers(record));
        let sent = self
            .link
            .context
            .send_publish(record.subject.to_string(), message);
        let ack = timeout_at(deadline, sent).await.map_err(away)?;
        let ack = ack.map_err(|error| Unsent::Record(not_sent(&error)))?;
        Ok(InFlight {
            index,
            ack,
            generation,
            deadline,
        })
    }

    /// Waits for an acknowledgement. Says whether to go on publishing.
    async fn settle(&mut self, sent: InFlight) -> bool {
        let InFlight {
            index,
            ack,
            generation,
            deadline,
        } = sent;
        let ack = ack.into_future();
        // One wait for all that were in flight on that connection, not one for each.
        let mut grace = self.grace.filter(|(lost, _)| *lost == generation);
        let give_up = async {
            if timeout_at(deadline, self.link.replaced(generation))
                .await
                .is_ok()
            {
                let (_, until) = grace
                    .get_or_insert_with(|| (generation, Instant::now() + WAIT_AFTER_RECONNECT));
                sleep_until(*until).await;
            }
        };
        let result = tokio::select! {
            biased;
            acked = ack => self.acknowledged(acked),
            () = give_up => Err(Failure::Final(unconfirmed("no acknowledgement came in time"))),
        };
        self.grace = grace;
        let going_on = !matches!(
            result,
            Err(Failure::Busy | Failure::Final(LogError::Unconfirmed(_)))
        );
        self.set(index, result);
        going_on
    }

    fn acknowledged(&self, acked: Result<PublishAck, PublishError>) -> Result<Position, Failure> {
        let ack = acked.map_err(|error| refused(&error))?;
        if ack.stream != self.stream || ack.duplicate {
            return Err(Failure::Final(unconfirmed(
                "it was acknowledged, but not by our stream",
            )));
        }
        Ok(Position::new(ack.sequence))
    }

    fn set(&mut self, index: usize, result: Result<Position, Failure>) {
        if let Some(slot) = self.results.get_mut(index) {
            *slot = result;
        }
    }
}

impl Failure {
    fn into_error(self) -> LogError {
        match self {
            Self::Busy => LogError::Unavailable("NATS did not take it in time".to_owned()),
            Self::Final(error) => error,
        }
    }
}

/// No `Nats-Msg-Id`: the server's window would let one publisher's id swallow another's message,
/// and the fold drops copies however late they come.
fn headers(record: &NewRecord) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE_HEADER, CONTENT_TYPE);
    if !record.private.is_empty() {
        headers.insert(PRIVATE_HEADER, STANDARD.encode(&record.private));
    }
    headers
}

fn not_sent(error: &PublishError) -> LogError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => LogError::TooLarge,
        _ => unavailable(&error.to_string()),
    }
}

/// A message that was sent and not acknowledged.
fn refused(error: &PublishError) -> Failure {
    let final_error = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            unavailable("no stream takes this subject, or JetStream is not there (no responders)")
        }
        _ => match error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
        {
            Some(error) => return answered(error),
            None => unconfirmed(&error.to_string()),
        },
    };
    Failure::Final(final_error)
}

/// An error that the stream itself answered with: it did not store the message.
fn answered(error: &jetstream::Error) -> Failure {
    Failure::Final(match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => LogError::TooLarge,
        // Writing failed, and the server does not say how far it came.
        ErrorCode::STREAM_STORE_FAILED => unconfirmed(&error.to_string()),
        _ if error.code() == 429 => return Failure::Busy,
        _ => unavailable(&error.to_string()),
    })
}

fn unavailable(why: &str) -> LogError {
    LogError::Unavailable(why.to_owned())
}

fn unconfirmed(why: &str) -> LogError {
    LogError::Unconfirmed(why.to_owned())
}
