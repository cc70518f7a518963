//! `GET /v1/events` and `/{position}`: the tenant's history, as JSON or NDJSON.

pub(crate) mod appended;
pub(super) mod emit;
mod emit_batch;
pub(super) mod rejections;
pub(super) mod stream;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;

use crate::auth::{Principal, Role};
use crate::domain::{AgentId, Position, ProjectId, Reason, SessionId, Source, TimeRange};

use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{EventListProblems, GetProblems};
use crate::http::request::caller::{Audit, Caller, WriteOrAudit};
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::page_query::GetQuery;
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    ACTOR, AFTER_POSITION, AGENT_ID, BEFORE_POSITION, EVENTS_LIMIT, EVENTS_PROJECT, MIN_POSITION,
    ORDER, REASONS, RECORDED_AFTER, RECORDED_BEFORE, SESSION_ID, SOURCE, TYPES, VERDICTS, a_text,
};
use crate::http::request::stream_headers::{NDJSON, wants_ndjson};
use crate::http::response::body;
use crate::http::response::event_row;
use crate::http::response::json::Json;
use crate::http::response::links;
use crate::http::state::App;
use crate::ledger::Receipt;
use crate::projection::{EventRange, Order};
use crate::query::{self, EventFilter, LedgerEvent, Sight};
use crate::wire::{self, Origin};

/// The size of a typical event. A buffer with this capacity for each event seldom grows.
const EVENT_BYTES: usize = 768;
/// In NDJSON answers with the oldest first, the position after which the next page starts. Every page has it,
/// so that a client at the end of the log knows where to continue later.
const NEXT_AFTER: HeaderName = HeaderName::from_static("x-next-after");
/// In NDJSON answers with the newest first, the position before which the next page starts.
const NEXT_BEFORE: HeaderName = HeaderName::from_static("x-next-before");
/// In NDJSON answers, the position of the state that the page shows.
const AS_OF_POSITION: HeaderName = HeaderName::from_static("x-as-of-position");

/// The query of a page of history.
#[derive(Debug)]
pub(crate) struct EventsQuery {
    after: Position,
    before: Option<Position>,
    recorded: TimeRange,
    order: Order,
    limit: u16,
    filter: EventFilter,
    min_position: Option<Position>,
}

impl QueryParams for EventsQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AFTER_POSITION,
        &BEFORE_POSITION,
        &RECORDED_AFTER,
        &RECORDED_BEFORE,
        &ORDER,
        &EVENTS_LIMIT,
        &TYPES,
        &VERDICTS,
        &REASONS,
        &AGENT_ID,
        &SESSION_ID,
        &EVENTS_PROJECT,
        &SOURCE,
        &ACTOR,
        &MIN_POSITION,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: Position::new(values.number(&AFTER_POSITION)),
            before: values.position(&BEFORE_POSITION),
            recorded: TimeRange {
                after: values.time(&RECORDED_AFTER),
                before: values.time(&RECORDED_BEFORE),
            },
            order: values.word(&ORDER).unwrap_or_default(),
            limit: values.limit(&EVENTS_LIMIT),
            filter: read_filter(values),
            min_position: values.position(&MIN_POSITION),
        })
    }
}

fn read_filter(values: &mut Values) -> EventFilter {
    EventFilter {
        types: values.words(&TYPES),
        verdicts: values.words(&VERDICTS),
        codes: values.words(&REASONS),
        agent: values.parsed(&AGENT_ID, AgentId::parse),
        session: values.parsed(&SESSION_ID, SessionId::parse),
        project: values.parsed(&EVENTS_PROJECT, ProjectId::parse),
        source: values.parsed(&SOURCE, Source::parse),
        actor: values.parsed(&ACTOR, a_text),
    }
}

/// Where the next page starts.
struct Next {
    order: Order,
    at: Option<u64>,
}

