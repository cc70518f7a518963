//! `GET /v1/events` and `/{position}`: the tenant's history, as JSON or NDJSON.

mod appended;
pub(super) mod emit;
mod emit_batch;
pub(super) mod rejections;

use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;

use crate::auth::{Principal, Role};
use crate::domain::{AgentId, Position, Reason, SessionId};

use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{EventsProblems, GetProblems};
use crate::http::request::caller::{Audit, Caller, WriteOrAudit};
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::negotiate::weighed;
use crate::http::request::page_query::GetQuery;
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    AFTER_POSITION, AGENT_ID, EVENTS_LIMIT, MIN_POSITION, SESSION_ID, TYPE,
};
use crate::http::response::body;
use crate::http::response::event_row;
use crate::http::response::json::Json;
use crate::http::response::links;
use crate::http::state::App;
use crate::ledger::Receipt;
use crate::query::{self, EventFilter, LedgerEvent, Sight};
use crate::wire::{self, Origin};

/// The size of a typical event. A buffer with this capacity for each event seldom grows.
const EVENT_BYTES: usize = 768;
const NDJSON: &str = "application/x-ndjson";
/// In NDJSON answers, the position after which the next page starts. Every page has it, so that a
/// client at the end of the log knows where to continue later.
const NEXT_AFTER: HeaderName = HeaderName::from_static("x-next-after");
/// In NDJSON answers, the position of the state that the page shows.
const AS_OF_POSITION: HeaderName = HeaderName::from_static("x-as-of-position");

/// The query of a page of history.
#[derive(Debug)]
pub(crate) struct EventsQuery {
    after: Position,
    limit: u16,
    filter: EventFilter,
    min_position: Option<Position>,
}

impl QueryParams for EventsQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AFTER_POSITION,
        &EVENTS_LIMIT,
        &TYPE,
        &AGENT_ID,
        &SESSION_ID,
        &MIN_POSITION,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: Position::new(values.number(&AFTER_POSITION)),
            limit: values.limit(&EVENTS_LIMIT),
            filter: EventFilter {
                event_type: values.word(&TYPE),
                agent: values.parsed(&AGENT_ID, AgentId::parse),
                session: values.parsed(&SESSION_ID, SessionId::parse),
            },
            min_position: values.position(&MIN_POSITION),
        })
    }
}

/// Replay events
///
/// A page of the tenant's events in the order of the log, each with its verdict. With the header
/// `Accept: application/x-ndjson` the answer has one event per line. Then the header `X-Next-After` says
/// where the next page starts, and `X-As-Of-Position` which state the page shows. If `X-Next-After` is
/// not below `X-As-Of-Position`, this is the last page for now.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "list_events",
    tag = "events",
    params(Caller<Audit>, Query<EventsQuery>),
    responses(
        (status = 200, description = "A page of events",
            content(
                (dto::EventList = "application/json"),
                (dto::Event = "application/x-ndjson"),
            ),
            headers(
                ("X-Next-After" = u64, description = "NDJSON only: give it as `after` to read \
                    the next page. On the last page, it is the last position that was searched"),
                ("X-As-Of-Position" = u64, description = "NDJSON only: the position of the state \
                    that the page shows"),
            ),
        ),
        EventsProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Audit>,
    Query(query): Query<EventsQuery>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let (limit, after) = (query.limit, query.after);
    if app.projection().position() < after {
        app.check_on_log("after", after).await?;
    }
    let page = app.scan(move |snapshot| {
        let (sight, filter) = (caller.sight(), &query.filter);
        let limit = usize::from(query.limit);
        Ok(query::events::list(
            snapshot,
            sight,
            filter,
            query.after,
            limit,
        )?)
    });
    let page = page.await?;
    let found = page.events.len();
    let events = event_row::with_bodies(&app, page.events).await?;
    let next = next_after(&events, found, page.next);
    if wants_ndjson(&headers) {
        let as_of = page.as_of.position;
        let after = next.unwrap_or(as_of.max(after).get());
        let mut response = ndjson(&events, after, as_of);
        links::add_next(&mut response, &uri, &AFTER_POSITION, next);
        return Ok(response);
    }
    let mut out = Json::with_capacity(EVENT_BYTES * (events.len() + 1));
    out.raw("{\"events\":[");
    event_row::write_all(&mut out, &events);
    out.raw("],\"limit\":");
    out.value(&limit);
    out.raw(",\"next_after\":");
    out.number_or_null(next);
    out.raw(",\"as_of\":");
    out.value(&app.as_of(page.as_of));
    out.raw("}");
    let mut response = body::json(out.into_bytes());
    links::add_next(&mut response, &uri, &AFTER_POSITION, next);
    Ok(response)
}

