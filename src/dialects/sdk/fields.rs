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

/// The members of a body, or of an object in it.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b> {
    members: Vec<Member<'b>>,
    /// The field that holds the object; `None` if the object is the body.
    inside: Option<&'static str>,
}

impl<'b> Fields<'b> {
    /// Reads a body.
    pub(crate) fn parse(body: &'b [u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let members = json_body::members(body)?;
        let inside = None;
        Ok(Self { members, inside })
    }

    /// Reads the value of a field of the body; `None` if the value is no object. Errors name the
    /// fields of the object as `field.member`.
    pub(crate) fn nested(field: &'static str, raw: &'b str) -> Option<Self> {
        let members = wire::members(raw)?;
        let inside = Some(field);
        Some(Self { members, inside })
    }

    /// Whether there are no members, not even null ones.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The JSON text of a field's value. If the object gives the field several times, the last one
    /// counts.
    pub(crate) fn raw(&self, name: &str) -> Option<&'b str> {
        let mut last_first = self.members.iter().rev();
        let member = last_first.find(|member| member.name == name)?;
        Some(member.raw).filter(|raw| *raw != "null")
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'b, str>>, Problem> {
        let raw = self.raw(name);
        let text =
            raw.map(|raw| wire::string(raw).ok_or_else(|| self.wrong(name, "must be a string")));
        text.transpose()
    }

    /// A field that is a whole number, and not negative. It may be written as `60.0` or `6e1`, as
    /// in events: some languages have no other numbers.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let message = "must be a whole number, 0 or more";
        let raw = self.raw(name);
        let number = raw.map(|raw| wire::integer(raw).ok_or_else(|| self.wrong(name, message)));
        number.transpose()
    }

    /// A field that is a list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let read = |raw| serde_json::from_str(raw).ok();
        let raw = self.raw(name);
        let list =
            raw.map(|raw| read(raw).ok_or_else(|| self.wrong(name, "must be a list of strings")));
        list.transpose()
    }

    /// A field of this object with a value that it cannot have.
    pub(crate) fn wrong(&self, name: &str, message: impl Into<String>) -> Problem {
        match self.inside {
            Some(field) => wrong(&format!("{field}.{name}"), message),
            None => wrong(name, message),
        }
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
    fn of_a_field_given_twice_the_last_one_counts_at_every_level() {
        let fields = Fields::parse(br#"{"a":1,"in":{"a":2},"a":3,"in":{"a":4,"a":5}}"#).unwrap();
        let nested = Fields::nested("in", fields.raw("in").unwrap()).unwrap();
        assert_eq!(fields.number("a").unwrap(), Some(3));
        assert_eq!(nested.number("a").unwrap(), Some(5));
        assert_eq!(nested.text("a").unwrap_err().errors()[0].field, "in.a");
        assert!(Fields::nested("in", "[]").is_none());
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
