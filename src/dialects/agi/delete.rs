//! Deletion: terminates a session with the outcome `deleted`. This API then no longer shows the
//! session. A session that had already ended keeps its status and outcome.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::{read, session};
use crate::dialects::sdk::change::{self, Change};
use crate::domain::command::Terminate;
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::session::Outcome;
use crate::domain::{Reason, SessionFilter, SessionId, Verdict};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::SessionDone;
use crate::query::{self, PageStart};

const DELETE: Terminate = Terminate {
    outcome: Some(Outcome::Deleted),
    reason: None,
};

/// Deletes a session. A missing session, or an id that cannot exist, is not an error.
pub(super) async fn one(
    State(app): State<App>,
    id: Result<Path<SessionId>, Problem>,
    Change(command): Change,
) -> Result<Response, Failure> {
    let missing = || Ok(answer(Success::Ok, false, "Session not found"));
    let Ok(Path(id)) = id else {
        return missing();
    };
    if read::find(&app, command.sight(), &id)?.is_none() {
        return missing();
    }
    let done = delete_each(&app, &command, &[id]).await?;
    let done = done.first();
    let done = done.ok_or_else(|| Problem::new(Code::InternalError))?;
    match deletion(&app, &command, done)? {
        Deletion::Done => Ok(answer(Success::Ok, true, "Session deleted successfully")),
        Deletion::Pending => {
            let message = "The session is about to be deleted";
            Ok(answer(Success::Accepted, true, message))
        }
        Deletion::Before => missing(),
    }
}

/// Deletes every session that exists when the call begins, a page at a time.
pub(super) async fn all(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Failure> {
    // With a credential that is bound to an agent, this lists only sessions of that agent. The
    // caller may end no others.
    let filter = SessionFilter::default();
    let (mut start, mut deleted, mut status) = (PageStart::Offset(0), 0_u64, Success::Ok);
    loop {
        let (sight, rows_max) = (command.sight(), usize::from(PAGE_ROWS_MAX));
        let page = app.read(|snapshot| {
            let page = query::sessions::list(snapshot, sight, &filter, start, rows_max)?;
            let mut ids = Vec::with_capacity(page.rows.len());
            for stored in &page.rows {
                let row = stored.row()?;
                let id = SessionId::parse(row.session_id).ok();
                ids.extend(id.filter(|_| session::is_there(&row)));
            }
            Ok((ids, page.next))
        });
        let failed = move |problem| told(deleted, problem);
        let (ids, next) = page.map_err(failed)?;
        // If all sessions of a page are deleted already, nothing else here yields to other tasks.
        tokio::task::yield_now().await;
        for done in delete_each(&app, &command, &ids).await.map_err(failed)? {
            let failed = |problem| told(deleted, problem);
            match deletion(&app, &command, &done).map_err(failed)? {
                Deletion::Done => deleted += 1,
                Deletion::Pending => {
                    deleted += 1;
                    status = Success::Accepted;
                }
                Deletion::Before => {}
            }
        }
        match next {
            Some(cursor) => start = cursor.into(),
            None => break,
        }
    }
    let message = format!("Deleted {deleted} sessions");
    Ok(answer(status, 0 < deleted, &message))
}

/// Converts a failure after this many sessions were deleted.
fn told(deleted: u64, problem: Problem) -> Problem {
    if deleted == 0 {
        return problem;
    }
    let why = problem.code().as_str();
    let detail = format!(
        "at least {deleted} sessions were deleted before this failed ({why}); delete all again"
    );
    Problem::new(Code::Unconfirmed).with_detail(detail)
}

async fn delete_each(
    app: &App,
    command: &Command,
    sessions: &[SessionId],
) -> Result<Vec<SessionDone>, Problem> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let commands = app.commands();
    let done = commands.terminate_each(command.by(), sessions, &DELETE);
    Ok(done.await?)
}

/// The result of a deletion.
enum Deletion {
    Done,
    /// The event is on the log, but not folded yet.
    Pending,
    /// Another caller had already deleted the session.
    Before,
}

fn deletion(app: &App, command: &Command, done: &SessionDone) -> Result<Deletion, Problem> {
    let verdict = done.outcome.verdict.map(|row| row.verdict);
    if let Some(Verdict::Rejected(Reason::AlreadyEnded | Reason::NotActive)) = verdict {
        return Ok(Deletion::Before);
    }
    let stepped = change::stepped(app, command, &done.session, done)?;
    Ok(stepped.map_or(Deletion::Pending, |_| Deletion::Done))
}

fn answer(status: Success, deleted: bool, message: &str) -> Response {
    let shape = json!({"success": true, "deleted": deleted, "message": message});
    body::json_with_status(status, &shape)
}
