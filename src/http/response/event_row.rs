//! Writes events of the history with their verdicts: the stored body unchanged, and never the
//! private part.

use std::convert::Infallible;

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::event::Writer;
use crate::domain::limits::{LOG_GET_IN_FLIGHT_MAX, LOG_READ_BYTES_MAX};
use crate::domain::{EventType, Position, Verdict};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::response::event_match;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::VerdictRow;
use crate::query::{self, EventFilter, LedgerEvent};
use crate::wire::{self, Origin, Via};

/// The path of an event, for the header `Location`.
pub(crate) fn location(position: Position) -> HeaderValue {
    HeaderValue::try_from(format!("/v1/events/{position}")).expect("a number is a header's value")
}

/// Events with their bodies.
pub(crate) struct WithBodies {
    pub(crate) events: Vec<LedgerEvent>,
    /// The last event that was looked at, if others were left for the next page.
    stopped_at: Option<Position>,
}

impl WithBodies {
    /// Where the next page starts, if `next` is where it starts after all events.
    pub(crate) fn next_place(&self, next: Option<u64>) -> Option<u64> {
        self.stopped_at.map(Position::get).or(next)
    }
}

/// Reads the bodies of a page of events. Stops before the answer becomes too long, but returns at
/// least one event if the page has any.
pub(crate) async fn with_bodies(
    app: &App,
    events: Vec<(Position, VerdictRow)>,
) -> Result<WithBodies, Problem> {
    matching(app, events, &EventFilter::default(), usize::MAX).await
}

/// Reads the bodies of events, and keeps those that have the attributes that a filter names. Stops before the answer
/// becomes too long, and when there is another one after `events_max`.
pub(crate) async fn matching(
    app: &App,
    events: Vec<(Position, VerdictRow)>,
    filter: &EventFilter,
    events_max: usize,
) -> Result<WithBodies, Problem> {
    let rules = app.projection().progress().rules;
    let _turn = match events.len() {
        0 | 1 => None,
        _ => app.history_turn().await,
    };
    let (mut found, mut looked_at, mut bytes) = (Vec::new(), None, 0);
    for chunk in events.chunks(4 * LOG_GET_IN_FLIGHT_MAX) {
        let read = query::events::with_bodies(app.log(), &rules, chunk.to_vec()).await?;
        for event in read {
            bytes += event.body.len();
            let is_too_long = LOG_READ_BYTES_MAX < bytes && looked_at.is_some();
            let matches = event_match::has_attributes(filter, &event);
            if is_too_long || matches && found.len() == events_max {
                return Ok(WithBodies {
                    events: found,
                    stopped_at: looked_at,
                });
            }
            looked_at = Some(event.record.position);
            if matches {
                found.push(event);
            }
        }
    }
    Ok(WithBodies {
        events: found,
        stopped_at: None,
    })
}

/// Writes an event.
pub(crate) fn write(out: &mut Json, event: &LedgerEvent) {
    let LedgerEvent {
        record,
        body,
        rules,
        verdict,
    } = event;
    let origin = Origin::of(*rules, &record.subject, &record.private, body);
    out.raw("{\"position\":");
    out.value(&record.position);
    out.raw(",\"recorded_at\":");
    out.time(record.recorded_at);
    out.raw(",\"verdict\":");
    out.text(verdict.verdict.as_str());
    write_verdict(out, event);
    if let Some(settled_at) = verdict.settled_at {
        out.raw(",\"settled_at\":");
        out.value(&settled_at);
    }
    out.raw(",\"writer\":");
    out.text_or_null(origin.writer.map(Writer::as_str));
    out.raw(",\"written_by\":");
    out.text_or_null(origin.written_by.as_deref());
    out.raw(",\"via\":");
    out.text_or_null(origin.via.map(Via::as_str));
    out.raw(",\"type\":");
    out.text_or_null(verdict.event_type.map(EventType::as_str));
    let json = readable(event);
    if let Some(trace_id) = json.and_then(wire::trace_id) {
        out.raw(",\"trace_id\":");
        out.text(&trace_id);
    }
    out.raw(",\"event\":");
    if let Some(json) = json {
        out.raw_on_one_line(json);
    } else {
        out.raw("null,\"raw_base64\":");
        out.text(&STANDARD.encode(body));
    }
    out.raw("}");
}

/// Writes events as the elements of an array.
pub(crate) fn write_all(out: &mut Json, events: &[LedgerEvent]) {
    let written: Result<(), Infallible> = out.elements(events, |out, event| {
        write(out, event);
        Ok(())
    });
    let Ok(()) = written;
}

fn write_verdict(out: &mut Json, event: &LedgerEvent) {
    match event.verdict.verdict {
        Verdict::Applied | Verdict::Parked => {}
        Verdict::Duplicate(first) => {
            out.raw(",\"first_position\":");
            out.value(&first);
        }
        Verdict::Rejected(reason) => {
            out.raw(",\"reason\":");
            out.text(reason.code());
            out.raw(",\"detail\":");
            out.text(reason.advice());
            let errors = errors(event);
            if !errors.is_empty() {
                out.raw(",\"errors\":");
                out.value(&errors);
            }
        }
    }
}

/// The wrong fields of a rejected event. The read model stores only the reason, so this decodes the
/// record again. Empty if the fold rejected a well-formed event.
fn errors(event: &LedgerEvent) -> Vec<dto::FieldError> {
    let record = &event.record;
    match wire::decode(event.rules, &record.subject, &record.private, &event.body) {
        Ok(_) => Vec::new(),
        Err(undecodable) => {
            let errors = undecodable.errors.into_iter();
            let error = |error: wire::FieldError| dto::FieldError {
                field: error.field,
                message: error.message,
                code: None,
            };
            errors.map(error).collect()
        }
    }
}

/// The body, if it is JSON that every client can read. The body of an event that was not rejected
/// is. A rejected body may have an unpaired surrogate, a number beyond a double or a thousand
/// brackets, which would make the whole page unreadable.
fn readable(event: &LedgerEvent) -> Option<&str> {
    let json = std::str::from_utf8(&event.body).ok()?;
    match event.verdict.verdict {
        Verdict::Applied | Verdict::Duplicate(_) | Verdict::Parked => Some(json),
        Verdict::Rejected(_) => serde_json::from_str::<serde_json::Value>(json)
            .is_ok()
            .then_some(json),
    }
}