impl Next {
    /// The parameter that takes it.
    fn param(&self) -> &'static dyn AnyParam {
        match self.order {
            Order::OldestFirst => &AFTER_POSITION,
            Order::NewestFirst => &BEFORE_POSITION,
        }
    }

    fn write(&self, out: &mut Json) {
        let (after, before) = match self.order {
            Order::OldestFirst => (self.at, None),
            Order::NewestFirst => (None, self.at),
        };
        out.raw(",\"next_after\":");
        out.number_or_null(after);
        out.raw(",\"next_before\":");
        out.number_or_null(before);
    }

    /// The header of an NDJSON answer. `end` is the last position of the state that the page shows.
    fn header(&self, end: u64) -> Option<(HeaderName, u64)> {
        match self.order {
            Order::OldestFirst => Some((NEXT_AFTER, self.at.unwrap_or(end))),
            Order::NewestFirst => self.at.map(|at| (NEXT_BEFORE, at)),
        }
    }
}

/// Replay events
///
/// A page of the tenant's events in the order of the log, or the newest first, each with its verdict. A
/// page searches a bounded number of events, so with a filter it may have none although more pages follow.
/// With the header `Accept: application/x-ndjson` the answer has one event per line. Then the header
/// `X-Next-After` says where the next page starts, and `X-As-Of-Position` which state the page shows. If
/// `X-Next-After` is not below `X-As-Of-Position`, this is the last page for now.
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
                    the next page. On the last page, it is the last position of the state that the page \
                    shows, also if `before` ended the search earlier"),
                ("X-Next-Before" = u64, description = "NDJSON with `order=newest` only: give it as \
                    `before` to read the next page. The last page has none"),
                ("X-As-Of-Position" = u64, description = "NDJSON only: the position of the state \
                    that the page shows"),
            ),
        ),
        EventListProblems,
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
    let (limit, order, filter) = (query.limit, query.order, query.filter.clone());
    if app.projection().position() < query.after {
        app.check_on_log("after", query.after).await?;
    }
    let (mut after, mut before) = (query.after, query.before.unwrap_or(Position::new(u64::MAX)));
    let sight = caller.sight();
    if let Some(time) = query.recorded.after {
        let earlier = app.position_before(time, sight).await?;
        after = after.max(earlier);
    }
    if let Some(time) = query.recorded.before {
        let last = app.position_before(time, sight).await?;
        before = before.min(last.next());
    }
    let page = app.scan(move |snapshot| {
        let (sight, filter) = (caller.sight(), &query.filter);
        let range = EventRange {
            after,
            before,
            order,
        };
        let candidates = filter.candidates(usize::from(limit));
        Ok(query::events::list(
            snapshot, sight, filter, range, candidates,
        )?)
    });
    let page = page.await?;
    let found = event_row::matching(&app, page.events, &filter, usize::from(limit)).await?;
    let at = found.next_place(page.next);
    let events = found.events;
    let next = Next { order, at };
    let mut response = if wants_ndjson(&headers) {
        let as_of = page.as_of.position;
        ndjson(&events, next.header(as_of.max(after).get()), as_of)
    } else {
        let mut out = Json::with_capacity(EVENT_BYTES * (events.len() + 1));
        out.raw("{\"events\":[");
        event_row::write_all(&mut out, &events);
        out.raw("],\"limit\":");
        out.value(&limit);
        next.write(&mut out);
        out.raw(",\"as_of\":");
        out.value(&app.as_of(page.as_of));
        out.raw("}");
        body::json(out.into_bytes())
    };
    links::add_next(&mut response, &uri, next.param(), next.at);
    Ok(response)
}

fn ndjson(events: &[LedgerEvent], next: Option<(HeaderName, u64)>, as_of: Position) -> Response {
    let mut out = Json::with_capacity(EVENT_BYTES * events.len());
    for event in events {
        event_row::write(&mut out, event);
        out.raw("\n");
    }
    let mut response = body::typed(NDJSON, out.into_bytes());
    let headers = response.headers_mut();
    headers.extend(next.map(|(name, at)| (name, HeaderValue::from(at))));
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
    let found = event_row::with_bodies(&app, vec![(position, verdict)]).await?;
    let event = found.events.first().ok_or_else(not_found)?;
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
