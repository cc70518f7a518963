//! Rate limits: how many requests a second each credential may make on this node.

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

/// A rate limit with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The sustained rate, in requests a second.
    pub per_second: NonZeroU32,
    /// How many requests an idle credential may make at once.
    pub burst: NonZeroU32,
}

/// The state of a credential's limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: RateLimit,
    /// How many more requests the credential may make at once.
    pub remaining: u32,
    /// Seconds until a full burst is allowed again, rounded up.
    pub reset_s: u64,
    /// `None` if the request is allowed. Otherwise the seconds until the next request is allowed,
    /// rounded up.
    pub retry_after_s: Option<u64>,
}

/// Counts the requests of all credentials.
pub struct RateLimits {
    limit: RateLimit,
    limiter:
        RateLimiter<Arc<str>, HashMapStateStore<Arc<str>>, Elapsed, StateInformationMiddleware>,
    counted: AtomicU64,
}

/// Monotonic time since the start. It is tokio's clock, so that a test can pause it.
#[derive(Debug, Clone)]
struct Elapsed(Instant);

impl Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl RateLimits {
    /// Applies one limit to each credential.
    pub fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        let limiter = RateLimiter::hashmap_with_clock(quota, Elapsed(Instant::now()));
        Self {
            limit,
            limiter: limiter.with_middleware(),
            counted: AtomicU64::new(0),
        }
    }

    /// Counts a request of a credential, and checks it against the limit.
    pub fn count(&self, credential: &Arc<str>) -> Standing {
        // An idle credential has its full burst again and needs no entry. Removing those entries
        // bounds the memory by the number of recently active credentials.
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
    async fn idle_credentials_are_forgotten() {
        let limits = limits(1, 1);
        for who in 0..RATE_SWEEP_REQUESTS {
            count(&limits, &who.to_string(), 1);
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        count(&limits, "another", 1);
        assert_eq!(limits.limiter.len(), 1);
    }
}
