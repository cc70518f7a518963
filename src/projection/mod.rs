//! The projection: folds the log into redb, and is the only writer of the read model.
//!
//! The read model is a pure function of the log. Two files that folded the same records hold the same
//! entries, whatever the sizes of the batches; [`Snapshot::digest`] compares them.

mod agent_row;
mod batch;
mod before;
mod bytes;
mod error;
mod feed;
mod fold;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod history;
mod keys;
mod live;
mod meta;
mod notices;
mod numbers;
pub mod past;
mod prepare;
pub mod rebuild;
mod row_sum;
pub mod runner;
mod session_row;
mod snapshot;
mod store;
mod tables;
mod tally;
mod tenant_chain;
mod verdict_row;
pub mod verify;
mod working;

pub use agent_row::AgentRow;
pub use error::{FoldError, StoreError};
pub use keys::{AgentOwner, ListingOwner, SessionOwner};
pub use live::{Projection, Waited};
pub use meta::Progress;
pub use numbers::{
    AgentNumber, GroupNumber, Ordinal, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};
pub use past::{Past, PastSnapshot};
pub use prepare::Prepared;
pub(crate) use prepare::rules_after;
pub use row_sum::RowSum;
pub use session_row::SessionRow;
pub use snapshot::{
    AllTenants, Counted, Endings, EventRange, KnownAgent, Listing, ListingPlace, Order, PageRows,
    PageStart, RejectionCode, RowBytes, Snapshot, TenantSnapshot,
};
pub use store::{Commit, Folded, Folding, Store};
pub use verdict_row::VerdictRow;

/// The layout of the read models that this build reads and writes.
pub fn layout() -> u32 {
    tables::LAYOUT
}
