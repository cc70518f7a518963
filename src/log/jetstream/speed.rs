//! Estimates how fast the server stores single messages. From that follows how many records are faster as
//! a batch.
//!
//! A batch takes about the same time for few and for many messages. In that time, a server that syncs now
//! and then stores some hundred single messages, and one that syncs every message stores some forty. The
//! server does not say how it syncs, so this measures its acknowledgements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::limits::{LOG_BATCH_RECORDS_MIN, LOG_BATCH_US};

/// The fewest messages of a sample. With fewer, the network would take more of the time than the server.
const SAMPLE_MESSAGES_MIN: u64 = 64;
/// A new sample has one part in this many of the new estimate.
const SAMPLE_SHARE: u64 = 8;
/// Each batch lowers the estimate by one part in this many.
const FADE_SHARE: u64 = 128;
/// The longest time that a sample may give for a message. A server that takes longer has a fault.
const SINGLE_NS_MAX: u64 = 1_000_000;
/// The estimate for an unknown server: it syncs now and then.
const SINGLE_NS_MIN: u64 = LOG_BATCH_US * 1_000 / LOG_BATCH_RECORDS_MIN as u64;

/// The speed of single messages, measured over all appends of a connection.
#[derive(Debug)]
pub(super) struct Speed {
    /// The number of single messages that were acknowledged.
    acknowledged: AtomicU64,
    /// The estimated time for a single message, in nanoseconds.
    single_ns: AtomicU64,
}

/// The measurement of one append. It starts with the first message. It cannot start with the first
/// acknowledgement, because a server sends many of these at once.
#[derive(Debug)]
pub(super) struct Sample {
    acknowledged_before: u64,
    since: Instant,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            acknowledged: AtomicU64::new(0),
            single_ns: AtomicU64::new(SINGLE_NS_MIN),
        }
    }
}

impl Speed {
    /// Starts to measure an append.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            acknowledged_before: self.acknowledged.load(Ordering::Relaxed),
            since: Instant::now(),
        }
    }

    /// Counts a single message that was acknowledged.
    pub(super) fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Updates the estimate after an append whose messages were all acknowledged. Messages of concurrent
    /// appends count too.
    pub(super) fn learn(&self, sample: &Sample) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let messages = acknowledged.saturating_sub(sample.acknowledged_before);
        self.add_sample(messages, sample.since.elapsed());
    }

    fn add_sample(&self, messages: u64, took: Duration) {
        if messages < SAMPLE_MESSAGES_MIN {
            return;
        }
        let each = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / messages;
        let known = self.single_ns.load(Ordering::Relaxed);
        let new = known - known / SAMPLE_SHARE + each.min(SINGLE_NS_MAX) / SAMPLE_SHARE;
        self.set(new);
    }

    /// Lowers the estimate after a batch. Batches do not show how fast single messages are, so after many
    /// batches these are tried again.
    pub(super) fn fade(&self) {
        let known = self.single_ns.load(Ordering::Relaxed);
        self.set(known - known / FADE_SHARE);
    }

    /// If two threads set the estimate at once, one sample is lost. That does no harm.
    fn set(&self, single_ns: u64) {
        self.single_ns
            .store(single_ns.max(SINGLE_NS_MIN), Ordering::Relaxed);
    }

    /// Whether this number of records is faster as a batch.
    pub(super) fn prefers_batch(&self, records: usize) -> bool {
        let single_ns = self.single_ns.load(Ordering::Relaxed);
        LOG_BATCH_US * 1_000 <= single_ns.saturating_mul(records as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(appends: u32, messages: u64, each: Duration) -> Speed {
        let speed = Speed::default();
        let took = each * u32::try_from(messages).unwrap();
        for _ in 0..appends {
            speed.add_sample(messages, took);
        }
        speed
    }

    #[test]
    fn without_knowledge_a_batch_takes_what_a_server_that_syncs_now_and_then_needs() {
        let speed = Speed::default();
        assert!(!speed.prefers_batch(LOG_BATCH_RECORDS_MIN - 1));
        assert!(speed.prefers_batch(LOG_BATCH_RECORDS_MIN));
        speed.fade();
        assert!(speed.prefers_batch(LOG_BATCH_RECORDS_MIN));
    }

    #[test]
    fn a_server_that_syncs_every_message_gets_batches_of_a_hundred() {
        assert!(after(6, 100, Duration::from_micros(300)).prefers_batch(100));
        assert!(!after(50, 100, Duration::from_micros(13)).prefers_batch(100));
    }

    #[test]
    fn an_outage_is_not_held_against_the_server_for_long() {
        let speed = after(1, 100, Duration::from_secs(5));
        for _ in 0..20 {
            speed.add_sample(100, Duration::from_micros(1_300));
        }
        assert!(!speed.prefers_batch(100));
    }

    #[test]
    fn single_messages_are_tried_again_after_many_batches() {
        let speed = after(50, 100, Duration::from_micros(300));
        (0..50).for_each(|_| speed.fade());
        assert!(speed.prefers_batch(100));
        (0..500).for_each(|_| speed.fade());
        assert!(!speed.prefers_batch(100));
    }

    #[test]
    fn a_few_messages_teach_nothing() {
        let speed = after(50, SAMPLE_MESSAGES_MIN - 1, Duration::from_millis(10));
        assert!(!speed.prefers_batch(100));
    }
}
