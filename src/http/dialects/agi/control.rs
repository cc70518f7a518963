//! Pause, resume and cancel: signs of life with another phase.
//!
//! Whether a session can be paused is looked up before, so of two that pause it at one time both
//! may be told that they did.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::{read, session};
use crate::domain::SessionId;
use crate::domain::session::{Phase, Status};
use crate::http::app::App;
use crate::http::body;
use crate::http::command::Command;
use crate::http::dialects::change::{self, Change};
use crate::http::extract::Path;
use crate::http::problem::Problem;
use crate::http::sessions::not_found;

pub(super) async fn pause(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Failure> {
    match phase(&app, &command, &id)? {
        Phase::Paused => Err(Failure::AlreadyPaused),
        Phase::Initializing | Phase::Ready | Phase::Running => {
            step(&app, &command, &id, Phase::Paused, "paused").await
        }
    }
}

pub(super) async fn resume(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Failure> {
    match phase(&app, &command, &id)? {
        Phase::Paused => step(&app, &command, &id, Phase::Running, "resumed").await,
        Phase::Initializing | Phase::Ready | Phase::Running => Err(Failure::NotPaused),
    }
}

/// Ends what the session works on. The session itself stays.
pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Failure> {
    match phase(&app, &command, &id)? {
        Phase::Running | Phase::Paused => {
            step(&app, &command, &id, Phase::Ready, "cancelled").await
        }
        Phase::Initializing | Phase::Ready => {
            Ok(success(StatusCode::OK, "The session has no task to cancel"))
        }
    }
}

/// What an open session is busy with.
fn phase(app: &App, command: &Command, id: &SessionId) -> Result<Phase, Failure> {
    let stored = read::find(app, command.sight(), id)?.ok_or_else(not_found)?;
    let row = stored.row().map_err(Problem::from)?;
    match row.status_at(app.now()) {
        Status::Active => Ok(session::phase(&row)),
        Status::Terminated | Status::Expired | Status::HandedOff => Err(Failure::Ended),
    }
}

async fn step(
    app: &App,
    command: &Command,
    id: &SessionId,
    phase: Phase,
    what: &str,
) -> Result<Response, Failure> {
    let data = json!({"phase": phase.as_str()}).to_string();
    let done = app.commands().note(command.by(), id, data.as_bytes());
    let done = done.await.map_err(Problem::from)?;
    let settled = change::stepped(app, command, id, &done)?.is_some();
    let (status, message) = if settled {
        (StatusCode::OK, format!("Session {what} successfully"))
    } else {
        let message = format!("The session is about to be {what}");
        (StatusCode::ACCEPTED, message)
    };
    Ok(success(status, &message))
}

fn success(status: StatusCode, message: &str) -> Response {
    body::json_with_status(status, &json!({"success": true, "message": message}))
}
