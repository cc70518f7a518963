//! Fields of bodies, in any of their spellings, and the data of events that are made of them. If a
//! body gives several spellings, the first in the list counts.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialects::sdk::fields::{Fields, whole, wrong};
use crate::domain::AgentId;
use crate::http::problem::Problem;
use crate::http::response::json::Json;

/// Longest time to live of a session of this API: a day.
pub(super) const TTL_SECONDS_MAX: u64 = 24 * 60 * 60;
const TTL_SPELLINGS: [(&str, u64); 4] = [
    ("ttl_minutes", 60),
    ("ttlMinutes", 60),
    ("ttl_seconds", 1),
    ("ttlSeconds", 1),
];

/// A text.
pub(super) fn text<'a>(fields: &'a Fields, names: &[&str]) -> Result<Option<&'a str>, Problem> {
    match given(fields, names) {
        Some((name, _)) => fields.text(name),
        None => Ok(None),
    }
}

/// The id of an agent, which must be there.
pub(super) fn agent_id(fields: &Fields, names: &[&str]) -> Result<AgentId, Problem> {
    let (Some((name, _)), Some(text)) = (given(fields, names), text(fields, names)?) else {
        return Err(wrong(names.first().unwrap_or(&""), "is required"));
    };
    AgentId::parse(text).map_err(|error| wrong(name, error.to_string()))
}

/// A session's time to live, in seconds.
pub(super) fn ttl_seconds(fields: &Fields) -> Result<Option<u64>, Problem> {
    for (name, unit_seconds) in TTL_SPELLINGS {
        if let Some(value) = fields.value(name) {
            let max = TTL_SECONDS_MAX / unit_seconds;
            let number = whole(value).filter(|number| (1..=max).contains(number));
            let number = number
                .ok_or_else(|| wrong(name, format!("must be a whole number from 1 to {max}")))?;
            return Ok(Some(number * unit_seconds));
        }
    }
    Ok(None)
}

/// The text of a member of a body that was read before, so that numbers keep their digits.
pub(super) fn raw<'a>(body: &'a [u8], name: &str) -> Option<&'a RawValue> {
    let mut members: HashMap<String, &'a RawValue> = serde_json::from_slice(body).ok()?;
    members.remove(name).filter(|value| value.get() != "null")
}

/// Data of an event in the making.
#[derive(Default)]
pub(super) struct Data(Json);

impl Data {
    /// Adds a member, if there is a value for it.
    pub(super) fn with(mut self, name: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value {
            self.0.raw(if self.is_empty() { "{" } else { "," });
            self.0.text(name);
            self.0.raw(":");
            self.0.value(&value);
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0.raw(if self.is_empty() { "{}" } else { "}" });
        self.0.into_bytes()
    }
}

/// Data of an event that carries at most a reason.
pub(super) fn reason(reason: Option<&str>) -> Vec<u8> {
    Data::default().with("reason", reason).into_bytes()
}

/// The spelling in which a field is given.
fn given<'a, 'n>(fields: &'a Fields, names: &[&'n str]) -> Option<(&'n str, &'a Value)> {
    names
        .iter()
        .find_map(|name| fields.value(name).map(|value| (*name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_time_to_live_is_in_minutes_or_seconds_and_a_day_at_most() {
        for (body, expected) in [
            (r#"{"ttl_minutes": 1440}"#, Ok(Some(86_400))),
            (r#"{"ttlSeconds": 86400}"#, Ok(Some(86_400))),
            (r#"{"ttl_seconds": 1, "ttl_minutes": 1}"#, Ok(Some(60))),
            (r#"{"ttl_minutes": 5.0}"#, Ok(Some(300))),
            (r#"{"ttlSeconds": 6e1}"#, Ok(Some(60))),
            (r#"{"ttl_minutes": null}"#, Ok(None)),
            (r#"{"ttl_minutes": 1441}"#, Err("ttl_minutes")),
            (r#"{"ttlMinutes": 1.5}"#, Err("ttlMinutes")),
            (r#"{"ttl_seconds": 0}"#, Err("ttl_seconds")),
            (r#"{"ttlSeconds": "60"}"#, Err("ttlSeconds")),
        ] {
            let found = ttl_seconds(&fields(body));
            let found = found.map_err(|problem| problem.errors()[0].field.clone());
            assert_eq!(found, expected.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn an_id_is_required_and_its_spelling_is_the_callers() {
        let names = ["agent_id", "agentId"];
        for (body, expected) in [
            (r#"{"agentId": "a"}"#, Ok("a")),
            (r#"{"agentId": "b", "agent_id": "a"}"#, Ok("a")),
            ("{}", Err("agent_id")),
            (r#"{"agentId": "a/b"}"#, Err("agentId")),
            (r#"{"agentId": 7}"#, Err("agentId")),
        ] {
            let found = agent_id(&fields(body), &names);
            let found = found.map_err(|problem| problem.errors()[0].field.clone());
            let expected = expected.map(|id| AgentId::parse(id).unwrap());
            assert_eq!(found, expected.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn data_has_the_members_that_were_given_in_their_order() {
        assert_eq!(reason(None), b"{}");
        let data = Data::default()
            .with("b", Some("x\"y"))
            .with("none", None::<u64>)
            .with("a", raw(br#"{"a": [1.50]}"#, "a"));
        assert_eq!(data.into_bytes(), br#"{"b":"x\"y","a":[1.50]}"#);
    }

    #[test]
    fn a_members_text_is_the_callers() {
        let body = br#" {"metadata": {"n": 1.50}, "a": [], "none": null} "#;
        assert_eq!(raw(body, "metadata").unwrap().get(), r#"{"n": 1.50}"#);
        assert!(raw(body, "none").is_none() && raw(body, "b").is_none() && raw(b"", "a").is_none());
    }
}
