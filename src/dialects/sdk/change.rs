//! Requests of a dialect that change something: the extractor, and the result of the command.

use axum::extract::{FromRequest, Request};

use crate::domain::SessionId;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::response::command::{self, Stepped, SteppedAgent};
use crate::http::state::App;
use crate::ledger::command::{AgentDone, SessionDone};

/// Extracts a command with its caller, idempotency key and body. Ignores the query and the content
/// type, because clients of dialects send content types without a body, and bodies with every
/// method. The caller needs the role `write`.
#[derive(Debug)]
pub(crate) struct Change(pub(crate) Command);

impl FromRequest<App> for Change {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &App) -> Result<Self, Problem> {
        Command::lenient(request, state).await.map(Self)
    }
}

/// Returns the session after a command about it; `None` if there is no verdict yet. `about` is the
/// session that the command changed. A rejection is a problem. A failure after the write is
/// converted by [`after_writing`].
pub(crate) fn stepped(
    app: &App,
    command: &Command,
    about: &SessionId,
    done: &SessionDone,
) -> Result<Option<Stepped>, Problem> {
    command::stepped(app, command.sight(), about, done).map_err(after_writing)
}

/// Returns the agent after a command about it; `None` if there is no verdict yet. A rejection is a
/// problem, as in [`stepped`].
pub(crate) fn stepped_agent(
    app: &App,
    command: &Command,
    done: &AgentDone,
) -> Result<Option<SteppedAgent>, Problem> {
    command::stepped_agent(app, command.sight(), done).map_err(after_writing)
}

/// Converts a failure that happened after the event was written. A server error becomes
/// `VerdictUnreadable`, so that the client does not send its request again.
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
