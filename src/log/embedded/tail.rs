//! Follows the embedded log: waits for the head to move, then reads a range.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::blocking;
use super::store::{Store, closed};
use crate::domain::Position;
use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::log::{LogError, Record, Tail};

/// A reader at a position.
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
            let head = head.map(|head| *head).map_err(|_writer_gone| closed())?;
            let count = records_max.clamp(1, LOG_READ_RECORDS_MAX) as u64;
            let last = head.min(Position::new(after.get().saturating_add(count)));
            let store = Arc::clone(&self.store);
            let records = blocking(move || store.read(after.next()..=last)).await?;
            // Moved after the last await: a caller that gives up before here reads the same again.
            self.after = records.last().map_or(after, |record| record.position);
            Ok(records)
        }
        .boxed()
    }
}
