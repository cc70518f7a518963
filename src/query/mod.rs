//! Queries of the read model. Every answer comes from one snapshot, and names the state that it shows.
//!
//! The functions are synchronous and read one [`Snapshot`]. Only the bodies of events are read from the
//! log, afterwards. Records never change, so the bodies cannot disagree with the snapshot.
#![warn(missing_docs)]

pub mod agents;
mod cursor;
pub mod events;
pub mod export;
mod ids;
pub mod lineage;
mod live;
mod page;
pub mod sessions;
mod sight;
pub mod trees;

pub use crate::projection::PageStart;
pub use cursor::{Cursor, CursorError, Paged};
pub use events::{EventFilter, EventPage, LedgerEvent, Rejections};
pub use ids::{known_agent, known_session};
pub use lineage::{Lineage, LineageStart};
pub use live::{Changes, Held, Window};
pub use page::Page;
pub use sessions::SessionCounts;
pub use sight::Sight;
pub use trees::TreeFilter;

use crate::domain::limits::TREE_SESSIONS_MAX;
use crate::domain::{Position, Timestamp};
use crate::log::LogError;
use crate::projection::{Snapshot, StoreError};
use sight::{Agents, Shown};

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The read model failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed while bodies were read from it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A page of descendants starts after a session that is none of them.
    #[error("is no descendant of this session; send next_after of a page unchanged")]
    NoDescendant,
    /// The log has other records than the fold has read.
    #[error(
        "the tenant's records after position {after} up to {until} are not those that were folded: the log \
         was changed. An operator finds the place with `session-ledger verify`"
    )]
    OtherRecords {
        /// The last position before them.
        after: Position,
        /// The last of them.
        until: Position,
    },
    /// A tree has too many sessions to be listed.
    #[error(
        "the tree has more than {TREE_SESSIONS_MAX} sessions, which the ledger cannot list together"
    )]
    TreeTooLarge,
    /// The answer is not known for a single agent, and the caller may see only one.
    #[error("the credential is bound to an agent, and the answer is not known for a single agent")]
    OneAgent,
}

/// The state of the ledger that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// The last folded record; 0 if there is none.
    pub position: Position,
    /// The time of the tenant's last record; `None` if the tenant has none, or if the caller may see only
    /// one agent. The time of the last record of all would show when another tenant wrote.
    pub time: Option<Timestamp>,
}

impl AsOf {
    /// A state that includes no record.
    pub(crate) const NOTHING: Self = Self {
        position: Position::ZERO,
        time: None,
    };

    /// The state that a snapshot shows to a caller.
    pub fn of(snapshot: &Snapshot, sight: Sight<'_>) -> Result<Self, StoreError> {
        Self::of_shown(snapshot, sight.find(snapshot)?)
    }

    fn of_shown(snapshot: &Snapshot, shown: Option<Shown<'_>>) -> Result<Self, StoreError> {
        let whole = shown.filter(|shown| shown.agents == Agents::All);
        let last = whole.map(|shown| shown.tenant.last_verdict());
        let last = last.transpose()?.flatten();
        Ok(Self {
            position: snapshot.position(),
            time: last.map(|(_, row)| row.recorded_at),
        })
    }
}

/// The position of the last record of the caller's tenant; 0 if there is none.
pub fn last_position(snapshot: &Snapshot, sight: Sight<'_>) -> Result<Position, StoreError> {
    let last = snapshot.of_tenant(sight.tenant)?;
    let last = last.map(|tenant| tenant.last_verdict()).transpose()?;
    Ok(last
        .flatten()
        .map_or(Position::ZERO, |(position, _)| position))
}
