//! `/v1/export`: the events of a tenant, to carry away: where they end, and the events themselves.
//!
//! A request returns one page, so it holds no read of the log open.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::domain::limits::{EXPORT_PAGE_BYTES_MAX, LOG_GET_IN_FLIGHT_MAX};
use crate::domain::{Position, RulesHistory};
use crate::export::Line;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{ExportEventsProblems, ExportProblems};
use crate::http::request::as_of::AsOf;
use crate::http::request::caller::{Audit, Caller};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    AFTER_POSITION, AS_OF, EXPORT_LIMIT, MIN_POSITION, UNTIL_POSITION, UNTIL_STATE,
};
use crate::http::request::stream_headers::NDJSON;
use crate::http::response::body;
use crate::http::state::App;
use crate::projection::{EventRange, Order, VerdictRow};
use crate::query::{self, EventFilter};
use crate::wire::Origin;

/// The size of a typical line. A buffer with this capacity for each event seldom grows.
const LINE_BYTES: usize = 896;
/// The position after which the next page starts; absent on the last page.
const NEXT_AFTER: HeaderName = HeaderName::from_static("x-next-after");

/// The query of the end of an export.
#[derive(Debug)]
pub(crate) struct EndQuery {
    until: AsOf,
    min_position: Option<Position>,
}

/// The query of a page.
#[derive(Debug)]
pub(crate) struct PageQuery {
    after: Position,
    until: Option<Position>,
    limit: u16,
}

impl QueryParams for EndQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&UNTIL_STATE, &MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let until = values.parsed(&UNTIL_STATE, AsOf::parse);
        Ok(Self {
            until: until.unwrap_or(AsOf::Now),
            min_position: values.position(&MIN_POSITION),
        })
    }
}

impl QueryParams for PageQuery {
    const PARAMS: &'static [&'static dyn AnyParam] =
        &[&AFTER_POSITION, &UNTIL_POSITION, &EXPORT_LIMIT];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: Position::new(values.number(&AFTER_POSITION)),
            until: values.position(&UNTIL_POSITION),
            limit: values.limit(&EXPORT_LIMIT),
        })
    }
}

/// Read where an export ends
///
/// How many events the tenant has up to a position or time, and the hash chain over them. An export has these
/// events, and an auditor computes the chain again from them.
#[utoipa::path(
    get,
    path = "/v1/export",
    operation_id = "get_export",
    tag = "events",
    params(Caller<Audit>, Query<EndQuery>),
    responses((status = 200, description = "The end", body = dto::ExportEnd), ExportProblems)
)]
pub(crate) async fn end(
    State(app): State<App>,
    caller: Caller<Audit>,
    Query(query): Query<EndQuery>,
) -> Result<Response, Problem> {
    refuse_bound(&caller)?;
    app.wait_for(query.min_position).await?;
    let until = match query.until {
        AsOf::Now => None,
        AsOf::Position(position) => Some(position),
        AsOf::Time(_) => {
            let state = app.past(Some(query.until), caller.sight()).await;
            state.map_err(of_until)?.map(|state| state.position)
        }
    };
    app.wait_until(until).await?;
    let (until, stretch, as_of) = app.read(|snapshot| {
        let until = until.unwrap_or(snapshot.position());
        let stretch = query::export::stretch(snapshot, caller.tenant(), until)?;
        Ok((until, stretch, query::AsOf::of(snapshot, caller.sight())?))
    })?;
    let rules = app.projection().progress().rules;
    let _turn = app.history_turn().await;
    let chain = stretch.chain(app.log(), &rules).await?;
    Ok(body::json_of(&dto::ExportEnd {
        tenant: caller.tenant().to_string(),
        until: until.get(),
        events: chain.events,
        last_position: chain.position.get(),
        chain: hex::encode(chain.head),
        as_of: app.as_of(as_of),
    }))
}

