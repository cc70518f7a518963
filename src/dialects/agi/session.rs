//! A session in AGI's words.

use serde_json::value::RawValue;

use crate::dialects::sdk::millis::millis;
use crate::domain::Timestamp;
use crate::domain::session::{Outcome, Phase, Status};
use crate::http::response::json::Json;
use crate::projection::SessionRow;

/// The member of the metadata that holds the kind of a session.
pub(super) const KIND: &str = "agent_session_type";

/// Whether this API shows a session: it was not deleted.
pub(super) fn is_there(row: &SessionRow<'_>) -> bool {
    row.deleted_at.is_none()
}

/// The status of a session.
pub(super) fn status(row: &SessionRow<'_>, now: Timestamp) -> &'static str {
    match (row.status_at(now), row.outcome) {
        (Status::Active, _) => phase(row).as_str(),
        (Status::Terminated, Some(Outcome::Completed)) => "completed",
        (Status::Terminated, Some(Outcome::Error)) => "error",
        // AGI has no words for the other outcomes.
        (Status::Terminated | Status::Expired | Status::HandedOff, _) => "terminated",
    }
}

/// The status of a session's work, for which AGI has other words.
pub(super) fn work_status(row: &SessionRow<'_>, now: Timestamp) -> &'static str {
    match (row.status_at(now), row.outcome) {
        (Status::Active, _) => match phase(row) {
            // AGI has no word for initializing. Like running, it ends without another call.
            Phase::Initializing | Phase::Running => "running",
            Phase::Ready => "ready",
            Phase::Paused => "paused",
        },
        (Status::Terminated, Some(Outcome::Error)) => "error",
        (Status::Terminated | Status::Expired | Status::HandedOff, _) => "finished",
    }
}

/// The phase of a session; ready if no event named a phase.
pub(super) fn phase(row: &SessionRow<'_>) -> Phase {
    row.phase.unwrap_or(Phase::Ready)
}

/// Writes a session as a row of the list.
pub(super) fn write_listed(out: &mut Json, row: &SessionRow<'_>, now: Timestamp) {
    write_members(out, row, now);
    out.raw("}");
}

/// Writes a session as the calls about a single session return it.
pub(super) fn write(out: &mut Json, row: &SessionRow<'_>, now: Timestamp) {
    write_members(out, row, now);
    out.raw(",\"vnc_url\":null}");
}

fn write_members(out: &mut Json, row: &SessionRow<'_>, now: Timestamp) {
    out.raw("{\"session_id\":");
    out.text(row.session_id);
    out.raw(",\"agent_name\":");
    out.text(row.profile.agent_name.unwrap_or(row.agent_id));
    out.raw(",\"status\":");
    out.text(status(row, now));
    out.raw(",\"created_at\":");
    out.text(&millis(row.created_at));
    // Left out if unknown, because clients reject null.
    if let Some(kind) = kind(row.metadata) {
        out.raw(",\"agent_session_type\":");
        out.text(&kind);
    }
}

fn kind(metadata: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Kept<'a> {
        #[serde(borrow)]
        agent_session_type: Option<&'a RawValue>,
    }
    if !metadata.contains(KIND) {
        return None;
    }
    let kept: Kept<'_> = serde_json::from_str(metadata).ok()?;
    serde_json::from_str(kept.agent_session_type?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_session_is_a_text_of_its_metadata() {
        let check = |metadata: &str, expected: Option<&str>| {
            assert_eq!(kind(metadata).as_deref(), expected, "{metadata}");
        };
        check(
            r#"{"agent_session_type":"desk\u0074op","a":1}"#,
            Some("desktop"),
        );
        check(r#"{"agent_session_type":null}"#, None);
        check(r#"{"agent_session_type":5}"#, None);
        check(r#"{"a":{"agent_session_type":"desktop"}}"#, None);
        check("{}", None);
    }
}
