//! Names the scope that made the fold reject a command, and the agent or session whose scopes do
//! not cover it.

use serde::Deserialize;

use crate::domain::{AgentId, Reason, Scopes, SessionId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::state::App;
use crate::query::{self, Sight};

/// The fields of a command that concern scopes.
#[derive(Deserialize)]
struct ScopeRequest {
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(alias = "to_agent_id")]
    agent_id: Option<String>,
}

/// Adds the exceeding scope to a problem with the code `scope_exceeded`. Returns other problems
/// unchanged. The fold decided on an earlier state, so the problem names no scope if all of them
/// are covered by now.
pub(crate) fn named(
    app: &App,
    command: &Command,
    parent: Option<&SessionId>,
    problem: Problem,
) -> Problem {
    // The detail reveals the scopes of an agent or a session, so it needs the role `read`.
    if !command.may_read() {
        return problem;
    }
    if problem.code() != Code::Event(Reason::ScopeExceeded) {
        return problem;
    }
    let Ok(asked) = serde_json::from_slice::<ScopeRequest>(&command.body) else {
        return problem;
    };
    let bounds = bounds(app, command.sight(), parent, asked.agent_id.as_deref());
    for (whose, bound) in bounds.unwrap_or_default() {
        let beyond = |scope: &&String| {
            let one = Scopes::parse(&[scope]);
            one.is_ok_and(|one| !bound.covers(&one))
        };
        if let Some(scope) = asked.scopes.iter().find(beyond) {
            let message = format!("{scope:?} exceeds the scopes of {whose}: {}", bound.json());
            return problem.with_error("scopes", message);
        }
    }
    problem
}

/// The agent and the parent session whose scopes limit a new session, with these scopes. Omits
/// those that the caller may not see.
fn bounds(
    app: &App,
    sight: Sight<'_>,
    parent: Option<&SessionId>,
    agent: Option<&str>,
) -> Result<Vec<(String, Scopes)>, Problem> {
    app.read(|snapshot| {
        let mut bounds = Vec::new();
        let agent = agent.and_then(|id| AgentId::parse(id).ok());
        if let Some(id) = agent
            && let Some(known) = query::agents::get(snapshot, sight, &id)?
            && let Some(scopes) = known.row()?.scopes
        {
            bounds.push((format!("agent {id}"), Scopes::from_checked(scopes)));
        }
        if let Some(id) = parent
            && let Some(stored) = query::sessions::get(snapshot, sight, id)?
        {
            let scopes = stored.row()?.scopes;
            bounds.push((format!("session {id}"), Scopes::from_checked(scopes)));
        }
        Ok(bounds)
    })
}
