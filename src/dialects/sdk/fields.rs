//! Reads the fields of a JSON body, and ignores unknown fields.
//!
//! A field that is null counts as absent, and an empty body has no fields. The body is split once,
//! and each field is read where it is needed.

use std::borrow::Cow;

use crate::domain::Reason;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::json_body;
use crate::wire::{self, Member};

/// The members of a body.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b>(Vec<Member<'b>>);

impl<'b> Fields<'b> {
    /// Reads a body.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        json_body::members(body).map(Self)
    }

    /// The JSON text of a field's value. If the body gives the field several times, the last one
    /// counts.
    pub(crate) fn raw(&self, name: &str) -> Option<&'b str> {
        let mut last_first = self.0.iter().rev();
        let member = last_first.find(|member| member.name == name)?;
        Some(member.raw).filter(|raw| *raw != "null")
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'b, str>>, Problem> {
        let raw = self.raw(name);
        let text = raw.map(|raw| wire::string(raw).ok_or_else(|| wrong(name, "must be a string")));
        text.transpose()
    }

    /// A field that is a whole number, and not negative. It may be written as `60.0` or `6e1`, as
    /// in events: some languages have no other numbers.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let message = "must be a whole number, 0 or more";
        let raw = self.raw(name);
        let number = raw.map(|raw| wire::integer(raw).ok_or_else(|| wrong(name, message)));
        number.transpose()
    }
}

/// The problem for a field with an invalid value.
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
            let body = format!("{{\"max\":{value}}}");
            let fields = Fields::parse(body.as_bytes()).unwrap();
            assert_eq!(fields.number("max").ok().flatten(), expected, "{value}");
        }
    }
}
