//! The claims of a token: parses the JSON, rejects duplicate names, and looks up claims by name.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::limits::{CLAIM_NAME_CHARS_MAX, CLAIM_NAME_DOTS_MAX};

/// The claims of a token.
#[derive(Debug)]
pub(super) struct ClaimSet(Map<String, Value>);

/// Why a text is not a set of claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimSetError {
    /// The text is not a JSON object.
    NotAnObject,
    /// An object at any depth has this name twice. Two parsers could read different values, so
    /// RFC 7519, section 4 requires that such a token is rejected.
    Twice(String),
}

impl ClaimSet {
    /// Parses claims.
    pub(super) fn parse(json: &[u8]) -> Result<Self, ClaimSetError> {
        let twice = Cell::new(None);
        let mut text = serde_json::Deserializer::from_slice(json);
        let value = Strict { twice: &twice }.deserialize(&mut text);
        match (value, text.end()) {
            (Ok(Value::Object(claims)), Ok(())) => Ok(Self(claims)),
            _ => Err(twice
                .take()
                .map_or(ClaimSetError::NotAnObject, ClaimSetError::Twice)),
        }
    }

    /// Returns the claim with exactly this name; `None` if it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        member(&self.0, name)
    }

    /// Returns the claim with exactly this name if it is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Returns the claim with a configured name, which may be a path.
    pub(super) fn find(&self, name: &ClaimName) -> Option<&Value> {
        find(&self.0, &name.0)
    }
}

/// Looks up the whole name first, then splits it at a dot, at the last dot first. Claim names are
/// often URLs with dots, and so are client names in the middle of a path.
fn find<'c>(object: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let whole = member(object, name);
    whole.or_else(|| {
        name.rmatch_indices('.').find_map(|(dot, _)| {
            let inner = object.get(&name[..dot])?.as_object()?;
            find(inner, &name[dot + 1..])
        })
    })
}

fn member<'c>(object: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// The name of a claim from the configuration. With dots it can be the path of a nested claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName(Box<str>);

/// The text is not a valid name of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a claim's name has 1 to {CLAIM_NAME_CHARS_MAX} characters, at most {CLAIM_NAME_DOTS_MAX} \
     dots, and no spaces around it"
)]
pub struct ClaimNameError;

impl ClaimName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, ClaimNameError> {
        let chars = text.chars().count();
        let fits = (1..=CLAIM_NAME_CHARS_MAX).contains(&chars)
            && text.matches('.').count() <= CLAIM_NAME_DOTS_MAX
            && text.trim() == text;
        fits.then(|| Self(text.into())).ok_or(ClaimNameError)
    }

    /// Makes a name from a literal in this program.
    pub(super) fn known(name: &'static str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads any JSON value, and rejects objects with duplicate names.
#[derive(Clone, Copy)]
struct Strict<'a> {
    twice: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                self.twice.set(Some(name));
                return Err(A::Error::custom("a name twice"));
            }
            let value = object.next_value_seed(self)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> ClaimSet {
        ClaimSet::parse(value.to_string().as_bytes()).unwrap()
    }

    fn name(text: &str) -> ClaimName {
        ClaimName::parse(text).unwrap()
    }

    #[test]
    fn claims_keep_their_values() {
        let value = json!({"a": [1, -1, 1.5, null, true, "\u{e9}\n"], "b": {"c": {}}});
        assert_eq!(Value::Object(claims(&value).0), value);
    }

    #[test]
    fn a_duplicate_name_is_found_at_any_depth() {
        for (json, expected) in [
            (r#"{"tenant_id":"a","tenant_id":"b"}"#, "tenant_id"),
            (r#"{"tenant_id":"a","tenant\u005fid":"a"}"#, "tenant_id"),
            (r#"{"exp":1,"exp":2}"#, "exp"),
            (r#"{"realm":[{"roles":[],"roles":["admin"]}]}"#, "roles"),
        ] {
            let found = ClaimSet::parse(json.as_bytes()).unwrap_err();
            assert_eq!(found, ClaimSetError::Twice(expected.to_owned()), "{json}");
        }
        for json in ["", "[]", "7", "{", "{}{}", r#"{"a":1,}"#, "\u{feff}{}"] {
            let found = ClaimSet::parse(json.as_bytes()).unwrap_err();
            assert_eq!(found, ClaimSetError::NotAnObject, "{json}");
        }
        let deep = "[".repeat(100_000);
        let deep = format!(r#"{{"a":{deep}"#);
        assert!(ClaimSet::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_name_is_looked_up_whole_and_then_by_its_dots() {
        let claims = claims(&json!({
            "realm_access": {"roles": ["nested"]},
            "realm_access.all": "whole", "a": {"b": 1}, "a.b": null,
            "resource_access": {"com.example.ledger": {"roles": ["of the client"]}},
            "https://ledger.example/roles": ["of a URL"],
            "x": {"y": "inner"}, "x.y": {"z": "longest"},
        }));
        for (path, expected) in [
            ("realm_access.roles", json!(["nested"])),
            ("realm_access.all", json!("whole")),
            ("a.b", json!(1)),
            (
                "resource_access.com.example.ledger.roles",
                json!(["of the client"]),
            ),
            ("https://ledger.example/roles", json!(["of a URL"])),
            ("x.y.z", json!("longest")),
            ("x.y", json!({"z": "longest"})),
        ] {
            assert_eq!(claims.find(&name(path)), Some(&expected), "{path}");
        }
        for path in ["realm_access.role", "roles", "a.b.c", "a..b", ".a", "a."] {
            assert_eq!(claims.find(&name(path)), None, "{path}");
        }
    }

    #[test]
    fn an_invalid_claim_name_is_rejected() {
        for text in [
            "",
            " roles",
            "roles\n",
            &"r".repeat(CLAIM_NAME_CHARS_MAX + 1),
            &".".repeat(CLAIM_NAME_DOTS_MAX + 1),
        ] {
            assert_eq!(ClaimName::parse(text), Err(ClaimNameError), "{text}");
        }
    }
}
