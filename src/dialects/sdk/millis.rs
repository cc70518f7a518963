//! Times with milliseconds, as servers in JavaScript write them.

use crate::domain::Timestamp;

/// A time with milliseconds, such as `2026-01-31T23:59:59.123Z`. Cuts off further digits.
pub(crate) fn millis(time: Timestamp) -> String {
    let text = time.to_string();
    let (to_millis, _) = text.split_at("2026-01-31T23:59:59.123".len());
    format!("{to_millis}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_after_the_millisecond_are_cut_off() {
        let time = Timestamp::parse("2026-01-31T23:59:59.123999Z").unwrap();
        assert_eq!(millis(time), "2026-01-31T23:59:59.123Z");
    }
}
