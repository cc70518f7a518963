//! Clocks that a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use session_ledger::app::clock::SystemClock;
use session_ledger::domain::{Clock, Timestamp};

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    /// Sets the clock, to any time.
    pub(crate) fn set_micros(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that is this many microseconds ahead of the true time.
#[derive(Debug)]
pub(crate) struct AheadClock(AtomicI64);

impl AheadClock {
    pub(crate) fn by_micros(ahead: i64) -> Self {
        Self(AtomicI64::new(ahead))
    }

    /// Sets how far the clock is ahead.
    pub(crate) fn set_micros(&self, ahead: i64) {
        self.0.store(ahead, Ordering::SeqCst);
    }
}

impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        let ahead = self.0.load(Ordering::SeqCst);
        SystemClock.now().plus_micros(ahead)
    }
}

/// Lets this much time pass for the timers of this runtime, which must have a single thread.
pub(crate) async fn pass(time: std::time::Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
