//! One ephemeral pull consumer: keeps requests open at the server and takes what they bring.
//!
//! It trusts nothing. A delivery out of turn, a missed heartbeat, a lost connection or a notice
//! that it does not know ends it with a [`Doubt`], and the tail opens another one after the last
//! record that it handed over.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::Peekable;
use tokio::time::sleep;

use super::link::Link;
use super::message::{self, Delivery};
use crate::domain::Position;
use crate::domain::limits::{LOG_READ_BYTES_MAX, LOG_READ_RECORDS_MAX};
use crate::log::Record;

/// How often the server says that it is there when it has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long it may be silent.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);
/// How long a request stays open at the server.
const REQUEST_EXPIRES: Duration = Duration::from_secs(5);
/// Headers of the notice that ends a request: what it did not bring.
const LEFT_RECORDS_HEADER: &str = "Nats-Pending-Messages";
const LEFT_BYTES_HEADER: &str = "Nats-Pending-Bytes";

/// Why a consumer is not trusted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The connection was lost.
    Lost,
    /// The server was silent for too long, or a delivery is missing.
    Silent,
    /// The stream went from the position before to this one.
    Jumped(Position),
    /// The server ended the consumer, or said something unknown.
    Ended(String),
}

/// What a message turned out to be.
enum Taken {
    Record(Record),
    Nothing,
    Doubt(Doubt),
}

/// A consumer and its open requests.
pub(super) struct Pull {
    link: Link,
    generation: u64,
    messages: Peekable<Subscriber>,
    inbox: String,
    request_subject: String,
    /// What the open requests may still bring.
    open_records: usize,
    open_bytes: usize,
    consumer_sequence: u64,
    after: Position,
    head: Position,
    progressed: bool,
    doubt: Option<Doubt>,
}

impl Pull {
    /// Takes over a consumer that starts after a position.
    pub(super) fn new(
        link: Link,
        generation: u64,
        (inbox, messages): (String, Subscriber),
        request_subject: String,
        after: Position,
    ) -> Self {
        Self {
            link,
            generation,
            messages: messages.peekable(),
            inbox,
            request_subject,
            open_records: 0,
            open_bytes: 0,
            consumer_sequence: 0,
            after,
            head: after,
            progressed: false,
            doubt: None,
        }
    }

    /// Whether it brought anything.
    pub(super) fn progressed(&self) -> bool {
        self.progressed
    }

    /// The last position of the stream that it heard of.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// What has arrived, up to a bound, or the first to come. Cancelling it loses nothing: there
    /// is no await between taking a record and returning it.
    pub(super) async fn next(&mut self, records_max: usize) -> Result<Vec<Record>, Doubt> {
        loop {
            self.request().await?;
            let records = self.take_arrived(records_max).await;
            if !records.is_empty() {
                return Ok(records);
            }
            if let Some(doubt) = &self.doubt {
                return Err(doubt.clone());
            }
            // Again, because what was taken may have been the notice that a request has ended.
            self.request().await?;
            self.arrival().await?;
        }
    }

    /// Keeps the server supplied with requests, so that it never waits for the next one.
    async fn request(&mut self) -> Result<(), Doubt> {
        if LOG_READ_RECORDS_MAX / 2 < self.open_records && LOG_READ_BYTES_MAX / 2 < self.open_bytes
        {
            return Ok(());
        }
        let records = LOG_READ_RECORDS_MAX - self.open_records;
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
            () = self.link.lost(self.generation) => return Err(Doubt::Lost),
        }
        self.open_records += records;
        self.open_bytes += bytes;
        Ok(())
    }

    /// Waits until there is something to take.
    async fn arrival(&mut self) -> Result<(), Doubt> {
        let first = Pin::new(&mut self.messages).peek();
        tokio::select! {
            biased;
            first = first => match first {
                Some(_) => Ok(()),
                None => Err(Doubt::Lost),
            },
            () = self.link.lost(self.generation) => Err(Doubt::Lost),
            () = sleep(SILENCE_MAX) => Err(Doubt::Silent),
        }
    }

    /// Takes what the channel holds, without waiting. Never pending.
    async fn take_arrived(&mut self, records_max: usize) -> Vec<Record> {
        let mut records = Vec::new();
        // The runtime's budget would end the batch after some hundred messages.
        tokio::task::unconstrained(poll_fn(|cx| {
            while records.len() < records_max.max(1) && self.doubt.is_none() {
                match self.messages.poll_next_unpin(cx) {
                    Poll::Ready(Some(message)) => match self.take(message) {
                        Taken::Record(record) => records.push(record),
                        Taken::Nothing => {}
                        Taken::Doubt(doubt) => self.doubt = Some(doubt),
                    },
                    Poll::Ready(None) => self.doubt = Some(Doubt::Lost),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(())
        }))
        .await;
        records
    }

    fn take(&mut self, message: Message) -> Taken {
        // Told by the reply subject, which the server makes. A status line can be stored as well.
        let Some(delivery) = message.reply.as_deref().and_then(Delivery::parse) else {
            return self.take_notice(&message);
        };
        self.open_records = self.open_records.saturating_sub(1);
        self.open_bytes = self.open_bytes.saturating_sub(message.length);
        if delivery.consumer_sequence != self.consumer_sequence + 1 {
            return Taken::Doubt(Doubt::Silent);
        }
        self.consumer_sequence = delivery.consumer_sequence;
        self.head = self
            .head
            .max(Position::new(delivery.position.get() + delivery.pending));
        if delivery.position <= self.after {
            return Taken::Nothing;
        }
        if delivery.position != self.after.next() {
            return Taken::Doubt(Doubt::Jumped(delivery.position));
        }
        self.after = delivery.position;
        self.progressed = true;
        Taken::Record(message::record(
            delivery.position,
            delivery.recorded_at,
            &message.subject,
            message.headers.as_ref(),
            message.payload,
        ))
    }

    fn take_notice(&mut self, message: &Message) -> Taken {
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
            (100, _) => Taken::Nothing,
            // A request came to its end: its time is over, or it cannot bring the next record.
            (404 | 408, _) | (409, "Message Size Exceeds MaxBytes" | "Batch Completed") => {
                self.open_records = self.open_records.saturating_sub(left(LEFT_RECORDS_HEADER));
                self.open_bytes = self.open_bytes.saturating_sub(left(LEFT_BYTES_HEADER));
                Taken::Nothing
            }
            _ => Taken::Doubt(Doubt::Ended(format!("{code} {description}"))),
        }
    }
}
