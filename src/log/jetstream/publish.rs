//! Appends records: publishes them in order, waits for many acknowledgements at once, and gives each
//! record a result.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::batch::{self, BatchError};
use super::link::Link;
use super::sent::{self, Failure, Grace, Sent, Unsent, WAIT};
use crate::domain::limits::{BODY_BYTES_MAX, LOG_BATCH_RECORDS_MAX, LOG_PUBLISH_IN_FLIGHT_MAX};
use crate::domain::{Position, backoff};
use crate::log::{Appended, LogError, NewRecord};

/// The first and the longest pause before records are sent again to a busy server.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(5);
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(200);

/// An append that has begun.
struct Append<'a> {
    link: &'a Link,
    stream: &'a str,
    records: &'a [NewRecord],
    /// The result of each record; `None` before the first attempt.
    results: Vec<Option<Result<Position, Failure>>>,
    grace: Grace,
}

/// Publishes records to the stream and waits for their acknowledgements.
pub(super) async fn append(link: &Link, stream: &str, records: &[NewRecord]) -> Appended {
    let results = records.iter().map(|record| {
        if record.fits() {
            None
        } else {
            Some(Err(Failure::Final(LogError::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            })))
        }
    });
    let mut append = Append {
        link,
        stream,
        records,
        results: results.collect(),
        grace: None,
    };
    // Before the first message. Otherwise appends would hold a part of the messages that may be in
    // flight while each waits for more of them, until all time out.
    let Some(_permits) = link.admit(records.len()).await else {
        let busy = LogError::unavailable("too many appends wait for NATS");
        return vec![Err(busy); records.len()];
    };
    let deadline = Instant::now() + WAIT;
    append.publish_batches().await;
    append.run(deadline).await;
    append
        .results
        .into_iter()
        .map(|result| {
            // A record without an attempt stands behind one that a busy server refused.
            let result = result.unwrap_or(Err(Failure::Busy));
            result.map_err(Failure::into_error)
        })
        .collect()
}

impl Append<'_> {
    /// Publishes chunks as batches for as long as batches are faster and the server accepts them.
    async fn publish_batches(&mut self) {
        let left = self.left();
        for (number, indexes) in left.chunks(LOG_BATCH_RECORDS_MAX).enumerate() {
            if !self.link.speed.prefers_batch(indexes.len()) {
                return;
            }
            let records = indexes.iter().filter_map(|index| self.records.get(*index));
            let records: Vec<_> = records.collect();
            match batch::publish(self.link, self.stream, &records, Vec::new()).await {
                Ok(positions) => {
                    self.link.speed.fade();
                    for (&index, position) in indexes.iter().zip(positions) {
                        self.set(index, Ok(position));
                    }
                }
                // Single messages show which record the server refuses.
                Err(BatchError::Refused) => return,
                Err(BatchError::Failed(error)) => {
                    // The records after a failure are not sent: they would be out of order.
                    for &index in left.iter().skip(number * LOG_BATCH_RECORDS_MAX) {
                        self.set(index, Err(Failure::Final(error.clone())));
                    }
                    return;
                }
            }
        }
    }

    async fn run(&mut self, deadline: Instant) {
        for retries in 0.. {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            let sample = self.link.speed.sample();
            self.publish(&left).await;
            if left
                .iter()
                .all(|index| matches!(self.results.get(*index), Some(Some(Ok(_)))))
            {
                self.link.speed.learn(&sample);
            }
            let pause = backoff(retries, BUSY_PAUSE_MIN, BUSY_PAUSE_MAX);
            if self.left().is_empty() || deadline < Instant::now() + pause {
                return;
            }
            sleep(pause).await;
        }
    }

    /// Returns the indexes of the records that are still to be published. A record that a busy server
    /// refused is left out if a later one may be stored: it would be out of order.
    fn left(&self) -> Vec<usize> {
        let stored = |result: &Option<Result<Position, Failure>>| {
            matches!(
                result,
                Some(Ok(_) | Err(Failure::Final(LogError::Unconfirmed(_))))
            )
        };
        let first = self
            .results
            .iter()
            .rposition(stored)
            .map_or(0, |last| last + 1);
        let is_left = |index: &usize| {
            let result = self.results.get(*index);
            matches!(result, Some(None | Some(Err(Failure::Busy))))
        };
        (first..self.results.len()).filter(is_left).collect()
    }

    /// Publishes records in order, and waits for all their acknowledgements. Stops early if the server is
    /// busy or the connection is lost.
    async fn publish(&mut self, indexes: &[usize]) {
        let mut in_flight = VecDeque::with_capacity(indexes.len().min(LOG_PUBLISH_IN_FLIGHT_MAX));
        let mut going_on = true;
        for &index in indexes {
            if in_flight.len() == LOG_PUBLISH_IN_FLIGHT_MAX
                && let Some((oldest, sent)) = in_flight.pop_front()
            {
                going_on = self.settle(oldest, sent).await;
            }
            if !going_on {
                break;
            }
            match self.send(index).await {
                Ok(sent) => in_flight.push_back((index, sent)),
                Err(Unsent::Record(error)) => self.set(index, Err(Failure::Final(error))),
                Err(Unsent::All(error)) => {
                    // Each of the others would wait just as long.
                    for &index in indexes.iter().filter(|other| index <= **other) {
                        self.set(index, Err(Failure::Final(error.clone())));
                    }
                    break;
                }
            }
        }
        for (index, sent) in in_flight {
            self.settle(index, sent).await;
        }
    }

    async fn send(&self, index: usize) -> Result<Sent, Unsent> {
        let record = self.records.get(index);
        let no_record = || LogError::unavailable("no such record");
        let record = record.ok_or_else(|| Unsent::Record(no_record()))?;
        sent::send(self.link, record, []).await
    }

    /// Waits for an acknowledgement. Returns whether to publish more.
    async fn settle(&mut self, index: usize, sent: Sent) -> bool {
        let result = sent
            .acknowledged(self.link, self.stream, &mut self.grace)
            .await;
        if result.is_ok() {
            self.link.speed.count();
        }
        let going_on = !matches!(
            result,
            Err(Failure::Busy | Failure::Final(LogError::Unconfirmed(_)))
        );
        self.set(index, result);
        going_on
    }

    fn set(&mut self, index: usize, result: Result<Position, Failure>) {
        if let Some(slot) = self.results.get_mut(index) {
            *slot = Some(result);
        }
    }
}
