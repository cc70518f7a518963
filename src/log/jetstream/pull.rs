//! Reads through one ephemeral pull consumer: keeps requests open at the server and receives their
//! messages.
//!
//! A delivery out of order, a missed heartbeat, a lost connection or an unknown notice ends the consumer
//! with a [`Doubt`]. Then the tail opens another one after the last record that it returned.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::Peekable;
use tokio::time::{Instant, sleep_until};

use super::link::{Link, LinkState};
use super::message::{self, Delivery};
use crate::domain::Position;
use crate::domain::limits::{LOG_READ_BYTES_MAX, LOG_READ_RECORDS_MAX, LOG_SILENCE_MS};
use crate::log::Record;

/// The interval of the server's heartbeats while it has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The longest time without a message from the server.
const SILENCE_MAX: Duration = Duration::from_millis(LOG_SILENCE_MS);
/// The time after which a request at the server expires.
const REQUEST_EXPIRES: Duration = Duration::from_secs(5);
/// The headers of the notice that ends a request: the records and bytes that it asked for and did not get.
const LEFT_RECORDS_HEADER: &str = "Nats-Pending-Messages";
const LEFT_BYTES_HEADER: &str = "Nats-Pending-Bytes";

/// Why a consumer may have lost records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The connection was lost.
    Lost,
    /// This process has moved the connection to another server.
    Moved,
    /// The server sent no message for too long, or a delivery is missing.
    Silent,
    /// The consumer delivered this position instead of the next one.
    Jumped(Position),
    /// The server ended the consumer, or sent an unknown notice.
    Ended(String),
}

/// A message from the server.
enum Received {
    Record(Record),
    Nothing,
    Doubt(Doubt),
}

/// A consumer and its open requests.
pub(super) struct Pull {
    link: Link,
    opened_on: LinkState,
    messages: Peekable<Subscriber>,
    inbox: String,
    request_subject: String,
    delete_subject: String,
    /// The last position to ask for.
    until: Position,
    /// The records and bytes that the server may still send for the open requests.
    open_records: usize,
    open_bytes: usize,
    consumer_sequence: u64,
    after: Position,
    head: Position,
    progressed: bool,
    /// When the last message arrived. Kept here and not in a call, because callers drop and repeat calls.
    heard_at: Instant,
    doubt: Option<Doubt>,
}

