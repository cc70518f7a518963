//! The history file: which sessions and agents were listed where, at each position of the log.
//!
//! It trails the read model and is made from it alone, so it needs no log and may be deleted. What users wait
//! for does not wait for it. [ADR 0030](../../../docs/adr/0030-any-listing-at-any-past-position.md) has the
//! reasons.
//!
//! Together with the states that changes replaced (`projection::before`), it answers every listing as of an
//! earlier position: see [`Snapshot::at`](crate::projection::Snapshot::at).

mod counts;
mod file;
pub mod runner;
mod spans;
mod tables;
mod times;
mod trail;

pub(in crate::projection) use counts::Counts;
pub use file::{Bounds, Past, PastSnapshot};
pub(in crate::projection) use spans::{Found, Scan};
