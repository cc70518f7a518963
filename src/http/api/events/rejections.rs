//! `GET /v1/rejections`: the rejected and parked events, with the reasons.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use crate::domain::Position;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::RejectionsProblems;
use crate::http::request::caller::{Audit, Caller};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{BEFORE_POSITION, EVENTS_LIMIT, MIN_POSITION, REASONS};
use crate::http::response::body;
use crate::http::response::event_row;
use crate::http::response::json::Json;
use crate::http::response::links;
use crate::http::response::totals::by_word;
use crate::http::state::App;
use crate::projection::RejectionCode;
use crate::query;

/// The query of a page of rejections.
#[derive(Debug)]
pub(crate) struct RejectionsQuery {
    codes: Vec<RejectionCode>,
    limit: u16,
    before: Option<Position>,
    min_position: Option<Position>,
}

impl QueryParams for RejectionsQuery {
    const PARAMS: &'static [&'static dyn AnyParam] =
        &[&REASONS, &EVENTS_LIMIT, &BEFORE_POSITION, &MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            codes: values.words(&REASONS),
            limit: values.limit(&EVENTS_LIMIT),
            before: values.position(&BEFORE_POSITION),
            min_position: values.position(&MIN_POSITION),
        })
    }
}

/// List rejected events
///
/// A page of the tenant's rejected events, newest first, with the reason and what is wrong field by
/// field, and of the events that are parked until their session is created.
#[utoipa::path(
    get,
    path = "/v1/rejections",
    operation_id = "list_rejections",
    tag = "events",
    params(Caller<Audit>, Query<RejectionsQuery>),
    responses((status = 200, description = "A page of events", body = dto::Rejections), RejectionsProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Audit>,
    Query(query): Query<RejectionsQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let limit = query.limit;
    let found = app.scan(move |snapshot| {
        let before = query.before.unwrap_or(Position::new(u64::MAX));
        let events_max = usize::from(query.limit);
        let (sight, codes) = (caller.sight(), &query.codes);
        Ok(query::events::rejections(
            snapshot, sight, codes, before, events_max,
        )?)
    });
    let query::Rejections { page, by_code } = found.await?;
    let as_of = app.as_of(page.as_of);
    let found = event_row::with_bodies(&app, page.events).await?;
    let next = found.next_place(page.next);
    let events = found.events;
    let mut out = Json::default();
    out.raw("{\"events\":[");
    event_row::write_all(&mut out, &events);
    out.raw("],\"total\":");
    out.value(&page.total.unwrap_or_default());
    out.raw(",\"by_reason\":");
    out.value(&by_word(&by_code));
    out.raw(",\"limit\":");
    out.value(&limit);
    out.raw(",\"next_before\":");
    out.number_or_null(next);
    out.raw(",\"as_of\":");
    out.value(&as_of);
    out.raw("}");
    let mut response = body::json(out.into_bytes());
    links::add_next(&mut response, &uri, &BEFORE_POSITION, next);
    Ok(response)
}
