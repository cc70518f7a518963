//! Reads the embedded log: waits until the head moves, then reads a range of positions.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::blocking;
use super::store::Store;
use crate::domain::Position;
use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::log::{LogError, Record, Tail};

/// A reader. `after` is the last position that it has returned.
pub(super) struct EmbeddedTail {
    pub(super) store: Arc<Store>,
    pub(super) head: watch::Receiver<Position>,
    pub(super) after: Position,
}

impl Tail for EmbeddedTail {
    fn next(&mut self, records_max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            let after = self.after;
            let head = self.head.wait_for(|head| after < *head).await;
            let head = head
                .map(|head| *head)
                .map_err(|_writer_stopped| LogError::closed())?;
            let count = records_max.clamp(1, LOG_READ_RECORDS_MAX) as u64;
            let last = head.min(Position::new(after.get().saturating_add(count)));
            let store = Arc::clone(&self.store);
            let records = blocking(move || store.read(after.next()..=last)).await?;
            // After the last await: a caller that drops the future earlier reads these records again.
            self.after = records.last().map_or(after, |record| record.position);
            Ok(records)
        }
        .boxed()
    }
}