impl Pull {
    /// Reads through a consumer that starts after a position.
    pub(super) fn new(
        (link, opened_on): (Link, LinkState),
        (inbox, messages): (String, Subscriber),
        (stream, consumer): (&str, &str),
        after: Position,
    ) -> Self {
        Self {
            link,
            opened_on,
            messages: messages.peekable(),
            inbox,
            request_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            delete_subject: format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}"),
            until: Position::new(u64::MAX),
            open_records: 0,
            open_bytes: 0,
            consumer_sequence: 0,
            after,
            head: after,
            progressed: false,
            heard_at: Instant::now(),
            doubt: None,
        }
    }

    /// Asks for no record after a position.
    pub(super) fn until(self, until: Position) -> Self {
        Self { until, ..self }
    }

    /// Deletes the consumer, which the server would keep for a while. Does not wait for the answer.
    pub(super) async fn delete(self) {
        let deleted = self.link.client.publish(self.delete_subject, Bytes::new());
        if let Err(error) = deleted.await {
            tracing::debug!("a consumer was not deleted: {error}");
        }
    }

    /// Whether the consumer has delivered a record.
    pub(super) fn progressed(&self) -> bool {
        self.progressed
    }

    /// The last position of the stream, as of the last delivery.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Returns the records that have arrived, or else the first that arrives. At most `records_max`. A
    /// caller that drops the future loses no records, because there is no await between receiving a record
    /// and returning it.
    pub(super) async fn next(&mut self, records_max: usize) -> Result<Vec<Record>, Doubt> {
        loop {
            self.request().await?;
            let records = self.receive_arrived(records_max).await;
            if !records.is_empty() {
                return Ok(records);
            }
            if let Some(doubt) = &self.doubt {
                return Err(doubt.clone());
            }
            // Again, because the last message may have been the notice that a request has ended.
            self.request().await?;
            self.arrival().await?;
        }
    }

    /// Sends a request early enough, so that the server never waits for one.
    async fn request(&mut self) -> Result<(), Doubt> {
        if LOG_READ_RECORDS_MAX / 2 < self.open_records && LOG_READ_BYTES_MAX / 2 < self.open_bytes
        {
            return Ok(());
        }
        let left = self.until.get() - self.after.get();
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let records = left
            .min(LOG_READ_RECORDS_MAX)
            .saturating_sub(self.open_records);
        if records == 0 {
            return Ok(());
        }
        let bytes = LOG_READ_BYTES_MAX - self.open_bytes;
        let request = format!(
            r#"{{"batch":{records},"max_bytes":{bytes},"expires":{},"idle_heartbeat":{}}}"#,
            REQUEST_EXPIRES.as_nanos(),
            HEARTBEAT.as_nanos()
        );
        let (subject, inbox) = (self.request_subject.clone(), self.inbox.clone());
        let publish = self
            .link
            .client
            .publish_with_reply(subject, inbox, request.into());
        tokio::select! {
            biased;
            sent = publish => sent.map_err(|error| Doubt::Ended(error.to_string()))?,
            () = self.link.lost(self.opened_on.generation) => return Err(self.lost()),
        }
        self.open_records += records;
        self.open_bytes += bytes;
        Ok(())
    }

    /// Waits until a message has arrived.
    async fn arrival(&mut self) -> Result<(), Doubt> {
        let first = Pin::new(&mut self.messages).peek();
        tokio::select! {
            biased;
            first = first => match first {
                Some(_) => Ok(()),
                None => Err(self.lost()),
            },
            () = self.link.lost(self.opened_on.generation) => Err(self.lost()),
            () = sleep_until(self.heard_at + SILENCE_MAX) => Err(Doubt::Silent),
        }
    }

    /// Receives the messages that have arrived. Does not wait.
    async fn receive_arrived(&mut self, records_max: usize) -> Vec<Record> {
        let (mut records, mut heard) = (Vec::new(), false);
        // Otherwise the runtime's budget would end the batch after some hundred messages.
        tokio::task::unconstrained(poll_fn(|cx| {
            while records.len() < records_max.max(1) && self.doubt.is_none() {
                match self.messages.poll_next_unpin(cx) {
                    Poll::Ready(Some(message)) => {
                        heard = true;
                        match self.receive(message) {
                            Received::Record(record) => records.push(record),
                            Received::Nothing => {}
                            Received::Doubt(doubt) => self.doubt = Some(doubt),
                        }
                    }
                    Poll::Ready(None) => self.doubt = Some(self.lost()),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(())
        }))
        .await;
        if heard {
            self.heard_at = Instant::now();
        }
        if !records.is_empty() {
            self.link.hear();
        }
        records
    }

    /// Why the connection is gone.
    fn lost(&self) -> Doubt {
        if self.link.state().moves == self.opened_on.moves {
            Doubt::Lost
        } else {
            Doubt::Moved
        }
    }

    fn receive(&mut self, message: Message) -> Received {
        // Only the server makes reply subjects. The status line proves nothing: a runtime can publish a
        // message with one.
        let Some(delivery) = message.reply.as_deref().and_then(Delivery::parse) else {
            return self.receive_notice(&message);
        };
        self.open_records = self.open_records.saturating_sub(1);
        self.open_bytes = self.open_bytes.saturating_sub(message.length);
        if delivery.consumer_sequence != self.consumer_sequence + 1 {
            return Received::Doubt(Doubt::Silent);
        }
        self.consumer_sequence = delivery.consumer_sequence;
        self.head = self
            .head
            .max(Position::new(delivery.position.get() + delivery.pending));
        if delivery.position <= self.after {
            return Received::Nothing;
        }
        if delivery.position != self.after.next() {
            return Received::Doubt(Doubt::Jumped(delivery.position));
        }
        self.after = delivery.position;
        self.progressed = true;
        Received::Record(message::record(
            delivery.position,
            delivery.recorded_at,
            &message.subject,
            message.headers.as_ref(),
            message.payload,
        ))
    }

    fn receive_notice(&mut self, message: &Message) -> Received {
        let code = message.status.map_or(0, |status| status.as_u16());
        let description = message.description.as_deref().unwrap_or_default();
        let left = |name: &str| {
            let value = message
                .headers
                .as_ref()
                .and_then(|headers| headers.get(name));
            value
                .and_then(|value| value.as_str().parse().ok())
                .unwrap_or(0)
        };
        match (code, description) {
            (100, _) => Received::Nothing,
            // A request has ended: it has expired, or the next record is larger than the rest of it.
            (404 | 408, _) | (409, "Message Size Exceeds MaxBytes" | "Batch Completed") => {
                self.open_records = self.open_records.saturating_sub(left(LEFT_RECORDS_HEADER));
                self.open_bytes = self.open_bytes.saturating_sub(left(LEFT_BYTES_HEADER));
                Received::Nothing
            }
            _ => Received::Doubt(Doubt::Ended(format!("{code} {description}"))),
        }
    }
}
