//! The body of a request that asks for one step of a lifecycle: the data of an event, and beside it
//! what is not for the log.
//!
//! Fields that the event's data does not have are refused: whoever asks for a step learns of a typo,
//! where an event that is merely kept may hold anything.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::domain::ids::IdError;
use crate::domain::limits::BODY_BYTES_MAX;
use crate::domain::{EventType, Reason};
use crate::wire::decode::Undecodable;
use crate::wire::field::FieldError;
use crate::wire::json;
use crate::wire::not_json::not_an_object;
use crate::wire::schema;

/// Most unknown fields that an answer names.
const ERRORS_MAX: usize = 16;

/// The members of a request's body.
#[derive(Debug)]
pub struct CommandBody<'a> {
    members: Vec<Given<'a>>,
    /// Names of fields that are null, which counts as absent.
    nulls: Vec<String>,
}

#[derive(Debug)]
struct Given<'a> {
    name: Cow<'a, str>,
    /// The value's text.
    raw: Cow<'a, str>,
}

impl<'a> CommandBody<'a> {
    /// Reads a body: the data of an event of this type, and some fields beside. Nothing at all, or
    /// `null`, is an object without members. Values are checked when the event is.
    pub fn parse(
        body: &'a [u8],
        event_type: EventType,
        beside: &[&str],
    ) -> Result<Self, Undecodable> {
        if matches!(body.trim_ascii(), b"" | b"null") {
            let (members, nulls) = (Vec::new(), Vec::new());
            return Ok(Self { members, nulls });
        }
        if BODY_BYTES_MAX < body.len() {
            let message = format!("must have at most {BODY_BYTES_MAX} bytes");
            return Err(refused(Reason::TooLarge, "", message));
        }
        let members = std::str::from_utf8(body).ok().and_then(json::members);
        let members = members.ok_or_else(|| refused(Reason::NotJson, "", not_an_object(body)))?;
        if let Some(name) = json::name_given_twice(&members) {
            return Err(refused(Reason::Invalid, name, "must be given once"));
        }
        let known = [schema::data_fields(event_type), beside].concat();
        let unknown = members.iter().filter(|one| !known.contains(&&*one.name));
        let errors: Vec<FieldError> = unknown
            .take(ERRORS_MAX)
            .map(|one| FieldError {
                field: one.name.to_string(),
                message: format!("is no field of this request; it takes {}", known.join(", ")),
            })
            .collect();
        if !errors.is_empty() {
            return Err(undecodable(Reason::Invalid, errors));
        }
        let given = members.into_iter().map(|one| Given {
            name: one.name,
            raw: Cow::Borrowed(one.raw),
        });
        let (nulls, members): (Vec<_>, Vec<_>) = given.partition(|one| one.raw == "null");
        let nulls = nulls.into_iter().map(|one| one.name.into_owned()).collect();
        Ok(Self { members, nulls })
    }

    /// Refuses fields that are null, where somebody might mean to take them away.
    pub fn refuse_nulls(&self) -> Result<(), Undecodable> {
        match self.nulls.first() {
            Some(name) => Err(refused(
                Reason::Invalid,
                name,
                "must not be null: a field can be changed, but not taken away",
            )),
            None => Ok(()),
        }
    }

