//! Atomic batches: the server keeps the messages until the last one arrives. Then it stores all of them
//! one after another, or none.

use async_nats::HeaderName;
use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::link::Link;
use super::sent::{self, Failure, Unsent, WAIT};
use crate::domain::Position;
use crate::log::{LogError, NewRecord};

/// A header of a message.
pub(super) type Header = (HeaderName, String);

/// Why a batch was not acknowledged.
pub(super) enum BatchError {
    /// The server refused the batch: too many batches are open, or one of the messages is invalid.
    /// Nothing was written.
    Refused,
    /// Any other failure. It is the error of each record of the batch.
    Failed(LogError),
}

/// Publishes records as one batch, and returns their positions. The first record carries the headers of
/// `guard`.
pub(super) async fn publish(
    link: &Link,
    stream: &str,
    records: &[&NewRecord],
    guard: Vec<Header>,
) -> Result<Vec<Position>, BatchError> {
    let (Some((last, others)), Some(batches)) = (records.split_last(), &link.batches) else {
        return Err(BatchError::Refused);
    };
    let deadline = Instant::now() + WAIT;
    let late = |_elapsed| {
        let why = "NATS is not connected, the stream has no leader, or other batches take long";
        BatchError::Failed(LogError::unavailable(why))
    };
    // The server refuses a batch if too many are open.
    let open = timeout_at(deadline, batches.acquire()).await;
    let _open = open.map_err(late)?;
    let connected = timeout_at(deadline, link.connected()).await;
    connected.map_err(late)?.map_err(BatchError::Failed)?;
    // Random, because a client that knows the id can add messages to the batch.
    let id = Uuid::new_v4().simple().to_string();
    let mut guard = Some(guard);
    let mut headers = |sequence: usize| {
        let batch = [
            (NATS_BATCH_ID, id.clone()),
            (NATS_BATCH_SEQUENCE, sequence.to_string()),
        ];
        guard.take().unwrap_or_default().into_iter().chain(batch)
    };
    for (record, sequence) in others.iter().zip(1..) {
        // Without a reply subject the server does not answer. It answers the last message.
        let headers = sent::headers(record, headers(sequence));
        let published = link.client.publish_with_headers(
            record.subject.to_string(),
            headers,
            record.body.clone(),
        );
        // If the batch has no end, the server drops its messages.
        let published = timeout_at(deadline, published).await.map_err(late)?;
        published.map_err(|_bad| BatchError::Refused)?;
    }
    let commit = (NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL.to_owned());
    let sent = sent::send(link, last, headers(records.len()).chain([commit])).await;
    let sent = match sent {
        Ok(sent) => sent,
        Err(Unsent::Record(_)) => return Err(BatchError::Refused),
        Err(Unsent::All(error)) => return Err(BatchError::Failed(error)),
    };
    match sent.acknowledged(link, stream, &mut None).await {
        Ok(last) => {
            let behind = (0..records.len() as u64).rev();
            Ok(behind
                .map(|behind| Position::new(last.get() - behind))
                .collect())
        }
        Err(Failure::Final(error @ (LogError::Unconfirmed(_) | LogError::Overtaken))) => {
            Err(BatchError::Failed(error))
        }
        Err(Failure::Busy | Failure::Final(_)) => Err(BatchError::Refused),
    }
}
