//! Parses durations that people write.

use std::time::Duration;

/// Parses a duration such as `20s`, `2m`, `1h 30m`, `30d` or `2 days`. A bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let span = seconds
        .ok()
        .or_else(|| humantime::parse_duration(text).ok());
    span.filter(|span| !span.is_zero())
        .ok_or_else(|| "write a time such as 500ms, 20s, 2m, 1h 30m or 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(duration("3 days"), Ok(Duration::from_hours(72)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "s", "0s", "-1s", "1 fortnight", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
