//! How OTAS writes times, and which fields of a body count as given.

use crate::dialects::sdk::fields::Fields;
use crate::domain::Timestamp;

/// A time as Python writes it: in UTC with `+00:00`, to the microsecond, and on a full second
/// without a fraction.
pub(super) fn iso(time: Timestamp) -> String {
    let text = time.to_string();
    let (seconds, fraction) = text.split_at("2026-01-31T23:59:59".len());
    let fraction = fraction.trim_end_matches('Z');
    let fraction = if fraction == ".000000" { "" } else { fraction };
    format!("{seconds}{fraction}+00:00")
}

/// The JSON text of a field; `None` if the field is absent or the empty text.
pub(super) fn given<'b>(fields: &Fields<'b>, name: &str) -> Option<&'b str> {
    fields.raw(name).filter(|raw| *raw != "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_unless_there_are_none() {
        for (time, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000+00:00"),
            (
                "2026-01-31T12:00:00.000001Z",
                "2026-01-31T12:00:00.000001+00:00",
            ),
            (
                "2026-01-31T14:00:00.000000+02:00",
                "2026-01-31T12:00:00+00:00",
            ),
        ] {
            assert_eq!(iso(Timestamp::parse(time).unwrap()), expected);
        }
    }

    #[test]
    fn an_empty_field_counts_as_none() {
        let fields = Fields::parse(br#"{"a":"","b":null,"c":" ","d":0}"#).unwrap();
        let is_given = |name| given(&fields, name).is_some();
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(is_given),
            [false, false, true, true, false]
        );
    }
}
