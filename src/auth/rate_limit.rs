//! How many requests a second one credential may make, on this node.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::domain::limits::RATE_SWEEP_REQUESTS;

/// A rate and how far it may be exceeded for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once after a rest.
    pub burst: NonZeroU32,
}

/// Where a credential stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it is held to.
    pub limit: RateLimit,
    /// How many more requests it may make at once.
    pub remaining: u32,
    /// In how many seconds, rounded up, it may again make as many as after a rest.
    pub reset_s: u64,
    /// If this request was one too many: in how many seconds, rounded up, the next is not.
    pub retry_after_s: Option<u64>,
}

/// The limits of all credentials.
pub struct RateLimits {
    limit: RateLimit,
    limiter:
        RateLimiter<Arc<str>, HashMapStateStore<Arc<str>>, Elapsed, StateInformationMiddleware>,
    counted: AtomicU64,
}

/// The time since the start, which never goes back. The runtime's, so that a test can stop it.
#[derive(Debug, Clone)]
struct Elapsed(Instant);

impl Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl RateLimits {
    /// The same limit for each credential.
    pub fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        let limiter = RateLimiter::hashmap_with_clock(quota, Elapsed(Instant::now()));
        Self {
            limit,
            limiter: limiter.with_middleware(),
            counted: AtomicU64::new(0),
        }
    }

    /// Counts a request of a credential.
    pub fn count(&self, credential: &Arc<str>) -> Standing {
        // Those at rest are as good as new: what stays is bounded by what was busy of late.
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted.is_multiple_of(RATE_SWEEP_REQUESTS) {
            self.limiter.retain_recent();
        }
        let limit = self.limit;
        let (remaining, retry_after_s) = match self.limiter.check_key(credential) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => {
                let now = self.limiter.clock().now();
                (0, Some(whole_seconds(until.wait_time_from(now)).max(1)))
            }
        };
        let used = limit.burst.get() - remaining.min(limit.burst.get());
        let reset_s = u64::from(used.div_ceil(limit.per_second.get()));
        Standing {
            limit,
            remaining,
            reset_s,
            retry_after_s,
        }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_second: u32, burst: u32) -> RateLimits {
        RateLimits::new(RateLimit {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    /// Remaining, reset and retry after each of some requests.
    fn count(limits: &RateLimits, who: &str, requests: usize) -> Vec<(u32, u64, Option<u64>)> {
        let who: Arc<str> = who.into();
        let standing = |_| {
            let it = limits.count(&who);
            (it.remaining, it.reset_s, it.retry_after_s)
        };
        (0..requests).map(standing).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_the_rate() {
        let limits = limits(2, 3);
        assert_eq!(
            count(&limits, "a", 4),
            [(2, 1, None), (1, 1, None), (0, 2, None), (0, 2, Some(1))]
        );
        tokio::time::advance(Duration::from_millis(499)).await;
        assert_eq!(count(&limits, "a", 1), [(0, 2, Some(1))]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(count(&limits, "a", 2), [(0, 2, None), (0, 2, Some(1))]);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(count(&limits, "a", 1), [(2, 1, None)]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_credential_has_its_own() {
        let limits = limits(1, 1);
        assert_eq!(count(&limits, "a", 2), [(0, 1, None), (0, 1, Some(1))]);
        assert_eq!(count(&limits, "b", 1), [(0, 1, None)]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_at_rest_are_forgotten() {
        let limits = limits(1, 1);
        for who in 0..RATE_SWEEP_REQUESTS {
            count(&limits, &who.to_string(), 1);
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        count(&limits, "another", 1);
        assert_eq!(limits.limiter.len(), 1);
    }
}