    /// Whether a field has a value.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|one| one.name == name)
    }

    /// Whether no field has a value.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A field that is a text.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let given = self.members.iter().find(|one| one.name == name)?;
        json::string(&given.raw)
    }

    /// Gives a text another value, at the same place. One that has this value stays as it came.
    pub fn set_text(&mut self, name: &str, text: &str) {
        let other = |one: &&mut Given<'_>| {
            one.name == name && json::string(&one.raw).is_some_and(|given| given != text)
        };
        if let Some(given) = self.members.iter_mut().find(other) {
            let raw = serde_json::to_string(text).expect("a text is JSON");
            given.raw = Cow::Owned(raw);
        }
    }

    /// Takes a text out of the body.
    pub fn take_text(&mut self, name: &str) -> Result<Option<String>, Undecodable> {
        let Some(index) = self.members.iter().position(|one| one.name == name) else {
            return Ok(None);
        };
        let given = self.members.remove(index);
        let text = json::string(&given.raw)
            .ok_or_else(|| refused(Reason::Invalid, name, "must be a string"))?;
        Ok(Some(text.into_owned()))
    }

    /// Takes an id out of the body.
    pub fn take_id<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Undecodable> {
        let parsed = self.take_text(name)?.map(|text| parse(&text)).transpose();
        parsed.map_err(|error| refused(Reason::Invalid, name, error.to_string()))
    }

    /// Adds a text.
    pub fn add_text(&mut self, name: &'static str, text: &str) {
        let raw = serde_json::to_string(text).expect("a text is JSON");
        self.add_raw(name, raw);
    }

    /// Adds `true`.
    pub fn add_flag(&mut self, name: &'static str) {
        self.add_raw(name, "true".to_owned());
    }

    fn add_raw(&mut self, name: &'static str, raw: String) {
        self.members.push(Given {
            name: Cow::Borrowed(name),
            raw: Cow::Owned(raw),
        });
    }

    /// The data of the event.
    pub fn into_data(self) -> Box<RawValue> {
        let mut text = String::from("{");
        for (index, Given { name, raw }) in self.members.iter().enumerate() {
            let comma = if 0 < index { "," } else { "" };
            let name = serde_json::to_string(name).expect("a text is JSON");
            write!(text, "{comma}{name}:{raw}").expect("a text takes more");
        }
        text.push('}');
        RawValue::from_string(text).expect("members of JSON make an object")
    }
}

/// What is wrong with an event whose data has members that its type does not know, given as paths.
pub fn unknown_members(event_type: EventType, paths: Vec<String>) -> Undecodable {
    let known = schema::data_fields(event_type).join(", ");
    let errors = paths.into_iter().map(|field| FieldError {
        field,
        message: format!(
            "is no member of the data of {}; it takes {known}",
            event_type.as_str()
        ),
    });
    undecodable(Reason::Invalid, errors.collect())
}

/// A request that is refused because of one field.
pub fn refused(reason: Reason, field: &str, message: impl Into<String>) -> Undecodable {
    let (field, message) = (field.to_owned(), message.into());
    undecodable(reason, vec![FieldError { field, message }])
}

fn undecodable(reason: Reason, errors: Vec<FieldError>) -> Undecodable {
    Undecodable {
        tenant: None,
        reason,
        errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(body: &str, reason: Reason, field: &str) {
        let parsed =
            CommandBody::parse(body.as_bytes(), EventType::SessionCreated, &["session_id"]);
        let failed = parsed.unwrap_err();
        let first = failed.errors.first().map(|error| error.field.as_str());
        assert_eq!((failed.reason, first), (reason, Some(field)));
    }

    #[test]
    fn data_keeps_its_bytes_and_what_is_beside_is_taken_out() {
        let body = br#"{"session_id": "s\u00e91", "metadata":{"a": [1,  2.50]}, "scopes": null}"#;
        let mut body =
            CommandBody::parse(body, EventType::SessionCreated, &["session_id"]).unwrap();
        assert_eq!(body.take_text("session_id").unwrap().unwrap(), "s\u{e9}1");
        assert_eq!(body.take_text("session_id").unwrap(), None);
        assert!(body.has("metadata") && !body.has("scopes"));
        body.add_text("agent_id", "a\"1");
        body.add_flag("extend");
        let expected = r#"{"metadata":{"a": [1,  2.50]},"agent_id":"a\"1","extend":true}"#;
        assert_eq!(body.into_data().get(), expected);
    }

    #[test]
    fn nothing_and_null_are_an_empty_object() {
        for body in ["", "  \n", "null", " null\n", "{}"] {
            let body = CommandBody::parse(body.as_bytes(), EventType::SessionTerminated, &[]);
            assert_eq!(body.unwrap().into_data().get(), "{}");
        }
    }

    #[test]
    fn what_is_no_such_request_is_refused_with_the_field() {
        check_refused("[]", Reason::NotJson, "");
        check_refused("{", Reason::NotJson, "");
        check_refused(
            r#"{"agent_id":"a","agent_id":"b"}"#,
            Reason::Invalid,
            "agent_id",
        );
        check_refused(r#"{"ttl":1}"#, Reason::Invalid, "ttl");
        check_refused(r#"{"token":"x"}"#, Reason::Invalid, "token");
        check_refused(&" x".repeat(BODY_BYTES_MAX), Reason::TooLarge, "");
    }
}
