//! How fast the server takes single messages, and so from how many on a batch is faster.
//!
//! A batch takes about the same time whatever is in it. A single message takes a hundredth of that
//! from a server that syncs now and then, and a tenth or more from one that syncs every message. What
//! the server does it does not say, but its acknowledgements show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::limits::{LOG_BATCH_RECORDS_MIN, LOG_BATCH_US};

/// Fewer messages say more about the way there and back than about the server.
const SAMPLE_MESSAGES_MIN: u64 = 16;
/// One sample's share in what is believed: one in so many.
const SAMPLE_SHARE: u64 = 8;
/// What a batch takes from what is believed: one in so many.
const FADE_SHARE: u64 = 128;

/// The pace of single messages, over all appends of a connection together.
#[derive(Debug)]
pub(super) struct Pace {
    acknowledged: AtomicU64,
    single_ns: AtomicU64,
}

impl Default for Pace {
    /// That of a server which syncs now and then.
    fn default() -> Self {
        let records = LOG_BATCH_RECORDS_MIN as u64;
        Self {
            acknowledged: AtomicU64::new(0),
            single_ns: AtomicU64::new(LOG_BATCH_US * 1_000 / records),
        }
    }
}

impl Pace {
    /// How many messages were acknowledged so far: where an append begins to look.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Counts a message that was acknowledged by itself.
    pub(super) fn note(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Learns from an append that took so long, during which others had messages acknowledged too.
    pub(super) fn learn(&self, acknowledged_before: u64, took: Duration) {
        let messages = self.acknowledged().saturating_sub(acknowledged_before);
        if messages < SAMPLE_MESSAGES_MIN {
            return;
        }
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / messages;
        let known = self.single_ns.load(Ordering::Relaxed);
        let learned = known - known / SAMPLE_SHARE + sample / SAMPLE_SHARE;
        // A sample that is lost to another thread's is no loss.
        self.single_ns.store(learned, Ordering::Relaxed);
    }

    /// Whether so many records are faster as a batch. Batches say nothing of single messages, so what
    /// is known of these fades with every batch, until they are tried again.
    pub(super) fn prefers_batch(&self, records: usize) -> bool {
        let single_ns = self.single_ns.load(Ordering::Relaxed);
        let batch = LOG_BATCH_US * 1_000 <= single_ns.saturating_mul(records as u64);
        if batch {
            let faded = single_ns - single_ns / FADE_SHARE;
            self.single_ns.store(faded, Ordering::Relaxed);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(appends: u32, messages: u64, each: Duration) -> Pace {
        let pace = Pace::default();
        for _ in 0..appends {
            let before = pace.acknowledged();
            (0..messages).for_each(|_| pace.note());
            let messages = u32::try_from(messages).unwrap();
            pace.learn(before, each * messages);
        }
        pace
    }

    #[test]
    fn without_knowledge_a_batch_takes_what_a_server_that_syncs_now_and_then_needs() {
        let pace = Pace::default();
        assert!(!pace.prefers_batch(LOG_BATCH_RECORDS_MIN - 1));
        assert!(pace.prefers_batch(LOG_BATCH_RECORDS_MIN));
    }

    #[test]
    fn a_server_that_syncs_every_message_gets_batches_of_a_hundred() {
        assert!(after(6, 100, Duration::from_micros(300)).prefers_batch(100));
        assert!(!after(50, 100, Duration::from_micros(13)).prefers_batch(100));
    }

    #[test]
    fn single_messages_are_tried_again_after_many_batches() {
        let pace = after(50, 100, Duration::from_micros(300));
        assert!((0..50).all(|_| pace.prefers_batch(100)));
        assert!((0..500).any(|_| !pace.prefers_batch(100)));
    }

    #[test]
    fn a_few_messages_teach_nothing() {
        let pace = after(50, SAMPLE_MESSAGES_MIN - 1, Duration::from_millis(10));
        assert!(!pace.prefers_batch(100));
    }
}
