//! Names the scope that made the fold reject a command, and the agent or session whose scopes do
//! not cover it.

use crate::domain::{AgentId, Reason, Scopes, SessionId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::CommandRequest;
use crate::http::state::App;
use crate::query::{self, Sight};

/// The scopes that a command asks for.
pub(crate) struct WantedScopes {
    /// Whose session it will be.
    agent: AgentId,
    scopes: Option<Scopes>,
}

impl WantedScopes {
    pub(crate) fn new(agent: &AgentId, scopes: Option<&Scopes>) -> Self {
        let (agent, scopes) = (agent.clone(), scopes.cloned());
        Self { agent, scopes }
    }

    /// Names the scopes in a problem that says `scope_exceeded`; other problems stay as they are.
    /// The verdict was given on an earlier state, so scopes that fit by now are left out.
    pub(crate) fn named(
        &self,
        app: &App,
        command: &CommandRequest,
        parent: Option<&SessionId>,
        problem: Problem,
    ) -> Problem {
        // What an agent or a session may do is for those who may read it.
        if !command.may_read() || problem.code() != Code::Event(Reason::ScopeExceeded) {
            return problem;
        }
        let scopes = self.scopes.as_ref().map(Scopes::list).unwrap_or_default();
        let bounds = bounds(app, command.sight(), parent, &self.agent);
        for (whose, bound) in bounds.unwrap_or_default() {
            let beyond = |scope: &&String| {
                let one = Scopes::parse(&[scope]);
                one.is_ok_and(|one| !bound.covers(&one))
            };
            if let Some(scope) = scopes.iter().find(beyond) {
                let message = format!("{scope:?} exceeds the scopes of {whose}: {}", bound.json());
                return problem.with_error("scopes", message);
            }
        }
        problem
    }
}

/// The agent and the parent session whose scopes limit a new session, with these scopes. Omits
/// those that the caller may not see.
fn bounds(
    app: &App,
    sight: Sight<'_>,
    parent: Option<&SessionId>,
    agent: &AgentId,
) -> Result<Vec<(String, Scopes)>, Problem> {
    app.read(|snapshot| {
        let mut bounds = Vec::new();
        if let Some(known) = query::agents::get(snapshot, sight, agent)?
            && let Some(scopes) = known.row()?.scopes
        {
            bounds.push((format!("agent {agent}"), Scopes::from_checked(scopes)));
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
