//! Where the records of a backup are read from.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::error::reason;
use crate::domain::Position;
use crate::domain::causes::BoxError;
use crate::domain::limits::LOG_READ_RECORDS_MAX;
use crate::log::{EventLog, LogError, Record, Tail};

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The next record is missing or damaged, although the log goes on. The text says why.
    #[error("{0}")]
    Lost(String),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A server between here and the log failed.
    #[error(transparent)]
    Other(BoxError),
}

/// A log from which a backup is made.
pub trait Source: Send {
    /// Asks for the last position.
    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>>;

    /// Returns the next records after a position, at least one and none behind `until`, which is not
    /// behind the head. Fails as [`SourceError::Lost`] if the very next one is lost.
    fn read(
        &mut self,
        after: Position,
        until: Position,
    ) -> BoxFuture<'_, Result<Vec<Record>, SourceError>>;
}

/// Reads a log of this process.
pub struct LogReader {
    log: Arc<dyn EventLog>,
    /// The open tail, and the last position that it returned.
    tail: Option<(Box<dyn Tail>, Position)>,
    /// Up to here records are read one by one, because a read of several has failed.
    one_by_one: Position,
}

impl LogReader {
    /// Reads this log.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            tail: None,
            one_by_one: Position::ZERO,
        }
    }

    async fn several(&mut self, after: Position) -> Result<Vec<Record>, LogError> {
        let mut tail = match self.tail.take() {
            Some((tail, at)) if at == after => tail,
            Some(_) | None => self.log.tail(after).await?,
        };
        let records = tail.next(LOG_READ_RECORDS_MAX).await?;
        if let Some(last) = records.last() {
            self.tail = Some((tail, last.position));
        }
        Ok(records)
    }

    async fn read(&mut self, after: Position, until: Position) -> Result<Vec<Record>, SourceError> {
        let next = after.next();
        if next <= self.one_by_one || next == until {
            return one(&*self.log, next).await;
        }
        match self.several(after).await {
            Ok(mut records) => {
                records.retain(|record| record.position <= until);
                Ok(records)
            }
            Err(error) if error.is_loss() => {
                let some = after.get().saturating_add(LOG_READ_RECORDS_MAX as u64);
                self.one_by_one = match error {
                    LogError::Gap { found, .. } => found,
                    // No tail can be opened on such a log.
                    LogError::Erased { .. } => until,
                    _ => Position::new(some),
                };
                one(&*self.log, next).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn one(log: &dyn EventLog, position: Position) -> Result<Vec<Record>, SourceError> {
    match log.get(vec![position]).await {
        Ok(records) => Ok(records),
        Err(error) if error.is_loss() => Err(SourceError::Lost(reason(&error))),
        Err(error) => Err(error.into()),
    }
}

impl Source for LogReader {
    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>> {
        let log = Arc::clone(&self.log);
        async move { Ok(log.head().await?) }.boxed()
    }

    fn read(
        &mut self,
        after: Position,
        until: Position,
    ) -> BoxFuture<'_, Result<Vec<Record>, SourceError>> {
        Self::read(self, after, until).boxed()
    }
}
