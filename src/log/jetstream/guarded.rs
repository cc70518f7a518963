//! Appending under a guard: the server compares the last position on the guard's subjects, and stores
//! the message only if it is the one that the caller knows.

use async_nats::HeaderName;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;

use super::batch::{self, BatchError, Header};
use super::link::Link;
use super::sent::{self, Failure, Unsent};
use crate::domain::Position;
use crate::domain::limits::{BODY_BYTES_MAX, LOG_BATCH_RECORDS_MAX, LOG_GUARDED_SINGLES_MAX};
use crate::log::{Appended, Guard, LogError, NewRecord};

/// The subject whose last message the server compares. It may have wildcards.
const EXPECTED_LAST_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

/// An append that has begun.
struct Append<'a> {
    link: &'a Link,
    stream: &'a str,
    guard: Guard,
    /// The last position on the guard's subjects that we know, with our own records.
    last_known: Position,
    appended: Appended,
}

/// Publishes records as long as nobody else publishes on the guard's subjects.
pub(super) async fn append(
    link: &Link,
    stream: &str,
    records: &[NewRecord],
    guard: Guard,
) -> Appended {
    let mut append = Append {
        link,
        stream,
        guard,
        last_known: guard.after,
        appended: Appended::with_capacity(records.len()),
    };
    for chunk in records.chunks(LOG_BATCH_RECORDS_MAX) {
        if let Err(error) = append.publish(chunk).await {
            // The records after a failure are not sent: they would be out of order.
            append.appended.resize(records.len(), Err(error));
            break;
        }
    }
    append.appended
}

impl Append<'_> {
    async fn publish(&mut self, records: &[NewRecord]) -> Result<(), LogError> {
        // Few records are faster one after another.
        if LOG_GUARDED_SINGLES_MAX < records.len() && records.iter().all(NewRecord::fits) {
            let together: Vec<_> = records.iter().collect();
            match batch::publish(self.link, self.stream, &together, self.expected()).await {
                Ok(positions) => {
                    self.add(&positions);
                    return Ok(());
                }
                Err(BatchError::Failed(error)) => return Err(error),
                Err(BatchError::Refused) => {}
            }
        }
        for record in records {
            let position = self.publish_one(record).await?;
            self.add(&[position]);
        }
        Ok(())
    }

    async fn publish_one(&self, record: &NewRecord) -> Result<Position, LogError> {
        if !record.fits() {
            return Err(LogError::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            });
        }
        match sent::send(self.link, record, self.expected()).await {
            Ok(sent) => sent
                .acknowledged(self.link, self.stream, &mut None)
                .await
                .map_err(Failure::into_error),
            Err(Unsent::Record(error) | Unsent::All(error)) => Err(error),
        }
    }

    /// Adds the positions of records that were stored.
    fn add(&mut self, positions: &[Position]) {
        self.appended.extend(positions.iter().copied().map(Ok));
        self.last_known = positions.last().copied().unwrap_or(self.last_known);
    }

    fn expected(&self) -> Vec<Header> {
        vec![
            (
                NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                self.last_known.to_string(),
            ),
            (EXPECTED_LAST_SUBJECT, self.guard.subject.to_owned()),
        ]
    }
}
