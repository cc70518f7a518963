//! Fields of bodies, in any of their spellings. If a body gives several spellings, the first in the
//! list counts.

use std::borrow::Cow;

use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::{AgentId, Metadata};
use crate::http::problem::Problem;
use crate::wire;

/// Longest time to live of a session of this API: a day.
pub(super) const TTL_SECONDS_MAX: u64 = 24 * 60 * 60;
const TTL_SPELLINGS: [(&str, u64); 4] = [
    ("ttl_minutes", 60),
    ("ttlMinutes", 60),
    ("ttl_seconds", 1),
    ("ttlSeconds", 1),
];

/// A text.
pub(super) fn text<'b>(
    fields: &Fields<'b>,
    names: &[&str],
) -> Result<Option<Cow<'b, str>>, Problem> {
    match given(fields, names) {
        Some((name, _)) => fields.text(name),
        None => Ok(None),
    }
}

/// A text in the type that commands use.
pub(super) fn boxed(fields: &Fields<'_>, names: &[&str]) -> Result<Option<Box<str>>, Problem> {
    Ok(text(fields, names)?.map(Into::into))
}

/// The id of an agent, which is required.
pub(super) fn agent_id(fields: &Fields<'_>, names: &[&str]) -> Result<AgentId, Problem> {
    let (Some((name, _)), Some(text)) = (given(fields, names), text(fields, names)?) else {
        return Err(wrong(names.first().unwrap_or(&""), "is required"));
    };
    AgentId::parse(&text).map_err(|error| wrong(name, error.to_string()))
}

/// A session's time to live, in seconds.
pub(super) fn ttl_seconds(fields: &Fields<'_>) -> Result<Option<u64>, Problem> {
    for (name, unit_seconds) in TTL_SPELLINGS {
        if let Some(raw) = fields.raw(name) {
            let max = TTL_SECONDS_MAX / unit_seconds;
            let number = wire::integer(raw).filter(|number| (1..=max).contains(number));
            let number = number
                .ok_or_else(|| wrong(name, format!("must be a whole number from 1 to {max}")))?;
            return Ok(Some(number * unit_seconds));
        }
    }
    Ok(None)
}

/// The caller's own data. Its text is kept, so that numbers keep their digits.
pub(super) fn metadata(fields: &Fields<'_>) -> Result<Option<Metadata>, Problem> {
    let name = "metadata";
    let metadata = fields.raw(name).map(wire::metadata).transpose();
    metadata.map_err(|error| wrong(name, error.to_string()))
}

/// The reason for a change.
pub(super) fn reason(fields: &Fields<'_>) -> Result<Option<Box<str>>, Problem> {
    boxed(fields, &["reason"])
}

/// The spelling in which a field is given, and the JSON text of its value.
fn given<'b, 'n>(fields: &Fields<'b>, names: &[&'n str]) -> Option<(&'n str, &'b str)> {
    names
        .iter()
        .find_map(|name| fields.raw(name).map(|raw| (*name, raw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields<'_> {
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
    fn the_text_of_metadata_is_the_callers() {
        let of =
            |body: &str| metadata(&fields(body)).map_err(|problem| problem.errors()[0].clone());
        let body = r#" {"metadata": {"n": 1.50}, "a": []} "#;
        assert_eq!(of(body).unwrap().unwrap().json(), r#"{"n": 1.50}"#);
        for none in ["{}", "", r#"{"metadata": null}"#] {
            assert_eq!(of(none), Ok(None));
        }
        for wrong in ["[]", r#"{"a":1,"a":2}"#, r#"{"a":"\ud800"}"#] {
            let body = format!(r#"{{"metadata": {wrong}}}"#);
            let error = of(&body).unwrap_err();
            assert_eq!(error.field, "metadata", "{wrong}");
        }
    }
}
