//! Writes a session as a row of the API, directly from the stored bytes. This is the hot path of
//! listings.
//!
//! Scopes and metadata are copied unchanged, because they were validated as JSON before they were
//! stored. Tests compare rows with the serde output of [`Session`](crate::http::dto::Session).

use crate::domain::session::{Outcome, Phase, Status};
use crate::http::response::json::Json;
use crate::projection::SessionRow;

/// Writes a row with this status, which may differ from the stored one: a session past its deadline
/// shows as expired.
pub(crate) fn write(out: &mut Json, row: &SessionRow<'_>, status: Status) {
    out.raw("{\"session_id\":");
    out.text(row.session_id);
    out.raw(",\"agent_id\":");
    out.text(row.agent_id);
    let [agent_name, agent_key_id, caller @ ..] = row.profile.each();
    out.texts([agent_name, agent_key_id]);
    out.raw(",\"status\":");
    out.text(status.as_str());
    out.raw(",\"phase\":");
    out.text_or_null(row.phase.map(Phase::as_str));
    out.raw(",\"outcome\":");
    out.text_or_null(row.outcome.map(Outcome::as_str));
    out.raw(",\"scopes\":");
    out.raw(row.scopes);
    out.raw(",\"metadata\":");
    out.raw(row.metadata);
    out.raw(",\"expires_at\":");
    out.time_or_null(row.expires_at);
    out.raw(",\"parent_session_id\":");
    out.text_or_null(row.parent_session_id);
    out.raw(",\"handed_off_to\":");
    out.text_or_null(row.handed_off_to);
    out.raw(",\"handed_off_session_id\":");
    out.text_or_null(row.handed_off_session_id);
    out.raw(",\"project_id\":");
    out.text_or_null(row.project_id);
    out.texts(caller);
    write_times(out, row);
    out.raw(if row.time_adjusted {
        ",\"time_adjusted\":true}"
    } else {
        ",\"time_adjusted\":false}"
    });
}

fn write_times(out: &mut Json, row: &SessionRow<'_>) {
    out.raw(",\"refreshed_at\":");
    out.time_or_null(row.refreshed_at);
    out.raw(",\"terminated_at\":");
    out.time_or_null(row.terminated_at);
    out.raw(",\"deleted_at\":");
    out.time_or_null(row.deleted_at);
    out.raw(",\"last_activity_at\":");
    out.time(row.last_activity_at);
    out.raw(",\"created_at\":");
    out.time(row.created_at);
    out.raw(",\"recorded_at\":");
    out.time(row.recorded_at);
    out.raw(",\"updated_at\":");
    out.time(row.updated_at);
}

#[cfg(test)]
#[path = "session_row_tests.rs"]
mod tests;
