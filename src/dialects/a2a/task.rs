//! A session as a task of A2A, in the JSON form of its protocol buffers.

use super::state::TaskState;
use crate::dialects::sdk::millis::millis;
use crate::domain::session::Status;
use crate::http::response::json::Json;
use crate::http::response::session_row;
use crate::projection::SessionRow;

/// Bytes of a usual task.
pub(super) const TASK_BYTES: usize = 1024;

/// What a task shows besides its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// The root of the session's tree; `None` if the caller is not shown it.
    pub(super) context: Option<&'a str>,
    /// The status, which may differ from the stored one: a session past its deadline shows as expired.
    pub(super) status: Status,
    /// Whether the task has a list of artifacts. It is always empty.
    pub(super) artifacts: bool,
}

/// Writes a task. Its metadata has the session as the ledger's own API shows it.
pub(super) fn write(out: &mut Json, row: &SessionRow<'_>, shown: Shown<'_>) {
    let Shown {
        context,
        status,
        artifacts,
    } = shown;
    out.raw("{\"id\":");
    out.text(row.session_id);
    if let Some(context) = context {
        out.raw(",\"contextId\":");
        out.text(context);
    }
    out.raw(",\"status\":{\"state\":");
    out.text(TaskState::of(status, row.outcome).as_str());
    out.raw(",\"timestamp\":");
    out.text(&millis(row.in_status_since(status)));
    out.raw("}");
    if artifacts {
        out.raw(",\"artifacts\":[]");
    }
    out.raw(",\"metadata\":{\"session\":");
    session_row::write(out, row, status);
    out.raw("}}");
}
