//! How many writes wait for their verdicts at one time, and how others wait for their turn.
//!
//! Each batch of the fold wakes all writes that wait for it. So beyond a number of them, more make the
//! ledger slower. A write that comes then waits for its turn for a short time, in the order of arrival.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::domain::limits::{WRITER_TURN_WAIT_MS, WRITERS_MAX, WRITERS_QUEUED_MAX};

/// The turns of a ledger's writes.
#[derive(Debug)]
pub(super) struct Turns {
    running: Semaphore,
    queued: Semaphore,
}

/// How many writes of a ledger are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writes {
    /// Those that have their turn.
    pub running: usize,
    /// Those that wait for their turn.
    pub queued: usize,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            running: Semaphore::new(WRITERS_MAX),
            queued: Semaphore::new(WRITERS_QUEUED_MAX),
        }
    }

    /// Waits for a turn; `None` if that takes too long, or if too many wait already.
    pub(super) async fn next(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.running.try_acquire() {
            return Some(turn);
        }
        let _queued = self.queued.try_acquire().ok()?;
        let at_most = Duration::from_millis(WRITER_TURN_WAIT_MS);
        timeout(at_most, self.running.acquire()).await.ok()?.ok()
    }

    /// Whether a write that comes now would be refused.
    pub(super) fn are_taken(&self) -> bool {
        self.running.available_permits() == 0 && self.queued.available_permits() == 0
    }

    pub(super) fn writes(&self) -> Writes {
        Writes {
            running: WRITERS_MAX - self.running.available_permits(),
            queued: WRITERS_QUEUED_MAX - self.queued.available_permits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_its_turn_in_the_order_of_arrival() {
        let turns = Turns::new();
        let mut running: Vec<_> = join_all((0..WRITERS_MAX).map(|_| turns.next())).await;
        let order = RefCell::new(Vec::new());
        let wait = async |name: &'static str| {
            let turn = turns.next().await;
            order.borrow_mut().push(name);
            drop(turn);
        };
        let end_one = async {
            let writes = turns.writes();
            assert_eq!((writes.running, writes.queued), (WRITERS_MAX, 2));
            running.pop();
        };
        tokio::join!(biased; wait("first"), wait("second"), end_one);
        assert_eq!(*order.borrow(), ["first", "second"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_turn_does_not_come_is_refused_in_time() {
        let turns = Turns::new();
        let running: Vec<_> = join_all((0..WRITERS_MAX).map(|_| turns.next())).await;
        let began = Instant::now();
        assert!(turns.next().await.is_none());
        assert_eq!(began.elapsed(), Duration::from_millis(WRITER_TURN_WAIT_MS));
        drop(running);
        assert!(turns.next().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_write_more_than_may_queue_is_refused_at_once() {
        let turns = Turns::new();
        let _running: Vec<_> = join_all((0..WRITERS_MAX).map(|_| turns.next())).await;
        let refused_after = async {
            let began = Instant::now();
            assert!(turns.next().await.is_none());
            began.elapsed()
        };
        let queued = join_all((0..WRITERS_QUEUED_MAX).map(|_| turns.next()));
        // The queue fills first.
        let (queued, after) = tokio::join!(biased; queued, refused_after);
        assert_eq!(after, Duration::ZERO);
        assert!(queued.iter().all(Option::is_none));
    }
}
