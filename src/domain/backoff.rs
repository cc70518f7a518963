//! The pause before a retry.

use std::time::Duration;

/// Returns the pause before a retry: `first`, doubled for each of the `retries` before it, and at most
/// `max`.
pub fn backoff(retries: u32, first: Duration, max: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(retries)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_maximum() {
        let ms = Duration::from_millis;
        let pauses: Vec<_> = (0..6)
            .map(|retries| backoff(retries, ms(5), ms(60)))
            .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60].map(ms));
        assert_eq!(backoff(u32::MAX, ms(5), ms(60)), ms(60));
    }
}
