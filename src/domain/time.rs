//! Time: microseconds since 1970, RFC 3339 texts, and the clock as a parameter.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike};
use serde::{Serialize, Serializer};

use crate::domain::ids::Position;
use crate::domain::limits::TIME_AHEAD_US_MAX;

/// 0001-01-01T00:00:00Z, in microseconds.
const MIN_US: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, in microseconds.
const MAX_US: i64 = 253_402_300_799_999_999;
/// Length of `2026-01-31T23:59:59.123456Z`.
const TEXT_BYTES: usize = 27;

/// A point in time between the years 1 and 9999, to the microsecond.
///
/// Its text is RFC 3339 in UTC with six digits of fraction, so texts sort as times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest one.
    pub const MIN: Self = Self(MIN_US);
    /// The latest one.
    pub const MAX: Self = Self(MAX_US);

    /// From microseconds since 1970; `None` outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (MIN_US..=MAX_US).contains(&micros).then_some(Self(micros))
    }

    /// From microseconds since 1970, moved to the nearest end if outside the years 1 to 9999.
    pub fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(MIN_US, MAX_US))
    }

    /// Parses RFC 3339 with any offset; digits beyond the microsecond are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = DateTime::parse_from_rfc3339(text).ok()?;
        Self::from_micros(parsed.timestamp_micros())
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// This time plus some microseconds, moved to the nearest end if that leaves the range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros_clamped(self.0.saturating_add(micros))
    }

    /// Microseconds from an earlier time to this one; negative if that one is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The text as bytes, all of them ASCII. A listing writes hundreds of times per page, and the
    /// general formatter of chrono takes ten times as long.
    pub fn text(self) -> [u8; TEXT_BYTES] {
        let time = DateTime::from_timestamp_micros(self.0)
            .unwrap_or_default()
            .naive_utc();
        let mut out = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut out[0..4], time.year().unsigned_abs());
        digits(&mut out[5..7], time.month());
        digits(&mut out[8..10], time.day());
        digits(&mut out[11..13], time.hour());
        digits(&mut out[14..16], time.minute());
        digits(&mut out[17..19], time.second());
        digits(&mut out[20..26], time.nanosecond() / 1000 % 1_000_000);
        out
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// When a record happened and when the log took it: what the fold knows of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Where the record stands on the log.
    pub position: Position,
    /// The event's time, or the log's own where the event has none or lies too far ahead.
    pub time: Timestamp,
    /// The log's own time stamp.
    pub recorded_at: Timestamp,
    /// Whether the event's time lay too far ahead and was replaced.
    pub adjusted: bool,
}

impl Moment {
    /// Settles an event's time against the log's.
    pub fn new(position: Position, claimed: Option<Timestamp>, recorded_at: Timestamp) -> Self {
        let latest = recorded_at.plus_micros(TIME_AHEAD_US_MAX);
        let adjusted = claimed.is_some_and(|time| latest < time);
        let time = claimed.filter(|_| !adjusted).unwrap_or(recorded_at);
        Self {
            position,
            time,
            recorded_at,
            adjusted,
        }
    }
}

/// Tells the time. Everything that needs the present takes one, so that tests own it.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros_clamped(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

fn digits(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_parse_back_and_sort_as_times_do(a in MIN_US..=MAX_US, b in MIN_US..=MAX_US) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(Timestamp::parse(&a.to_string()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn a_time_far_ahead_is_replaced_by_the_logs_own() {
        let recorded = Timestamp(1_000_000_000);
        let at = |us| Moment::new(Position::new(1), Some(Timestamp(us)), recorded);
        let limit = recorded.micros() + TIME_AHEAD_US_MAX;
        assert_eq!(
            (at(limit).time.micros(), at(limit).adjusted),
            (limit, false)
        );
        assert_eq!(
            (at(limit + 1).time, at(limit + 1).adjusted),
            (recorded, true)
        );
        assert_eq!(Moment::new(Position::new(1), None, recorded).time, recorded);
    }

    #[test]
    fn offsets_and_fractions_are_understood() {
        let utc = Timestamp::parse("2026-01-31T22:59:59.1234567Z").unwrap();
        assert_eq!(utc.to_string(), "2026-01-31T22:59:59.123456Z");
        assert_eq!(
            Timestamp::parse("2026-02-01T00:59:59.123456+02:00"),
            Some(utc)
        );
        for wrong in [
            "",
            "2026-01-31",
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "now",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong:?}");
        }
    }
}
