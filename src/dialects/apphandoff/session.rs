//! A session in `AppHandoff`'s words. It has three shapes: a connection, a live agent, and a
//! finished task.

use serde::Deserialize;
use serde_json::Value;

use crate::dialects::sdk::millis::millis;
use crate::domain::Timestamp;
use crate::domain::ids::is_uuid;
use crate::domain::session::{Phase, Status};
use crate::http::response::json::Json;
use crate::projection::SessionRow;
use crate::wire;

const SECOND_US: i64 = 1_000_000;
/// A session without a sign of life for longer than this is not live, by the vendor's documents.
const LIVE_US: i64 = 5 * 60 * SECOND_US;
/// A session without a sign of life for this long is stale.
const STALE_US: i64 = 60 * SECOND_US;
/// The value of required texts that are unknown. No id is empty.
const UNSAID: &str = "";

/// Whether a session is live: open, and with a recent sign of life.
pub(super) fn is_live(row: &SessionRow<'_>, now: Timestamp) -> bool {
    row.status_at(now) == Status::Active && now.micros_since(row.last_activity_at) <= LIVE_US
}

/// Writes a session as a connection.
pub(super) fn write(out: &mut Json, row: &SessionRow<'_>, _now: Timestamp) {
    out.raw("{\"session_id\":");
    out.text(row.session_id);
    out.raw(",\"machine_id\":");
    out.text(row.profile.machine_id.unwrap_or(UNSAID));
    out.raw(",\"user_id\":");
    out.text(row.profile.user_id.unwrap_or(UNSAID));
    out.raw(",\"project_id\":");
    out.text_or_null(row.project_id);
    out.raw(",\"caller_role\":");
    out.text(role(row));
    out.raw(",\"caller_origin\":");
    out.text_or_null(row.profile.caller_origin);
    out.raw(",\"connected_at\":");
    out.text(&millis(row.created_at));
    out.raw(",\"last_activity_at\":");
    out.text(&millis(row.last_activity_at));
    out.raw("}");
}

/// Writes a session as a live agent.
pub(super) fn write_present(out: &mut Json, row: &SessionRow<'_>, now: Timestamp) {
    let work = Work::of(row);
    let works_since = work
        .started_at
        .filter(|_| row.phase == Some(Phase::Running));
    out.raw("{\"ticket_id\":");
    out.text_or_null(work.ticket_id.as_deref());
    out.raw(",\"ticket_number\":");
    out.number_or_null(work.ticket_number);
    out.raw(",\"role\":");
    out.text(role(row));
    out.raw(",\"origin\":");
    out.text(row.profile.caller_origin.unwrap_or(UNSAID));
    out.raw(",\"connected_for_s\":");
    out.value(&seconds(row.created_at, now));
    out.raw(",\"working_for_s\":");
    out.number_or_null(works_since.map(|since| seconds(since, now)));
    out.raw(",\"stale\":");
    out.value(&(STALE_US <= now.micros_since(row.last_activity_at)));
    out.raw("}");
}

/// Writes an ended session as a finished task.
pub(super) fn write_done(out: &mut Json, row: &SessionRow<'_>) {
    let ended_at = ended_at(row);
    out.raw("{\"id\":");
    out.text(row.session_id);
    out.raw(",\"ticket_id\":");
    out.text_or_null(Work::of(row).ticket_id.as_deref());
    out.raw(",\"duration_seconds\":");
    out.value(&seconds(row.created_at, ended_at));
    out.raw(",\"started_at\":");
    out.text(&millis(row.created_at));
    out.raw(",\"ended_at\":");
    out.text(&millis(ended_at));
    out.raw(",\"agent_role\":");
    out.text(role(row));
    out.raw(",\"origin\":");
    out.text_or_null(row.profile.caller_origin);
    out.raw("}");
}

/// The role of a session; the id of its agent if no event named a role.
fn role<'a>(row: &SessionRow<'a>) -> &'a str {
    row.profile.caller_role.unwrap_or(row.agent_id)
}

fn ended_at(row: &SessionRow<'_>) -> Timestamp {
    let said = match row.status {
        Status::Terminated => row.terminated_at,
        Status::Expired => row.expires_at,
        Status::Active | Status::HandedOff => None,
    };
    // A handoff is the last event that changes a session.
    said.unwrap_or(row.updated_at)
}

/// Whole seconds from one time to another. 0 if the second time is earlier: clocks may differ.
fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.micros_since(from) / SECOND_US).unwrap_or_default()
}

/// The work of a session, from its metadata. An invalid value counts as absent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    ticket_id: Option<String>,
    ticket_number: Option<u64>,
    started_at: Option<Timestamp>,
}

impl Work {
    fn of(row: &SessionRow<'_>) -> Self {
        Self::parse(row.metadata)
    }

    fn parse(metadata: &str) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Said {
            ticket_id: Value,
            ticket_number: Value,
            work_started_at: Value,
        }
        let said: Said = serde_json::from_str(metadata).unwrap_or_default();
        let ticket_id = said.ticket_id.as_str().filter(|id| is_uuid(id));
        Self {
            ticket_id: ticket_id.map(str::to_ascii_lowercase),
            ticket_number: said
                .ticket_number
                .as_number()
                .and_then(|number| wire::integer(&number.to_string())),
            started_at: said.work_started_at.as_str().and_then(Timestamp::parse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_works_on_is_what_its_metadata_says_in_the_right_type() {
        let ticket = "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0";
        let said = format!(
            r#"{{"ticket_id":"{}","ticket_number":7,"work_started_at":"2026-01-31T12:00:00Z","a":[]}}"#,
            ticket.to_ascii_uppercase()
        );
        let work = Work {
            ticket_id: Some(ticket.to_owned()),
            ticket_number: Some(7),
            started_at: Timestamp::parse("2026-01-31T12:00:00Z"),
        };
        assert_eq!(Work::parse(&said), work);
        assert_eq!(Work::parse(&said.replace(":7,", ":7.0,")), work);
        for unsaid in [
            "{}",
            r#"{"ticket_id":null,"ticket_number":null,"work_started_at":null}"#,
            r#"{"ticket_id":"T-7","ticket_number":"7","work_started_at":"noon"}"#,
            r#"{"ticket_id":7,"ticket_number":-7.5,"work_started_at":{}}"#,
        ] {
            assert_eq!(Work::parse(unsaid), Work::default(), "{unsaid}");
        }
    }

    #[test]
    fn a_time_that_lies_ahead_is_no_seconds_away() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (earlier, later) = (at("2026-01-31T12:00:00Z"), at("2026-01-31T12:00:01.9Z"));
        assert_eq!(seconds(earlier, later), 1);
        assert_eq!(seconds(later, earlier), 0);
    }
}
