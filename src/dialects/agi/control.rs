//! Pause, resume and cancel: signs of life with another phase.
//!
//! A call checks the phase before it writes. So if two clients pause a session at the same time,
//! both may get the answer that they paused it.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::failure::Failure;
use super::{read, session};
use crate::dialects::sdk::change::{self, Change};
use crate::domain::SessionId;
use crate::domain::command::Refresh;
use crate::domain::event::Refreshed;
use crate::domain::session::{Phase, Status};
use crate::http::api::sessions::not_found;
use crate::http::problem::Problem;
use crate::http::request::command::Command;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;

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

/// Cancels the current task of a session. The session itself stays open.
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
            Ok(success(Success::Ok, "The session has no task to cancel"))
        }
    }
}

/// Returns the phase of an open session. Fails if the session is missing or has ended.
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
    let refresh = Refresh {
        presented: None,
        refreshed: Refreshed {
            phase: Some(phase),
            ..Refreshed::default()
        },
    };
    let done = app.commands().refresh(command.by(), id, refresh).await;
    let done = done.map_err(Problem::from)?;
    let settled = change::stepped(app, command, id, &done)?.is_some();
    let (status, message) = if settled {
        (Success::Ok, format!("Session {what} successfully"))
    } else {
        let message = format!("The session is about to be {what}");
        (Success::Accepted, message)
    };
    Ok(success(status, &message))
}

fn success(status: Success, message: &str) -> Response {
    body::json_with_status(status, &json!({"success": true, "message": message}))
}
