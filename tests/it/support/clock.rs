//! A clock that the test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use session_ledger::domain::{Clock, Timestamp};

/// Stands still until it is set.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    /// Moves it, backwards as well.
    pub(crate) fn set_micros(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(Ordering::SeqCst))
    }
}
