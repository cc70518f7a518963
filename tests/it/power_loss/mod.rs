//! Power failures at any write: what the built-in log has acknowledged is there, and the read model and
//! the keys go on.
//!
//! The files are on a disk in memory (`simulation::disk`), which loses, keeps or tears what was not
//! synced. The database on it is the real one.

mod events;
mod keys;
#[cfg(test)]
mod tests;

use std::ops::AddAssign;

use session_ledger::domain::{Clock, Timestamp};

use crate::fold::history::START_US;

pub(crate) use events::events;
pub(crate) use keys::keys;

/// The number of power failures in one life of a disk.
pub(crate) const CUTS_PER_LIFE: u64 = 5;

/// What a number of power failures came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    pub(crate) made: u64,
    /// Records that were acknowledged before the power failed.
    pub(crate) acknowledged: u64,
    /// Records that were on the log although they were not acknowledged.
    pub(crate) unacknowledged: u64,
    /// Failures while the file was being opened.
    pub(crate) at_open: u64,
    /// Read models that had to be rebuilt.
    pub(crate) rebuilt: u64,
}

impl AddAssign for Cuts {
    fn add_assign(&mut self, other: Self) {
        self.made += other.made;
        self.acknowledged += other.acknowledged;
        self.unacknowledged += other.unacknowledged;
        self.at_open += other.at_open;
        self.rebuilt += other.rebuilt;
    }
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(START_US).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap()
}
