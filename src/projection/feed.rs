//! Reads the log and decodes its records, a few chunks ahead of the fold.

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::domain::limits::{FOLD_QUEUE_CHUNKS_MAX, LOG_READ_RECORDS_MAX};
use crate::domain::{Position, Rules};
use crate::log::{Record, Tail};
use crate::projection::error::FoldError;
use crate::projection::prepare::{Prepared, rules_after};

/// Up to this many records are prepared on the current thread.
const PREPARE_INLINE_RECORDS_MAX: usize = 8;

/// The receiver of chunks of records that are ready to be folded.
pub(super) type Chunks = mpsc::Receiver<Vec<Prepared>>;

/// Prepares the records of a log, up to a last position.
pub(super) struct Feed {
    chunks: mpsc::Sender<Vec<Prepared>>,
    until: Position,
    /// The rules for the next record.
    rules: Rules,
}

impl Feed {
    /// A feed that ends at a position. `rules` apply to the first record.
    pub(super) fn until(until: Position, rules: Rules) -> (Self, Chunks) {
        let (sender, chunks) = mpsc::channel(FOLD_QUEUE_CHUNKS_MAX);
        let feed = Self {
            chunks: sender,
            until,
            rules,
        };
        (feed, chunks)
    }

    /// A feed that never ends.
    pub(super) fn endless(rules: Rules) -> (Self, Chunks) {
        Self::until(Position::new(u64::MAX), rules)
    }

    /// Reads until the last position, or until the receiver is dropped.
    pub(super) async fn run(mut self, tail: &mut dyn Tail) -> Result<(), FoldError> {
        let mut last = Position::ZERO;
        while last < self.until {
            let mut records = tail.next(LOG_READ_RECORDS_MAX).await?;
            last = records.last().map_or(last, |record| record.position);
            records.retain(|record| record.position <= self.until);
            let (chunk, rules) = prepare(records, self.rules).await?;
            self.rules = rules;
            if self.chunks.send(chunk).await.is_err() {
                // The fold has failed, and reports the error itself.
                break;
            }
        }
        Ok(())
    }
}

/// Prepares records, and returns the rules that apply after them.
async fn prepare(
    records: Vec<Record>,
    mut rules: Rules,
) -> Result<(Vec<Prepared>, Rules), FoldError> {
    // Waking another thread costs more than decoding a few records.
    let inline = records.len() <= PREPARE_INLINE_RECORDS_MAX;
    let prepare = move || {
        let records = records.into_iter().map(|record| {
            let at = rules;
            rules = rules_after(at, &record);
            Prepared::new(at, record)
        });
        (records.collect(), rules)
    };
    if inline {
        return Ok(prepare());
    }
    spawn_blocking(prepare).await.map_err(FoldError::Panicked)
}
