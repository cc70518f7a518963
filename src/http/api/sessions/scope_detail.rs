//! Says which scopes a command asked for too much, and whose bound they go beyond.

use serde::Deserialize;

use crate::domain::{AgentId, Reason, Scopes, SessionId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::state::App;
use crate::query::{self, Sight};

/// What a command asks for, as far as scopes are concerned.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(alias = "to_agent_id")]
    agent_id: Option<String>,
}

/// Names the scopes in a problem that says `scope_exceeded`; other problems stay as they are. The
/// verdict was given on an earlier state, so what fits by now is left out.
pub(crate) fn named(
    app: &App,
    command: &Command,
    parent: Option<&SessionId>,
    problem: Problem,
) -> Problem {
    // What an agent or a session may do is for those who may read it.
    if !command.may_read() {
        return problem;
    }
    if problem.code() != Code::Event(Reason::ScopeExceeded) {
        return problem;
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(&command.body) else {
        return problem;
    };
    let bounds = bounds(app, command.sight(), parent, asked.agent_id.as_deref());
    for (whose, bound) in bounds.unwrap_or_default() {
        let beyond = |scope: &&String| {
            let one = Scopes::parse(&[scope]);
            one.is_ok_and(|one| !bound.covers(&one))
        };
        if let Some(scope) = asked.scopes.iter().find(beyond) {
            let message = format!("{scope:?} goes beyond what {whose} may: {}", bound.json());
            return problem.with_error("scopes", message);
        }
    }
    problem
}

/// Whose scopes bound those of a new session, and what these are, as far as the caller is shown them.
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
