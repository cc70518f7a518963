//! The questions that the read model answers. Every answer comes from one snapshot and says which.
//!
//! The functions here are synchronous and read one [`Snapshot`]; only the bodies of events come from
//! the log, afterwards: records never change, so they cannot disagree with the snapshot.
#![warn(missing_docs)]

pub mod agents;
mod cursor;
pub mod events;
mod ids;
mod page;
pub mod sessions;
mod sight;

pub use crate::projection::PageStart;
pub use cursor::{Cursor, CursorError, Paged};
pub use events::{EventFilter, EventPage, LedgerEvent, Rejections};
pub use ids::{known_agent, known_session};
pub use page::Page;
pub use sessions::SessionCounts;
pub use sight::Sight;

use crate::domain::{Position, Timestamp};
use crate::log::LogError;
use crate::projection::{Snapshot, StoreError};
use sight::{Agents, Shown};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The read model failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed while bodies were read from it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It cannot be answered for one agent alone, and the caller is shown no more.
    #[error("the credential is bound to an agent, and this cannot be told of one agent alone")]
    OneAgent,
}

/// Which state of the ledger an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// The last record in it; 0 is none.
    pub position: Position,
    /// When the log took the last one of the tenant; `None` if it has none, or is not shown as a
    /// whole. The last one of all would tell when another tenant wrote.
    pub time: Option<Timestamp>,
}

impl AsOf {
    /// The state that a snapshot shows to a caller.
    pub fn of(snapshot: &Snapshot, sight: Sight<'_>) -> Result<Self, StoreError> {
        Self::of_shown(snapshot, sight.find(snapshot)?)
    }

    fn of_shown(snapshot: &Snapshot, shown: Option<Shown<'_>>) -> Result<Self, StoreError> {
        let whole = shown.filter(|shown| shown.agents == Agents::All);
        let last = whole.map(|shown| shown.tenant.last_verdict());
        let last = last.transpose()?.flatten();
        Ok(Self {
            position: snapshot.progress().position,
            time: last.map(|row| row.recorded_at),
        })
    }
}
