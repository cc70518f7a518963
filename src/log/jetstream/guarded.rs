//! Appending unless another was faster: the server checks, under its lock, that nothing has come on
//! a subject in the meantime.

use async_nats::HeaderName;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;

use super::batch::{self, BatchError, Header};
use super::link::Link;
use super::sent::{self, Failure, Unsent};
use crate::domain::Position;
use crate::domain::limits::{BODY_BYTES_MAX, LOG_BATCH_RECORDS_MAX, LOG_GUARDED_SINGLES_MAX};
use crate::log::{Appended, Guard, LogError, NewRecord};

/// The subject, which may have wildcards, whose last message is compared.
const EXPECTED_LAST_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

/// One append under way.
struct Append<'a> {
    link: &'a Link,
    stream: &'a str,
    /// Its position moves on with what is appended.
    guard: Guard,
    appended: Appended,
}

/// Publishes records while nothing has come on the guard's subject but they themselves.
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
        appended: Appended::with_capacity(records.len()),
    };
    for chunk in records.chunks(LOG_BATCH_RECORDS_MAX) {
        if let Err(error) = append.publish(chunk).await {
            // Nothing after a failure is tried: it would not follow what it should.
            append.appended.resize(records.len(), Err(error));
            break;
        }
    }
    append.appended
}

impl Append<'_> {
    async fn publish(&mut self, records: &[NewRecord]) -> Result<(), LogError> {
        // A few are faster one after another.
        if LOG_GUARDED_SINGLES_MAX < records.len() && records.iter().all(NewRecord::fits) {
            let together: Vec<_> = records.iter().collect();
            match batch::publish(self.link, self.stream, &together, self.expected()).await {
                Ok(positions) => {
                    self.note(&positions);
                    return Ok(());
                }
                Err(BatchError::Failed(error)) => return Err(error),
                Err(BatchError::Refused) => {}
            }
        }
        for record in records {
            let position = self.publish_one(record).await?;
            self.note(&[position]);
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

    fn note(&mut self, positions: &[Position]) {
        self.appended.extend(positions.iter().copied().map(Ok));
        self.guard.after = positions.last().copied().unwrap_or(self.guard.after);
    }

    fn expected(&self) -> Vec<Header> {
        vec![
            (
                NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                self.guard.after.to_string(),
            ),
            (EXPECTED_LAST_SUBJECT, self.guard.subject.to_owned()),
        ]
    }
}
