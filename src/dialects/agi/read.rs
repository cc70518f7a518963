//! The list of sessions, one session, and the status of its work.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::session;
use crate::dialects::sdk::whole_list::WholeList;
use crate::domain::{SessionFilter, SessionId};
use crate::http::api::sessions::not_found;
use crate::http::problem::Problem;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::RowBytes;
use crate::query::{self, Sight};

/// Bytes of a usual answer.
const ANSWER_BYTES: usize = 256;

/// Lists every session that was not deleted, as a bare array.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
) -> Result<Response, Failure> {
    let list = WholeList {
        principal: caller.principal().clone(),
        filter: SessionFilter::default(),
        shows: |row, _now| session::is_there(row),
        write: session::write_listed,
        frame: ["[".to_owned(), "]".to_owned()],
    };
    Ok(list.answer(&app)?)
}

/// One session.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<SessionId>,
) -> Result<Response, Failure> {
    let stored = find(&app, caller.sight(), &id)?.ok_or_else(not_found)?;
    Ok(answer(&app, &stored)?)
}

/// Answers with the status of a session's work.
pub(super) async fn status(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<SessionId>,
) -> Result<Response, Failure> {
    let stored = find(&app, caller.sight(), &id)?.ok_or_else(not_found)?;
    let row = stored.row().map_err(Problem::from)?;
    let status = session::work_status(&row, app.now());
    Ok(body::json_of(&json!({"status": status})))
}

/// Finds a session that the caller may see and that was not deleted.
pub(super) fn find(
    app: &App,
    sight: Sight<'_>,
    id: &SessionId,
) -> Result<Option<RowBytes>, Problem> {
    app.read(|snapshot| {
        let Some(stored) = query::sessions::get(snapshot, sight, id)? else {
            return Ok(None);
        };
        let is_there = session::is_there(&stored.row()?);
        Ok(is_there.then_some(stored))
    })
}

/// The answer to a call about one session.
pub(super) fn answer(app: &App, stored: &RowBytes) -> Result<Response, Problem> {
    let row = stored.row()?;
    let mut out = Json::with_capacity(ANSWER_BYTES);
    session::write(&mut out, &row, app.now());
    Ok(body::json(out.into_bytes()))
}
