//! A request for a change in a dialect: who asks for it, the body, read as leniently as it goes, and
//! what became of it.

use axum::extract::{FromRequest, Request};

use crate::domain::SessionId;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::response::command::{self, Stepped, SteppedAgent};
use crate::http::state::App;
use crate::ledger::command::{AgentDone, SessionDone};

/// A command whose query and content type do not matter: clients send a content type without a
/// body, and bodies with every method.
#[derive(Debug)]
pub(crate) struct Change(pub(crate) Command);

impl FromRequest<App> for Change {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &App) -> Result<Self, Problem> {
        Command::lenient(request, state).await.map(Self)
    }
}

/// What became of a command about a session; `about` is the one that took the step. `None` while
/// there is no verdict; a rejection is a problem, and another problem than a failure before anything
/// was written.
pub(crate) fn stepped(
    app: &App,
    command: &Command,
    about: &SessionId,
    done: &SessionDone,
) -> Result<Option<Stepped>, Problem> {
    command::stepped(app, command.sight(), about, done).map_err(after_writing)
}

/// The same of a command about an agent.
pub(crate) fn stepped_agent(
    app: &App,
    command: &Command,
    done: &AgentDone,
) -> Result<Option<SteppedAgent>, Problem> {
    command::stepped_agent(app, command.sight(), done).map_err(after_writing)
}

/// What a failure is once something was written: never one after which clients send all of it again.
pub(crate) fn after_writing(problem: impl Into<Problem>) -> Problem {
    let problem = problem.into();
    if problem.code().status().is_server_error() {
        Problem::new(Code::VerdictUnreadable).for_command()
    } else {
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_of_the_server_after_a_write_asks_to_send_it_again() {
        for code in Code::all() {
            let before = Problem::new(code).with_detail("said before");
            let after = after_writing(before);
            if code.status().is_server_error() {
                // The one that dialects answer with another status than the API.
                assert_eq!(after.code(), Code::VerdictUnreadable, "{code:?}");
                assert_ne!(after.detail(), "said before", "{code:?}");
            } else {
                assert_eq!((after.code(), after.detail()), (code, "said before"));
            }
        }
    }
}
