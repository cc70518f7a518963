//! The questions that the read model answers. Every answer comes from one snapshot and says which.
//!
//! The functions here are synchronous and read one [`Snapshot`]; only the bodies of events come from
//! the log, afterwards: records never change, so they cannot disagree with the snapshot.
#![warn(missing_docs)]

pub mod agents;
mod cursor;
pub mod events;
mod page;
pub mod sessions;

pub use cursor::{Cursor, CursorError, Paged};
pub use events::{EventFilter, EventPage, LedgerEvent, Rejections};
pub use page::{Page, Start};
pub use sessions::SessionCounts;

use crate::domain::{Position, Timestamp};
use crate::log::LogError;
use crate::projection::{Snapshot, StoreError};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The read model failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed while bodies were read from it.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Which state of the ledger an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// The last record in it; 0 is none.
    pub position: Position,
    /// When the log took that record; `None` for an empty ledger.
    pub time: Option<Timestamp>,
}

impl AsOf {
    /// The state that a snapshot shows.
    pub fn of(snapshot: &Snapshot) -> Self {
        let progress = snapshot.progress();
        let time = (progress.position != Position::ZERO).then_some(progress.recorded_at);
        Self {
            position: progress.position,
            time,
        }
    }
}
