//! Parses times that people write: a time (RFC 3339), a duration before now, or a day. A past state is such a
//! time, or a position.

use clap::Args;

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

/// The parameter of the API for a past state.
pub(super) const AS_OF: &str = "as_of";

/// The option for a past state.
#[derive(Debug, Args)]
pub(super) struct AsOfArgs {
    /// Show the state at a position of the log or at a time: RFC 3339, how long ago (`1h`, `2 days`), `today` or
    /// `yesterday`, which begin at midnight UTC. With `now`, all pages of a list show one state
    #[arg(long, value_name = "STATE", help_heading = "Which state")]
    as_of: Option<String>,
}

impl AsOfArgs {
    /// The parameter for the API.
    pub(super) fn parameter(self, now: Timestamp) -> Result<(&'static str, Option<String>), Usage> {
        Ok((AS_OF, state("--as-of", self.as_of, now)?))
    }
}

/// Converts the state of an option for the API: a position, `now`, or a time.
pub(super) fn state(
    option: &str,
    text: Option<String>,
    now: Timestamp,
) -> Result<Option<String>, Usage> {
    let is_position =
        |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match text {
        Some(text) if text == "now" || is_position(&text) => Some(text),
        Some(text) => Some(read(text.trim(), now).ok_or_else(|| {
            Usage(format!(
                "{option} {text:?} is no state; write a position, now, {FORMS}"
            ))
        })?),
        None => None,
    })
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
    fn a_past_state_is_a_position_a_time_or_now() {
        let now = Timestamp::parse("2026-03-01T12:30:00Z").unwrap();
        let parameter = |text: &str| {
            let as_of = Some(text.to_owned());
            let parameter = AsOfArgs { as_of }.parameter(now);
            parameter.ok().and_then(|(_name, state)| state)
        };
        assert_eq!(parameter("17").as_deref(), Some("17"));
        assert_eq!(parameter("now").as_deref(), Some("now"));
        let hour = parameter("1h");
        assert_eq!(hour.as_deref(), Some("2026-03-01T11:30:00.000000Z"));
        for wrong in ["", "-1", "soon"] {
            assert_eq!(parameter(wrong), None, "{wrong}");
        }
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
