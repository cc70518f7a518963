//! The body of `POST /v1/keys`.

use serde_json::{Map, Value};

use crate::auth::{Grant, Role, Roles};
use crate::domain::{AgentId, Reason, TenantId, Timestamp};
use crate::http::key_change::NOT_ISSUED;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::extract::echo;
use crate::http::request::json_body;

const MEMBERS: [&str; 4] = ["name", "roles", "agent_id", "expires_at"];

/// Reads the grant of the new key. A problem names every wrong field.
pub(crate) fn read(tenant: &TenantId, body: &[u8]) -> Result<Grant, Problem> {
    let members = json_body::object(body)?;
    let mut errors = Vec::new();
    for unknown in members
        .keys()
        .filter(|name| !MEMBERS.contains(&name.as_str()))
    {
        let message = format!("is unknown; the fields of a key are {}", MEMBERS.join(", "));
        errors.push((echo(unknown).into_owned(), message));
    }
    let name = text(&members, "name", &mut errors, |text| Ok(text.into()));
    let agent = text(&members, "agent_id", &mut errors, |text| {
        AgentId::parse(text).map_err(|error| error.to_string())
    });
    let expires_at = text(&members, "expires_at", &mut errors, |text| {
        let time = Timestamp::parse(text);
        time.ok_or_else(|| "must be a time as in RFC 3339".to_owned())
    });
    let roles = roles(members.get("roles"));
    if roles.is_none() {
        let words = Role::words_of_tenant();
        let message = format!("must be a list of one or more of: {}", words.join(", "));
        errors.push(("roles".to_owned(), message));
    }
    match roles {
        Some(roles) if errors.is_empty() => Ok(Grant {
            tenant: tenant.clone(),
            name,
            roles,
            agent,
            expires_at,
        }),
        Some(_) | None => Err(invalid(errors)),
    }
}

fn text<T>(
    members: &Map<String, Value>,
    name: &str,
    errors: &mut Vec<(String, String)>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = match members.get(name) {
        None | Some(Value::Null) => return None,
        Some(Value::String(text)) => parse(text),
        Some(_) => Err("must be a string".to_owned()),
    };
    parsed
        .map_err(|message| errors.push((name.to_owned(), message)))
        .ok()
}

fn roles(value: Option<&Value>) -> Option<Roles> {
    let words = value?.as_array().filter(|words| !words.is_empty())?;
    words
        .iter()
        .map(|word| Role::of_tenant(word.as_str()?))
        .collect()
}

/// The problem with these wrong fields.
fn invalid(errors: Vec<(String, String)>) -> Problem {
    Problem::new(Code::Event(Reason::Invalid))
        .with_detail(NOT_ISSUED)
        .with_errors(errors)
}
