//! When a certificate is valid.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use crate::domain::Timestamp;
use crate::domain::limits::TLS_EXPIRY_NEAR_US;

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first time at which it is valid.
    pub from: Timestamp,
    /// The last time at which it is valid.
    pub until: Timestamp,
}

impl Validity {
    /// Reads the times of a certificate in DER; `None` if they cannot be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let times = Certificate::from_der(certificate).ok()?;
        let times = times.tbs_certificate.validity;
        Some(Self {
            from: timestamp(times.not_before),
            until: timestamp(times.not_after),
        })
    }

    /// Whether the certificate should have been renewed by now: two weeks before its end, or when
    /// two thirds of its time have passed if that is later.
    pub fn is_near_end(&self, now: Timestamp) -> bool {
        let third = self.until.micros_since(self.from) / 3;
        let near = self.until.plus_micros(-third.min(TLS_EXPIRY_NEAR_US));
        near <= now
    }

    /// Says until when the certificate is valid, as seen from this time.
    pub fn describe(&self, now: Timestamp) -> String {
        let left_us = self.until.micros_since(now);
        let span = match left_us.unsigned_abs() / 60_000_000 {
            minutes if minutes < 120 => format!("{minutes} minutes"),
            minutes if minutes < 2 * 1_440 => format!("{} hours", minutes / 60),
            minutes => format!("{} days", minutes / 1_440),
        };
        if left_us < 0 {
            format!("it expired {span} ago, at {}", self.until)
        } else {
            format!("it expires in {span}, at {}", self.until)
        }
    }
}

fn timestamp(time: Time) -> Timestamp {
    let micros = i64::try_from(time.to_unix_duration().as_micros());
    Timestamp::from_micros_clamped(micros.unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400 * 1_000_000;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros_clamped(day * DAY_US)
    }

    fn lasting(days: i64) -> Validity {
        Validity {
            from: at(0),
            until: at(days),
        }
    }

    #[test]
    fn a_certificate_is_near_its_end_in_its_last_two_weeks_or_its_last_third() {
        assert!(!lasting(90).is_near_end(at(75)));
        assert!(lasting(90).is_near_end(at(77)));
        assert!(lasting(90).is_near_end(at(91)));
        assert!(!lasting(3).is_near_end(at(1)));
        assert!(lasting(3).is_near_end(at(2)));
    }

    #[test]
    fn the_description_names_the_time_that_is_left() {
        let said = lasting(90).describe(at(80));
        assert!(said.contains("expires in 10 days"), "{said}");
        let said = lasting(90).describe(at(91));
        assert!(said.contains("expired 24 hours ago"), "{said}");
    }
}
