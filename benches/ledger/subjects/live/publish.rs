//! Publishes 2,000 events a second, whether the ledger keeps up or not, and asks for listings that show them.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::http::{self, Connection};
use crate::node::Node;
use crate::paced::PACE;
use crate::publish::Publisher;
use crate::stats::ms;
use crate::workload::Stamped;

/// Events of a request to a ledger with a built-in log.
const BATCH: u64 = 20;
/// A listing is asked for after one in so many requests, or events on NATS.
const ONE_IN: u64 = 2;
const ONE_IN_ON_NATS: u64 = 20;
/// Requests that are due and not sent: more than any measurement makes.
const WAITING_MAX: usize = 8_192;

/// Milliseconds since just before the publish.
#[derive(Default)]
pub(super) struct Published {
    pub(super) events: u64,
    pub(super) acked: Vec<f64>,
    pub(super) listed: Vec<f64>,
}

/// Where the events go.
pub(super) struct Load<'a> {
    pub(super) node: &'a Node,
    pub(super) key: &'a str,
    /// `None` for a built-in log.
    pub(super) publisher: Option<&'a Publisher>,
    /// Events count their time from here.
    pub(super) started: Instant,
    pub(super) stamped: RefCell<Stamped>,
    pub(super) free: RefCell<Vec<Connection>>,
}

impl Load<'_> {
    /// Publishes for this long, and waits for the last answers.
    pub(super) async fn run(&self, time: Duration) -> Published {
        let (batch, one_in) = match self.publisher {
            None => (BATCH, ONE_IN),
            Some(_) => (1, ONE_IN_ON_NATS),
        };
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let send = async {
            let began = tokio::time::Instant::now();
            let mut number = 0;
            while began.elapsed() < time {
                let due = Duration::from_micros(number * batch * 1_000_000 / PACE);
                sleep_until(began + due).await;
                number += 1;
                let is_sample = number.is_multiple_of(one_in);
                match self.publisher {
                    Some(publisher) if !is_sample => {
                        let event = self.stamped.borrow_mut().next(self.now_us());
                        publisher.send_unheard(event.subject(), event.body()).await;
                    }
                    _ => sender.try_send(is_sample).expect("the ledger answers"),
                }
            }
            drop(sender);
            number * batch
        };
        let (events, mut published) = tokio::join!(send, self.wait(receiver, batch));
        published.events = events;
        published
    }

    /// Publishes batches as they are due, and waits for the answers to all of them at once.
    async fn wait(&self, mut due: mpsc::Receiver<bool>, batch: u64) -> Published {
        let mut published = Published::default();
        let (mut waiting, mut open) = (FuturesUnordered::new(), true);
        while open || !waiting.is_empty() {
            tokio::select! {
                is_sample = due.recv(), if open => match is_sample {
                    Some(is_sample) => waiting.push(self.one(batch, is_sample)),
                    None => open = false,
                },
                Some((acked, listed)) = waiting.next() => {
                    published.acked.push(ms(acked));
                    published.listed.extend(listed.map(ms));
                }
            }
        }
        published
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("a short time")
    }

    /// Publishes a batch. Returns the times until its acknowledgement, and until a listing shows it.
    async fn one(&self, batch: u64, is_sample: bool) -> (Duration, Option<Duration>) {
        let sent = Instant::now();
        let position = match self.publisher {
            Some(publisher) => {
                let event = self.stamped.borrow_mut().next(self.now_us());
                let ack = publisher.send(event.subject(), event.body()).await;
                ack.await.unwrap().sequence
            }
            None => self.post(batch).await,
        };
        let acked = sent.elapsed();
        if !is_sample {
            return (acked, None);
        }
        let target = format!("/v1/agent-sessions?limit=1&min_position={position}");
        self.ask(&http::get(&target, self.key)).await;
        (acked, Some(sent.elapsed()))
    }

    /// Posts a batch. Returns the position of its last event.
    async fn post(&self, batch: u64) -> u64 {
        let at_us = self.now_us();
        let bodies: Vec<String> = (0..batch)
            .map(|_| self.stamped.borrow_mut().next(at_us).body())
            .collect();
        let request = http::post_events(self.key, &format!("[{}]", bodies.join(",")));
        let answer = self.ask(&request).await;
        let (_, last) = answer.rsplit_once("\"position\":").expect("positions");
        let digits: String = last.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a position")
    }

    /// Asks on a free connection, or on a new one.
    async fn ask(&self, request: &[u8]) -> String {
        let kept = self.free.borrow_mut().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.node.connect().await,
        };
        let answer = connection.text(request).await;
        self.free.borrow_mut().push(connection);
        answer
    }
}
