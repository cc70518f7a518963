//! Parses times that people write: a time (RFC 3339), a duration before now, or a day.

use crate::cli::Usage;
use crate::cli::duration::duration;
use crate::domain::Timestamp;

/// The accepted forms, for error messages.
pub(super) const FORMS: &str = "2026-01-31T00:00:00Z, 1h, `2 days`, today or yesterday";

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Converts the time of an option for the API. A duration means that long before `now`; `today` and
/// `yesterday` begin at midnight UTC.
pub(super) fn moment(
    option: &str,
    text: Option<String>,
    now: Timestamp,
) -> Result<Option<String>, Usage> {
    let Some(text) = text else {
        return Ok(None);
    };
    match read(text.trim(), now) {
        Some(time) => Ok(Some(time)),
        None => Err(Usage(format!(
            "{option} {text:?} is not a time; write {FORMS}"
        ))),
    }
}

fn read(text: &str, now: Timestamp) -> Option<String> {
    // Unchanged: the API checks it.
    if Timestamp::parse(text).is_some() {
        return Some(text.to_owned());
    }
    let midnight = now.micros().div_euclid(DAY_US) * DAY_US;
    let micros = match text {
        "now" => now.micros(),
        "today" => midnight,
        "yesterday" => midnight - DAY_US,
        span => {
            let span = span.strip_suffix("ago").unwrap_or(span).trim_end();
            if span.bytes().all(|byte| byte.is_ascii_digit()) {
                // A bare number is ambiguous.
                return None;
            }
            let micros = duration(span).ok()?.as_micros();
            now.micros().checked_sub(i64::try_from(micros).ok()?)?
        }
    };
    Some(Timestamp::from_micros_clamped(micros).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at_noon(text: &str) -> Option<String> {
        let now = Timestamp::parse("2026-03-01T12:30:00Z").unwrap();
        moment("--created-after", Some(text.to_owned()), now)
            .ok()
            .flatten()
    }

    #[test]
    fn times_durations_and_days_are_parsed() {
        for (text, expected) in [
            ("2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"),
            ("1h", "2026-03-01T11:30:00.000000Z"),
            ("2 days", "2026-02-27T12:30:00.000000Z"),
            ("1h 30m ago", "2026-03-01T11:00:00.000000Z"),
            ("3 weeks", "2026-02-08T12:30:00.000000Z"),
            ("now", "2026-03-01T12:30:00.000000Z"),
            ("today", "2026-03-01T00:00:00.000000Z"),
            ("yesterday", "2026-02-28T00:00:00.000000Z"),
        ] {
            assert_eq!(read_at_noon(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "soon",
            "7",
            "-1h",
            "1 fortnight",
            "tomorrow",
            "99999999999999d",
        ] {
            assert_eq!(read_at_noon(wrong), None, "{wrong}");
        }
    }
}
