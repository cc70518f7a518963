//! Deletion: the session is terminated with the outcome `deleted`, and is gone for this API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::{read, session};
use crate::domain::filter::Owner;
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::session::Status;
use crate::domain::{Reason, SessionFilter, SessionId, StatusSet, Verdict};
use crate::http::app::App;
use crate::http::body;
use crate::http::command::Command;
use crate::http::dialects::change::{self, Change};
use crate::http::extract::Path;
use crate::http::problem::Problem;
use crate::ledger::command::SessionDone;
use crate::query::{self, Start};

const DATA: &[u8] = br#"{"outcome":"deleted"}"#;
/// What can be deleted: what is open, and what somebody ended.
const DELETABLE: [Status; 2] = [Status::Active, Status::Terminated];

/// Deletes a session. One that is not there is no error.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Failure> {
    if read::find(&app, command.tenant(), &id)?.is_none() {
        return Ok(answer(StatusCode::OK, false, "Session not found"));
    }
    let done = end(&app, &command, std::slice::from_ref(&id)).await?;
    let Some(done) = done.first() else {
        return Ok(answer(StatusCode::OK, false, "Session not found"));
    };
    if is_over(done) {
        let message = "The session has ended, and the ledger keeps how it did";
        return Ok(answer(StatusCode::OK, false, message));
    }
    let settled = change::stepped(&app, &command, &id, done)?.is_some();
    let (status, message) = if settled {
        (StatusCode::OK, "Session deleted successfully")
    } else {
        (StatusCode::ACCEPTED, "The session is about to be deleted")
    };
    Ok(answer(status, true, message))
}

/// Deletes every session that is there when the call comes, a page at a time.
pub(super) async fn all(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Failure> {
    // A credential that is bound to an agent may end no other sessions.
    let bound = command.by().agent.cloned();
    let filter = SessionFilter {
        owner: bound.map_or(Owner::Tenant, Owner::Agent),
        statuses: StatusSet::of(&DELETABLE).unwrap_or(StatusSet::ALL),
        ..SessionFilter::default()
    };
    let (mut start, mut deleted) = (Start::Offset(0), 0_u64);
    loop {
        let (tenant, rows_max) = (command.tenant(), usize::from(PAGE_ROWS_MAX));
        let (ids, next) = app.read(|snapshot| {
            let page = query::sessions::list(snapshot, tenant, &filter, start, rows_max)?;
            let mut ids = Vec::with_capacity(page.rows.len());
            for stored in &page.rows {
                let row = stored.row()?;
                let id = SessionId::parse(row.session_id).ok();
                ids.extend(id.filter(|_| session::is_there(&row)));
            }
            Ok((ids, page.next))
        })?;
        // A page may be full of sessions that are gone; others must get their turn.
        tokio::task::yield_now().await;
        for done in end(&app, &command, &ids).await? {
            deleted += u64::from(is_taken(&app, &command, &done)?);
        }
        match next {
            Some(cursor) => start = Start::Cursor(cursor),
            None => break,
        }
    }
    let message = format!("Deleted {deleted} sessions");
    Ok(answer(StatusCode::OK, 0 < deleted, &message))
}

async fn end(
    app: &App,
    command: &Command,
    sessions: &[SessionId],
) -> Result<Vec<SessionDone>, Problem> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let done = app.commands().end_each(command.by(), sessions, DATA);
    Ok(done.await?)
}

/// Whether the session had ended before.
fn is_over(done: &SessionDone) -> bool {
    let verdict = done.outcome.verdict.map(|row| row.verdict);
    matches!(
        verdict,
        Some(Verdict::Rejected(Reason::AlreadyEnded | Reason::NotActive))
    )
}

/// Whether the session is deleted, or about to be.
fn is_taken(app: &App, command: &Command, done: &SessionDone) -> Result<bool, Problem> {
    if is_over(done) {
        return Ok(false);
    }
    change::stepped(app, command, &done.session, done).map(|_| true)
}

fn answer(status: StatusCode, deleted: bool, message: &str) -> Response {
    let shape = json!({"success": true, "deleted": deleted, "message": message});
    let mut response = body::json_of(&shape);
    *response.status_mut() = status;
    response
}