/// Read a page of an export
///
/// The tenant's events, one a line, oldest first: the exact bytes of each, as text or base64, the SHA-256 of the
/// private part of its record, and its verdict. Fewer than `limit` if they are long. The header `X-Next-After`
/// says where the next page starts; the last page has none.
#[utoipa::path(
    get,
    path = "/v1/export/events",
    operation_id = "export_events",
    tag = "events",
    params(Caller<Audit>, Query<PageQuery>),
    responses(
        (
            status = 200,
            description = "Events, as `docs/export.md` describes them",
            body = String,
            content_type = "application/x-ndjson",
            headers(("X-Next-After" = u64, description = "Give it as `after` to read the next page. The last \
                page has none")),
        ),
        ExportEventsProblems,
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller<Audit>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    refuse_bound(&caller)?;
    app.wait_until(query.until).await?;
    if app.projection().position() < query.after {
        app.check_on_log("after", query.after).await?;
    }
    let (after, limit) = (query.after, usize::from(query.limit));
    let page = app.scan(move |snapshot| {
        let until = query.until.unwrap_or(snapshot.position());
        let range = EventRange {
            after,
            before: until.next(),
            order: Order::OldestFirst,
        };
        let (sight, filter) = (caller.sight(), EventFilter::default());
        let page = query::events::list(snapshot, sight, &filter, range, limit)?;
        let as_of = |(position, row): (Position, VerdictRow)| (position, row.as_of(until));
        let events: Vec<_> = page.events.into_iter().map(as_of).collect();
        Ok((events, page.next, snapshot.progress().rules))
    });
    let (events, next, rules) = page.await?;
    let (lines, last) = lines(&app, &rules, &events).await?;
    let is_cut = last != events.last().map(|(position, _)| *position);
    let next = if is_cut {
        last.map(Position::get)
    } else {
        next
    };
    let mut response = body::typed(NDJSON, lines);
    let next = next.map(|next| (NEXT_AFTER, HeaderValue::from(next)));
    response.headers_mut().extend(next);
    Ok(response)
}

/// The lines of some events, until they have too many bytes, and the position of the last one.
async fn lines(
    app: &App,
    rules: &RulesHistory,
    events: &[(Position, VerdictRow)],
) -> Result<(Vec<u8>, Option<Position>), Problem> {
    let _turn = app.history_turn().await;
    let bytes = EXPORT_PAGE_BYTES_MAX.min(LINE_BYTES * events.len());
    let (mut out, mut last) = (Vec::with_capacity(bytes), None);
    for some in events.chunks(4 * LOG_GET_IN_FLIGHT_MAX) {
        for event in query::events::with_stored_bodies(app.log(), rules, some.to_vec()).await? {
            let (record, body) = (&event.record, &event.body);
            let origin = Origin::of(event.rules, &record.subject, &record.private, body);
            let line = Line::of(record, body, &event.verdict, origin.written_by.as_deref());
            serde_json::to_writer(&mut out, &line).expect("an event is JSON");
            out.push(b'\n');
            last = Some(record.position);
            if EXPORT_PAGE_BYTES_MAX <= out.len() {
                return Ok((out, last));
            }
        }
    }
    Ok((out, last))
}

/// Rejects a credential that sees one agent only: it would get an export that looks like one of the tenant.
fn refuse_bound(caller: &Caller<Audit>) -> Result<(), Problem> {
    caller.refuse_bound().map_err(|problem| {
        problem.with_detail(
            "the credential is bound to an agent, and an export has the events of all agents: use a \
             credential with the role audit that is not bound",
        )
    })
}

impl App {
    /// Waits until the read model has a position, as for `min_position`.
    async fn wait_until(&self, until: Option<Position>) -> Result<(), Problem> {
        self.wait_for(until).await.map_err(of_until)
    }
}

/// Names the parameter of these routes in a problem about a position or a time that is too late.
fn of_until(problem: Problem) -> Problem {
    if problem.code() != Code::PositionBeyondHead {
        return problem;
    }
    let names = [MIN_POSITION.name, AS_OF.name];
    let rest = names
        .iter()
        .find_map(|name| problem.detail().strip_prefix(name));
    let detail = rest.map_or_else(
        || problem.detail().to_owned(),
        |rest| format!("{}{rest}", UNTIL_STATE.name),
    );
    Problem::new(Code::PositionBeyondHead)
        .with_detail(detail)
        .with_error(UNTIL_STATE.name, "is beyond the end of the log")
}
