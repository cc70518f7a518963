//! Appending: publish in order, many acknowledgements in flight, one result per record.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::batch::{self, BatchError};
use super::link::Link;
use super::sent::{self, Failure, Grace, Sent, Unsent, WAIT};
use crate::domain::limits::{BODY_BYTES_MAX, LOG_BATCH_RECORDS_MAX, LOG_PUBLISH_IN_FLIGHT_MAX};
use crate::domain::{Position, backoff};
use crate::log::{Appended, LogError, NewRecord};

/// The first and the longest pause after the server said that it is busy.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(5);
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(200);

/// One append under way.
struct Append<'a> {
    link: &'a Link,
    stream: &'a str,
    records: &'a [NewRecord],
    /// By record; `Busy` until it was tried.
    results: Vec<Result<Position, Failure>>,
    grace: Grace,
}

/// Publishes records to the stream and waits for their acknowledgements.
pub(super) async fn append(link: &Link, stream: &str, records: &[NewRecord]) -> Appended {
    let results = records.iter().map(|record| {
        if record.fits() {
            Err(Failure::Busy)
        } else {
            Err(Failure::Final(LogError::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            }))
        }
    });
    let mut append = Append {
        link,
        stream,
        records,
        results: results.collect(),
        grace: None,
    };
    let deadline = Instant::now() + WAIT;
    append.publish_batches().await;
    append.run(deadline).await;
    append
        .results
        .into_iter()
        .map(|result| result.map_err(Failure::into_error))
        .collect()
}

impl Append<'_> {
    /// Publishes what is many in batches, until there is one that the server does not take.
    async fn publish_batches(&mut self) {
        let left = self.left();
        for (number, indexes) in left.chunks(LOG_BATCH_RECORDS_MAX).enumerate() {
            if !self.link.pace.prefers_batch(indexes.len()) {
                return;
            }
            let records = indexes.iter().filter_map(|index| self.records.get(*index));
            let records: Vec<_> = records.collect();
            match batch::publish(self.link, self.stream, &records, Vec::new()).await {
                Ok(positions) => {
                    self.link.pace.fade();
                    for (&index, position) in indexes.iter().zip(positions) {
                        self.set(index, Ok(position));
                    }
                }
                // One by one it shows which record is at fault.
                Err(BatchError::Refused) => return,
                Err(BatchError::Failed(error)) => {
                    // Nothing after it is tried: it would stand before what it should follow.
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
            let sample = self.link.pace.sample();
            self.publish(&left).await;
            if left
                .iter()
                .all(|index| matches!(self.results.get(*index), Some(Ok(_))))
            {
                self.link.pace.learn(&sample);
            }
            let pause = backoff(retries, BUSY_PAUSE_MIN, BUSY_PAUSE_MAX);
            if self.left().is_empty() || deadline < Instant::now() + pause {
                return;
            }
            sleep(pause).await;
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
                    // The rest would wait as long, one after another.
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
        let no_record = || LogError::Unavailable("no such record".to_owned());
        let record = record.ok_or_else(|| Unsent::Record(no_record()))?;
        sent::send(self.link, record, []).await
    }

    /// Waits for an acknowledgement. Says whether to go on publishing.
    async fn settle(&mut self, index: usize, sent: Sent) -> bool {
        let result = sent
            .acknowledged(self.link, self.stream, &mut self.grace)
            .await;
        if result.is_ok() {
            self.link.pace.note();
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
            *slot = result;
        }
    }
}
