//! `as_of`: the past state that an answer shows.

use crate::domain::{Position, Timestamp};

/// The state that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// The state at the time of the request. Its pages stay as they are.
    Now,
    /// The state right after the record at this position.
    Position(Position),
    /// The state at this time, by the clock of the log.
    Time(Timestamp),
}

impl AsOf {
    /// Reads the parameter.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(position) = text.parse()
        {
            return Ok(Self::Position(Position::new(position)));
        }
        let time = Timestamp::parse(text).map(Self::Time);
        time.ok_or("must be a position, an RFC 3339 time such as 2026-01-31T12:00:00Z, or now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_position_a_time_or_now() {
        assert_eq!(AsOf::parse("now"), Ok(AsOf::Now));
        assert_eq!(AsOf::parse("17"), Ok(AsOf::Position(Position::new(17))));
        let time = "2026-01-31T12:00:00+01:00";
        assert_eq!(
            AsOf::parse(time),
            Ok(AsOf::Time(Timestamp::parse(time).unwrap()))
        );
        for other in ["", "-1", "yesterday", "2026-01-31", "18446744073709551616"] {
            assert!(AsOf::parse(other).is_err(), "{other}");
        }
    }
}
