//! Reads the fields of a JSON body, and ignores unknown fields.
//!
//! A field with the value null counts as absent, and an empty body as an object without fields.

use serde_json::{Map, Value};

use crate::domain::Reason;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::json_body;
use crate::wire;

/// The members of a body.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Parses a body, which must be empty or a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        json_body::object(body).map(Self)
    }

    /// The value of a field; `None` if it is absent or null.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The value of a field that must be a string.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let value = self.value(name);
        let text = value.map(|value| {
            value
                .as_str()
                .ok_or_else(|| wrong(name, "must be a string"))
        });
        text.transpose()
    }

    /// The value of a field that must be a whole number, 0 or more.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let message = "must be a whole number, 0 or more";
        let value = self.value(name);
        let number = value.map(|value| whole(value).ok_or_else(|| wrong(name, message)));
        number.transpose()
    }
}

/// The value as a whole number, 0 or more; `None` if it is not one. Accepts `60.0` and `6e1` too,
/// because some languages write all numbers like this.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let number = value.as_number()?.to_string();
    wire::integer(&number)
}

/// The problem of a field with an invalid value.
pub(crate) fn wrong(name: &str, message: impl Into<String>) -> Problem {
    Problem::new(Code::Event(Reason::Invalid)).with_error(name, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_body_without_fields_and_null_is_no_value() {
        for body in [&b""[..], b" \n", b"{}", br#"{"name":null}"#] {
            let fields = Fields::parse(body).unwrap();
            assert_eq!(fields.text("name").unwrap(), None);
        }
        for wrong in [&b"["[..], b"[]", b"null", b"1", b"{\"a\":NaN}", b"\xff"] {
            assert!(Fields::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_field() {
        let fields = Fields::parse(br#"{"name": 1, "count": -1, "more": [2]}"#).unwrap();
        for problem in [
            fields.text("name").unwrap_err(),
            fields.number("count").unwrap_err(),
        ] {
            assert_eq!(problem.errors().len(), 1);
        }
        assert_eq!(fields.number("none").unwrap(), None);
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        for (value, expected) in [
            ("100", Some(100)),
            ("100.0", Some(100)),
            ("1e2", Some(100)),
            ("0.0", Some(0)),
            ("100.5", None),
            ("-1.0", None),
            ("1e300", None),
            ("\"100\"", None),
        ] {
            let fields = Fields::parse(format!("{{\"max\":{value}}}").as_bytes()).unwrap();
            assert_eq!(fields.number("max").ok().flatten(), expected, "{value}");
        }
    }
}
