//! The headers that identify the caller: a user's token and the project, or the key of an agent.

use axum::http::{HeaderMap, HeaderName};

use crate::auth::Presented;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

pub(super) const PROJECT: HeaderName = HeaderName::from_static("x-otas-project-id");
const USER_TOKEN: HeaderName = HeaderName::from_static("x-otas-user-token");
const AGENT_KEY: HeaderName = HeaderName::from_static("x-otas-agent-key");
const AGENT_ID: HeaderName = HeaderName::from_static("x-otas-agent-id");

/// The token of a user. The request must also name a project.
pub(super) fn of_user(headers: &HeaderMap) -> Result<Presented<'_>, Problem> {
    let project = headers.get(PROJECT).filter(|value| !value.is_empty());
    let token = only(headers, &USER_TOKEN)?.filter(|_| project.is_some());
    token
        .map(Presented::Bearer)
        .ok_or_else(|| Problem::new(Code::CredentialRequired))
}

/// The key of an agent.
pub(super) fn of_agent(headers: &HeaderMap) -> Result<Presented<'_>, Problem> {
    let key = only(headers, &AGENT_KEY)?;
    key.map(Presented::Key)
        .ok_or_else(|| Problem::new(Code::CredentialRequired))
}

/// The id of the agent that a call is about. It is not a secret.
pub(super) fn agent_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AGENT_ID)?;
    // A value that is not text is the id of no agent.
    Some(value.to_str().unwrap_or("?")).filter(|id| !id.is_empty())
}

/// The only value of a header. Empty values do not count, and two values are an error.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter().filter(|it| !it.is_empty());
    let (first, second) = (values.next(), values.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| second.is_none());
    let text = text.ok_or_else(|| Problem::new(Code::InvalidCredential))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(
        present: fn(&HeaderMap) -> Result<Presented<'_>, Problem>,
        headers: &[(&'static str, &str)],
        expected: Result<Presented<'_>, Code>,
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = present(&map).map_err(|problem| problem.code());
        assert!(found == expected, "{headers:?}");
    }

    #[test]
    fn a_user_shows_a_token_and_names_a_project() {
        let (token, project) = (("x-otas-user-token", "t"), ("x-otas-project-id", "p"));
        check(of_user, &[token, project], Ok(Presented::Bearer("t")));
        for missing in [
            &[token][..],
            &[project],
            &[token, ("x-otas-project-id", "")],
            &[("x-otas-user-token", ""), project],
            &[("authorization", "Bearer t"), project],
        ] {
            check(of_user, missing, Err(Code::CredentialRequired));
        }
        let invalid = Err(Code::InvalidCredential);
        check(of_user, &[token, token, project], invalid);
        let empty = ("x-otas-user-token", "");
        check(
            of_user,
            &[empty, token, project],
            Ok(Presented::Bearer("t")),
        );
        check(
            of_user,
            &[("x-otas-user-token", "\u{e9}"), project],
            invalid,
        );
    }

    #[test]
    fn an_agent_shows_its_key_alone() {
        let key = ("x-otas-agent-key", "k");
        let token = ("x-otas-user-token", "t");
        check(of_agent, &[key, token], Ok(Presented::Key("k")));
        check(of_agent, &[token], Err(Code::CredentialRequired));
        check(of_agent, &[key, key], Err(Code::InvalidCredential));
    }
}
