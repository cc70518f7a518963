//! Times to the millisecond, as servers in JavaScript write them.

use crate::domain::Timestamp;

/// A time to the millisecond.
pub(crate) fn millis(time: Timestamp) -> String {
    let text = time.to_string();
    let (to_millis, _) = text.split_at("2026-01-31T23:59:59.123".len());
    format!("{to_millis}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_end_with_the_millisecond() {
        let time = Timestamp::parse("2026-01-31T23:59:59.123999Z").unwrap();
        assert_eq!(millis(time), "2026-01-31T23:59:59.123Z");
    }
}
