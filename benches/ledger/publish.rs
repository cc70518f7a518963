//! Publishes events on NATS, as runtimes do, and reads them back as fast as possible.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;

use crate::workload::Event;

/// One message in this many asks for an acknowledgement, which arrives when all before it are stored.
const ACK_EVERY: u64 = 1_000;
/// The most pending acknowledgements. The server rejects more than 10,000 pending messages.
const ACKS_MAX: usize = 6;
/// The number of messages that the raw consumer requests at a time.
const PULL: usize = 5_000;
const STREAM: &str = "LEDGER";

/// A connection that publishes.
pub(crate) struct Publisher {
    client: async_nats::Client,
    context: Context,
}

impl Publisher {
    pub(crate) async fn connect(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let context = jetstream::new(client.clone());
        Self { client, context }
    }

    /// Publishes one event. Returns a future of its acknowledgement.
    pub(crate) async fn publish(&self, event: &Event) -> PublishAckFuture {
        self.send(event.subject(), event.body()).await
    }

    /// Publishes one event without asking for an acknowledgement.
    pub(crate) async fn publish_unheard(&self, event: &Event) {
        self.send_unheard(event.subject(), event.body()).await;
    }

    /// Publishes a message. Returns a future of its acknowledgement.
    pub(crate) async fn send(&self, subject: String, body: String) -> PublishAckFuture {
        let published = self.context.publish(subject, body.into());
        published.await.unwrap()
    }

    /// Publishes a message without asking for an acknowledgement.
    pub(crate) async fn send_unheard(&self, subject: String, body: String) {
        let published = self.client.publish(subject, body.into());
        published.await.unwrap();
    }

    /// Publishes many events, most of them without their own acknowledgement. Returns the time until all are
    /// stored. The log must have no other events.
    pub(crate) async fn publish_all(&self, mut next: impl FnMut() -> Option<Event>) -> Duration {
        let started = Instant::now();
        let mut acks = VecDeque::new();
        let mut last = 0;
        while let Some(event) = next() {
            last = event.number;
            if event.number.is_multiple_of(ACK_EVERY) {
                acks.push_back(self.publish(&event).await);
            } else {
                self.publish_unheard(&event).await;
            }
            if acks.len() == ACKS_MAX
                && let Some(ack) = acks.pop_front()
            {
                ack.await.unwrap();
            }
        }
        self.client.flush().await.unwrap();
        self.wait_until_stored(last).await;
        started.elapsed()
    }

    async fn wait_until_stored(&self, position: u64) {
        while self.head().await < position {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns the last position of the log.
    pub(crate) async fn head(&self) -> u64 {
        let stream = self.context.get_stream(STREAM).await.unwrap();
        stream.cached_info().state.last_sequence
    }

    /// Reads the whole log with a pull consumer that acknowledges nothing. Returns the time, and the
    /// messages per second for each slice.
    pub(crate) async fn consume(&self, messages: u64, slice: u64) -> (Duration, Vec<f64>) {
        let stream = self.context.get_stream(STREAM).await.unwrap();
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let pulling = consumer.stream().max_messages_per_batch(PULL);
        let mut read = pulling.messages().await.unwrap();
        let started = Instant::now();
        let (mut rates, mut since) = (Vec::new(), started);
        for number in 1..=messages {
            read.next().await.unwrap().unwrap();
            if number.is_multiple_of(slice) {
                rates.push(crate::stats::per_second(slice, since.elapsed()));
                since = Instant::now();
            }
        }
        (started.elapsed(), rates)
    }
}
