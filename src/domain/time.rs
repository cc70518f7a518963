//! Time: microseconds since 1970, RFC 3339 texts, and the clock as a parameter.

use std::fmt;

use chrono::DateTime;
use serde::{Serialize, Serializer};

use crate::domain::ids::Position;
use crate::domain::limits::{TIME_AHEAD_US_MAX, TIME_EARLIEST_US};
use crate::domain::rules::Rules;

/// 0001-01-01T00:00:00Z, in microseconds.
const MIN_US: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z, in microseconds.
const MAX_US: i64 = 253_402_300_799_999_999;
/// Length of `2026-01-31T23:59:59.123456Z`.
const TEXT_BYTES: usize = 27;
const DAY_US: i64 = 86_400_000_000;

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

    /// The text as bytes, all of them ASCII. A page of a listing writes three hundred times, so
    /// this uses no general formatter.
    pub(crate) fn text(self) -> [u8; TEXT_BYTES] {
        let in_day = u32_of(self.0.rem_euclid(DAY_US) / 1_000_000);
        let micros = u32_of(self.0.rem_euclid(1_000_000));
        let (year, month, day) = date(self.0.div_euclid(DAY_US));
        let mut out = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |at: usize, number: u32| {
            let two = TWO_DIGITS[number as usize % 100];
            (out[at], out[at + 1]) = (two[0], two[1]);
        };
        put(0, year / 100);
        put(2, year);
        put(5, month);
        put(8, day);
        put(11, in_day / 3600);
        put(14, in_day / 60 % 60);
        put(17, in_day % 60);
        put(20, micros / 10_000);
        put(22, micros / 100);
        put(24, micros);
        out
    }
}

/// Why a time has a text.
const ASCII: &str = "the digits and signs of a time are ASCII";

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).expect(ASCII))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        serializer.serialize_str(std::str::from_utf8(&text).expect(ASCII))
    }
}

/// The times of an event, as the fold uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The position of the record on the log.
    pub position: Position,
    /// The event's time; the log's time if the event has none, or one that cannot be right.
    pub time: Timestamp,
    /// The log's own time stamp.
    pub recorded_at: Timestamp,
    /// Whether the event's time lay too far ahead, or before the year 2000, and was replaced.
    pub adjusted: bool,
    /// The rules by which the record is folded.
    pub rules: Rules,
}

impl Moment {
    /// Whether the event's time was replaced, under rules that mark every such step.
    pub fn is_corrected(&self) -> bool {
        self.adjusted && Rules::V2 <= self.rules
    }

    /// Decides the time of an event from the time that it claims and the log's time.
    pub fn new(
        rules: Rules,
        position: Position,
        claimed: Option<Timestamp>,
        recorded_at: Timestamp,
    ) -> Self {
        let latest = recorded_at.plus_micros(TIME_AHEAD_US_MAX);
        let earliest = if rules < Rules::V2 {
            Timestamp::MIN
        } else {
            Timestamp(TIME_EARLIEST_US)
        };
        let adjusted = claimed.is_some_and(|time| latest < time || time < earliest);
        let time = claimed.filter(|_| !adjusted).unwrap_or(recorded_at);
        Self {
            position,
            time,
            recorded_at,
            adjusted,
            rules,
        }
    }
}

/// A source of the current time. Code that needs the time takes one, so that tests can set it.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// Year, month and day, given the days since 1970; the year is 1 or later.
///
/// The calculation uses years that begin with March, so that a leap day is the last of its year. It
/// uses spans of 400 years, after which the calendar repeats itself.
fn date(days_since_1970: i64) -> (u32, u32, u32) {
    const DAYS_OF_400_YEARS: u32 = 146_097;
    const DAYS_FROM_MARCH_OF_YEAR_0_TO_1970: i64 = 719_468;
    let days = u32_of(days_since_1970 + DAYS_FROM_MARCH_OF_YEAR_0_TO_1970);
    let (span, in_span) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let leap_days = in_span / 1_460 + in_span / 146_096 - in_span / 36_524;
    let year = (in_span - leap_days) / 365;
    let in_year = in_span - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let year = 400 * span + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

/// Converts a number that is known to be small and not negative.
fn u32_of(number: i64) -> u32 {
    u32::try_from(number).expect("a part of a date or of a time of day is small and not negative")
}

/// The numbers from 0 to 99 as digits.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut table = [[b'0'; 2]; 100];
    let mut number = 0_u8;
    while number < 100 {
        table[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_parse_back_and_sort_as_times_do(a in MIN_US..=MAX_US, b in MIN_US..=MAX_US) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(Timestamp::parse(&a.to_string()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn texts_are_those_of_the_calendar(time in MIN_US..=MAX_US) {
            let expected = DateTime::from_timestamp_micros(time).unwrap();
            let expected = expected.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            prop_assert_eq!(Timestamp(time).to_string(), expected);
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_has_its_date() {
        for day in MIN_US.div_euclid(DAY_US)..=MAX_US.div_euclid(DAY_US) {
            let expected = DateTime::from_timestamp_micros(day * DAY_US)
                .unwrap()
                .date_naive();
            let (year, month, of_month) = date(day);
            let year = i32::try_from(year).unwrap();
            assert_eq!(
                NaiveDate::from_ymd_opt(year, month, of_month),
                Some(expected)
            );
        }
    }

    #[test]
    fn a_time_far_ahead_is_replaced_by_the_logs_own() {
        let recorded = Timestamp(1_000_000_000);
        let at = |us| {
            let claimed = Some(Timestamp(us));
            Moment::new(Rules::V1, Position::new(1), claimed, recorded)
        };
        let limit = recorded.micros() + TIME_AHEAD_US_MAX;
        assert_eq!(
            (at(limit).time.micros(), at(limit).adjusted),
            (limit, false)
        );
        assert_eq!(
            (at(limit + 1).time, at(limit + 1).adjusted),
            (recorded, true)
        );
        let none = Moment::new(Rules::LATEST, Position::new(1), None, recorded);
        assert_eq!((none.time, none.adjusted), (recorded, false));
    }

    #[test]
    fn a_time_before_the_year_2000_is_replaced_from_the_second_rules_on() {
        let recorded = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let at = |rules, text| {
            let claimed = Timestamp::parse(text);
            let moment = Moment::new(rules, Position::new(1), claimed, recorded);
            (moment.time.to_string(), moment.adjusted)
        };
        let kept = |text: &str| (text.to_owned(), false);
        let (ancient, first) = ("1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00.000000Z");
        assert_eq!(at(Rules::V1, ancient), kept(ancient));
        assert_eq!(at(Rules::V2, ancient), (recorded.to_string(), true));
        assert_eq!(at(Rules::V2, first), kept(first));
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