/// The position after which the next page starts. If the answer holds fewer events than the page,
/// that is the position of its last event.
fn next_after(events: &[LedgerEvent], found: usize, next: Option<u64>) -> Option<u64> {
    match events.last() {
        Some(last) if events.len() < found => Some(last.record.position.get()),
        _ => next,
    }
}

/// Whether the client accepts NDJSON by name. A weight of zero excludes it.
fn wants_ndjson(headers: &HeaderMap) -> bool {
    weighed(headers, &ACCEPT)
        .any(|(media_type, weight)| media_type.split(';').next() == Some(NDJSON) && 0.0 < weight)
}

fn ndjson(events: &[LedgerEvent], next: u64, as_of: Position) -> Response {
    let mut out = Json::with_capacity(EVENT_BYTES * events.len());
    for event in events {
        event_row::write(&mut out, event);
        out.raw("\n");
    }
    let mut response = body::typed(NDJSON, out.into_bytes());
    let headers = response.headers_mut();
    headers.insert(NEXT_AFTER, HeaderValue::from(next));
    headers.insert(AS_OF_POSITION, HeaderValue::from(as_of.get()));
    response
}

/// Read an event
///
/// The event at a position, with its verdict. The role `audit` sees the whole event. The role `write`
/// alone sees the verdict on events that the same credential wrote. Any other event gets a 404, like one
/// that does not exist.
#[utoipa::path(
    get,
    path = "/v1/events/{position}",
    operation_id = "get_event",
    tag = "events",
    params(Caller<WriteOrAudit>, Path<Position>, Query<GetQuery>),
    responses((status = 200, description = "The event", body = dto::EventSeen), GetProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<WriteOrAudit>,
    Path(position): Path<Position>,
    Query(query): Query<GetQuery>,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    // Wait for an event that is on the log and not folded yet: it is not missing.
    if position <= app.log().known_head() {
        app.wait_for(Some(position)).await?;
    }
    let (sight, principal) = (caller.sight(), caller.principal());
    let whole = Sight::of_tenant(sight.tenant);
    let find = |sight| app.read(|snapshot| Ok(query::events::get(snapshot, sight, position)?));
    let verdict = find(whole)?.ok_or_else(not_found)?;
    let is_audited = principal.roles.has(Role::Audit) && find(sight)?.is_some();
    let events = event_row::with_bodies(&app, vec![(position, verdict)]).await?;
    let event = events.first().ok_or_else(not_found)?;
    if is_audited {
        let mut out = Json::with_capacity(EVENT_BYTES);
        event_row::write(&mut out, event);
        return Ok(body::json(out.into_bytes()));
    }
    if !wrote(principal, event) {
        return Err(not_found());
    }
    let verdict =
        app.read(|snapshot| Ok(query::events::verdict_shown(snapshot, sight, verdict)?))?;
    let receipt = Receipt {
        position,
        verdict: Some(verdict),
    };
    let firsts = appended::first_verdicts(&app, sight.tenant, [&receipt]).await?;
    let LedgerEvent {
        record,
        body: sent,
        rules,
        ..
    } = event;
    let decoded = wire::decode(*rules, &record.subject, &record.private, sent);
    let ignored = decoded.map_or_else(|_undecodable| Vec::new(), |decoded| decoded.ignored);
    Ok(body::json_of(&appended::appended(
        &receipt, &firsts, ignored,
    )))
}

/// Whether this principal's credential wrote an event. The record names the credential, and its
/// writer cannot forge that. An event without a credential belongs to no principal.
fn wrote(principal: &Principal, event: &LedgerEvent) -> bool {
    let LedgerEvent {
        record,
        body,
        rules,
        ..
    } = event;
    let origin = Origin::of(*rules, &record.subject, &record.private, body);
    origin.written_by.is_some() && origin.written_by.as_deref() == principal.id.as_deref()
}

fn not_found() -> Problem {
    Problem::new(Code::Event(Reason::NotFound)).with_detail("there is no such event")
}
