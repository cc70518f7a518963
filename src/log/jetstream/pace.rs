//! How fast the server takes single messages, and so from how many on a batch is faster.
//!
//! A batch takes about the same time whatever is in it. Of single messages, a server that syncs now and
//! then takes some hundreds in that time, and one that syncs every message some forty. Which of them it
//! is the server does not say, but its acknowledgements show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::limits::{LOG_BATCH_RECORDS_MIN, LOG_BATCH_US};

/// Fewer messages say more about the way there and back than about the server.
const SAMPLE_MESSAGES_MIN: u64 = 64;
/// One sample's share in what is believed: one in so many.
const SAMPLE_SHARE: u64 = 8;
/// What a batch takes from what is believed: one in so many.
const FADE_SHARE: u64 = 128;
/// No server takes longer for a message unless something is wrong with it.
const SINGLE_NS_MAX: u64 = 1_000_000;
/// A server of which nothing is known is taken for one that syncs now and then.
const SINGLE_NS_MIN: u64 = LOG_BATCH_US * 1_000 / LOG_BATCH_RECORDS_MIN as u64;

/// The pace of single messages, over all appends of a connection together.
#[derive(Debug)]
pub(super) struct Pace {
    acknowledged: AtomicU64,
    single_ns: AtomicU64,
}

/// One append, from its first message on. Not from the first acknowledgement: a server sends many of
/// them at once.
#[derive(Debug)]
pub(super) struct Sample {
    acknowledged_before: u64,
    since: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            acknowledged: AtomicU64::new(0),
            single_ns: AtomicU64::new(SINGLE_NS_MIN),
        }
    }
}

impl Pace {
    /// Begins to look at an append.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            acknowledged_before: self.acknowledged.load(Ordering::Relaxed),
            since: Instant::now(),
        }
    }

    /// Counts a message that was acknowledged by itself.
    pub(super) fn note(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Learns from an append all of which was acknowledged, while others had messages acknowledged too.
    pub(super) fn learn(&self, sample: &Sample) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let messages = acknowledged.saturating_sub(sample.acknowledged_before);
        self.learn_that(messages, sample.since.elapsed());
    }

    fn learn_that(&self, messages: u64, took: Duration) {
        if messages < SAMPLE_MESSAGES_MIN {
            return;
        }
        let each = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / messages;
        let known = self.single_ns.load(Ordering::Relaxed);
        let learned = known - known / SAMPLE_SHARE + each.min(SINGLE_NS_MAX) / SAMPLE_SHARE;
        self.believe(learned);
    }

    /// Batches say nothing of single messages, so what is known of these fades with every batch, until
    /// they are tried again.
    pub(super) fn fade(&self) {
        let known = self.single_ns.load(Ordering::Relaxed);
        self.believe(known - known / FADE_SHARE);
    }

    /// A change that is lost to another thread's is no loss.
    fn believe(&self, single_ns: u64) {
        self.single_ns
            .store(single_ns.max(SINGLE_NS_MIN), Ordering::Relaxed);
    }

    /// Whether so many records are faster as a batch.
    pub(super) fn prefers_batch(&self, records: usize) -> bool {
        let single_ns = self.single_ns.load(Ordering::Relaxed);
        LOG_BATCH_US * 1_000 <= single_ns.saturating_mul(records as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(appends: u32, messages: u64, each: Duration) -> Pace {
        let pace = Pace::default();
        let took = each * u32::try_from(messages).unwrap();
        for _ in 0..appends {
            pace.learn_that(messages, took);
        }
        pace
    }

    #[test]
    fn without_knowledge_a_batch_takes_what_a_server_that_syncs_now_and_then_needs() {
        let pace = Pace::default();
        assert!(!pace.prefers_batch(LOG_BATCH_RECORDS_MIN - 1));
        assert!(pace.prefers_batch(LOG_BATCH_RECORDS_MIN));
        pace.fade();
        assert!(pace.prefers_batch(LOG_BATCH_RECORDS_MIN));
    }

    #[test]
    fn a_server_that_syncs_every_message_gets_batches_of_a_hundred() {
        assert!(after(6, 100, Duration::from_micros(300)).prefers_batch(100));
        assert!(!after(50, 100, Duration::from_micros(13)).prefers_batch(100));
    }

    #[test]
    fn an_outage_is_not_held_against_the_server_for_long() {
        let pace = after(1, 100, Duration::from_secs(5));
        for _ in 0..20 {
            pace.learn_that(100, Duration::from_micros(1_300));
        }
        assert!(!pace.prefers_batch(100));
    }

    #[test]
    fn single_messages_are_tried_again_after_many_batches() {
        let pace = after(50, 100, Duration::from_micros(300));
        (0..50).for_each(|_| pace.fade());
        assert!(pace.prefers_batch(100));
        (0..500).for_each(|_| pace.fade());
        assert!(!pace.prefers_batch(100));
    }

    #[test]
    fn a_few_messages_teach_nothing() {
        let pace = after(50, SAMPLE_MESSAGES_MIN - 1, Duration::from_millis(10));
        assert!(!pace.prefers_batch(100));
    }
}
