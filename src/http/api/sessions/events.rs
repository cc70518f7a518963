//! `GET /v1/agent-sessions/{id}/events`: the history of one session.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use crate::domain::{Position, SessionId};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::GetProblems;
use crate::http::request::caller::{Caller, ReadOrAudit};
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{AFTER_NUMBER, EVENTS_LIMIT, MIN_POSITION};
use crate::http::response::body;
use crate::http::response::event_row;
use crate::http::response::json::Json;
use crate::http::response::links;
use crate::http::response::lookup::session_not_found;
use crate::http::state::App;
use crate::query;

/// The query of a session's history.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    after: u64,
    limit: u16,
    min_position: Option<Position>,
}

impl QueryParams for HistoryQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&AFTER_NUMBER, &EVENTS_LIMIT, &MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: values.number(&AFTER_NUMBER),
            limit: values.limit(&EVENTS_LIMIT),
            min_position: values.position(&MIN_POSITION),
        })
    }
}

/// Read the history of a session
///
/// The events that changed the session, in the order in which they took effect.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions/{id}/events",
    operation_id = "list_session_events",
    tag = "sessions",
    params(Caller<ReadOrAudit>, Path<SessionId>, Query<HistoryQuery>),
    responses((status = 200, description = "A page of events", body = dto::SessionEvents), GetProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadOrAudit>,
    Path(id): Path<SessionId>,
    Query(query): Query<HistoryQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let (after, limit) = (query.after, query.limit);
    let page = app.scan(move |snapshot| {
        let events_max = usize::from(limit);
        let page = query::events::of_session(snapshot, caller.sight(), &id, after, events_max)?;
        page.ok_or_else(session_not_found)
    });
    let page = page.await?;
    let count = page.events.len();
    let events = event_row::with_bodies(&app, page.events).await?.events;
    let next = if events.len() < count {
        Some(after + events.len() as u64)
    } else {
        page.next
    };
    let mut out = Json::default();
    out.raw("{\"events\":[");
    event_row::write_all(&mut out, &events);
    out.raw("],\"total\":");
    out.value(&page.total.unwrap_or_default());
    out.raw(",\"limit\":");
    out.value(&limit);
    out.raw(",\"next_after\":");
    out.number_or_null(next);
    out.raw(",\"as_of\":");
    out.value(&app.as_of(page.as_of));
    out.raw("}");
    let mut response = body::json(out.into_bytes());
    links::add_next(&mut response, &uri, &AFTER_NUMBER, next);
    Ok(response)
}
