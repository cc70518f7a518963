//! Clients that publish events on NATS, each until the stream acknowledges it. They read one
//! of four that they have published.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use fastrand::Rng;
use serde_json::Value;

use crate::torture::address::Address;
use crate::torture::book::{Acknowledged, Book, Given, What, count};
use crate::torture::client_http::{Story, events_of};
use crate::torture::{Finding, TENANT};

/// How long a client waits for an acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(3);
/// How often a client looks whether its server still answers.
const PING: Duration = Duration::from_secs(2);
/// The pause before a client connects again.
const RECONNECT: Duration = Duration::from_millis(100);
/// Of how many events one is read afterwards.
const READ_ONE_OF: u8 = 4;
/// The longest pause between two events, and between two tries, in milliseconds.
const STEP_MS: u64 = 60;
const RETRY_MS: u64 = 250;

/// A client that publishes on NATS.
pub(crate) struct Publisher {
    number: u64,
    rng: Rng,
    stream: Context,
    address: Arc<Address>,
    book: Arc<Book>,
}

impl Publisher {
    /// Connects to NATS.
    pub(crate) async fn connect(
        number: u64,
        seed: u64,
        url: &str,
        address: &Arc<Address>,
        book: &Arc<Book>,
    ) -> Self {
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .connection_timeout(ACKNOWLEDGED_WITHIN)
            .ping_interval(PING)
            .reconnect_delay_callback(|_| RECONNECT);
        let urls: Vec<&str> = url.split(',').collect();
        let client = options.connect(urls).await.unwrap();
        let mut stream = jetstream::new(client);
        stream.set_timeout(ACKNOWLEDGED_WITHIN);
        Self {
            number,
            rng: Rng::with_seed(seed ^ (number + 1000)),
            stream,
            address: Arc::clone(address),
            book: Arc::clone(book),
        }
    }

    /// Publishes the events of one session after another.
    pub(crate) async fn run(mut self) -> Result<(), Finding> {
        let prefix = format!("n{}", self.number);
        for number in 0.. {
            if self.book.is_ending() {
                break;
            }
            let story = Story::draw(&prefix, number, &mut self.rng);
            for (event, step) in events_of(&story, &mut self.rng) {
                let position = self.publish(&event).await;
                let (session, agent) = (&story.session, &story.agent);
                self.book.step(session, agent, step, position);
                if !story.expires && self.rng.u8(..READ_ONE_OF) == 0 {
                    self.read_own(session, position).await?;
                }
                self.pause(STEP_MS).await;
            }
        }
        Ok(())
    }

    /// Publishes an event until it is acknowledged. Returns its position.
    async fn publish(&mut self, event: &Value) -> u64 {
        let subject = format!(
            "ledger.v1.{TENANT}.{}",
            event["type"].as_str().unwrap_or_default()
        );
        let body = bytes::Bytes::from(event.to_string());
        loop {
            count(&self.book.counts.tries);
            // Without an id of the message: the ledger recognizes copies by the id of the event.
            let published = self.stream.publish(subject.clone(), body.clone()).await;
            let acknowledged = match published {
                Ok(acknowledgement) => acknowledgement.await.ok(),
                Err(_not_sent) => None,
            };
            if let Some(acknowledged) = acknowledged {
                let position = acknowledged.sequence;
                self.book.keep(Acknowledged {
                    what: What::Event(event["id"].as_str().unwrap_or_default().to_owned()),
                    position,
                    verdict: Given::None,
                });
                return position;
            }
            count(&self.book.counts.lost);
            self.pause(RETRY_MS).await;
        }
    }

    /// Reads a session that this client has written. Any ledger must show the write.
    async fn read_own(&mut self, session: &str, position: u64) -> Result<(), Finding> {
        while !self.book.ending.is_cancelled() {
            let ledger = self.rng.usize(..self.address.ledgers());
            if self.address.read_own(ledger, session, position).await? {
                break;
            }
            self.pause(RETRY_MS).await;
        }
        Ok(())
    }

    async fn pause(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(..most_ms))).await;
    }
}
