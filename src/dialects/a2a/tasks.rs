//! `GetTask` and `CancelTask`.

use super::failure::Failure;
use super::task::{self, Shown, TASK_BYTES};
use crate::auth::Principal;
use crate::dialects::sdk::change;
use crate::domain::command::Terminate;
use crate::domain::session::Status;
use crate::domain::{Reason, SessionId, Verdict};
use crate::http::problem::Problem;
use crate::http::request::caller::sight;
use crate::http::request::command::CommandRequest;
use crate::http::response::json::Json;
use crate::http::response::lookup;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::projection::RowBytes;
use crate::query;

/// What the event of a cancellation says.
const REASON: &str = "canceled over A2A";

/// One task, as it is now.
pub(super) async fn get(app: &App, principal: &Principal, id: &SessionId) -> Result<Json, Failure> {
    let stored = lookup::session(app, sight(principal), id)?;
    Ok(one(app, principal, stored).await?)
}

/// Cancels a task: terminates its session, without an outcome. The answer is the task, with the success 202
/// while the ledger has not processed the event: then the task is still working.
pub(super) async fn cancel(
    app: &App,
    command: &CommandRequest,
    id: &SessionId,
) -> Result<(Success, Json), Failure> {
    let before = lookup::session(app, command.sight(), id)?;
    let status = before.row().map_err(Problem::from)?.status_at(app.now());
    if status != Status::Active {
        return Err(Failure::NotCancelable(status));
    }
    let terminate = Terminate {
        outcome: None,
        reason: Some(REASON.into()),
    };
    let done = app.commands().end(command.by(), id, terminate).await;
    let done = done.map_err(Problem::from)?;
    // Somebody else may have ended the session since.
    let verdict = done.receipt.verdict.map(|row| row.verdict);
    if let Some(Verdict::Rejected(Reason::AlreadyEnded)) = verdict {
        return Err(Failure::NotCancelable(Status::Terminated));
    }
    let (success, stored) = match change::stepped(app, command, id, &done)? {
        Some(stepped) => (Success::Ok, stepped.session),
        None => (Success::Accepted, before),
    };
    let task = one(app, command.principal(), stored).await;
    Ok((success, task.map_err(change::after_writing)?))
}

/// Writes one task, with the state that it has by the clock.
async fn one(app: &App, principal: &Principal, stored: RowBytes) -> Result<Json, Problem> {
    let (principal, now) = (principal.clone(), app.now());
    let answer = app.scan(move |snapshot| {
        let stored = [stored];
        let contexts = query::trees::roots(snapshot, sight(&principal), &stored)?;
        let [stored] = &stored;
        let row = stored.row()?;
        let shown = Shown {
            context: contexts.first().and_then(Option::as_deref),
            status: row.status_at(now),
            artifacts: false,
        };
        let mut out = Json::with_capacity(TASK_BYTES);
        task::write(&mut out, &row, shown);
        Ok(out)
    });
    answer.await
}
