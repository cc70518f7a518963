//! `GET /v1/agent-sessions/{id}/lineage`: the sessions above and below one.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::SessionId;
use crate::http::api::listing::ROW_BYTES;
use crate::http::api::sessions::write_row;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::LineageProblems;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::page_query::StateQuery;
use crate::http::request::param::AnyParam;
use crate::http::request::params::{AFTER_SESSION, AS_OF, MIN_POSITION, ROWS_LIMIT};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::links;
use crate::http::response::lookup::session_not_found;
use crate::http::state::App;
use crate::projection::Snapshot;
use crate::query::{self, Lineage, LineageStart};

/// The query of a lineage.
#[derive(Debug)]
pub(crate) struct LineageQuery {
    after: Option<SessionId>,
    limit: u16,
    state: StateQuery,
}

impl QueryParams for LineageQuery {
    const PARAMS: &'static [&'static dyn AnyParam] =
        &[&AFTER_SESSION, &ROWS_LIMIT, &AS_OF, &MIN_POSITION];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: values.parsed(&AFTER_SESSION, SessionId::parse),
            limit: values.limit(&ROWS_LIMIT),
            state: StateQuery::read(values)?,
        })
    }
}

/// Read the lineage of a session
///
/// The sessions above a session, from the root down, the session to which its hand-offs have led, and a page
/// of the sessions below it. Each of these comes before those that it opened. A credential that is bound to
/// an agent is shown only sessions of that agent. Sessions that are connected only through a session of another
/// agent are left out.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions/{id}/lineage",
    operation_id = "get_session_lineage",
    tag = "sessions",
    params(Caller<Read>, Path<SessionId>, Query<LineageQuery>),
    responses((status = 200, description = "The lineage", body = dto::Lineage), LineageProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<SessionId>,
    Query(query): Query<LineageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    app.wait_for(query.state.min_position).await?;
    let past = app.past(query.state.as_of, caller.sight()).await?;
    let limit = query.limit;
    let find = move |snapshot: &Snapshot| {
        let start = LineageStart {
            after: query.after.as_ref(),
            rows_max: usize::from(limit),
        };
        let found = query::lineage::of_session(snapshot, caller.sight(), &id, start)?;
        found.ok_or_else(session_not_found)
    };
    let lineage = match &past {
        Some(_) => app.read_at(past, find).await?,
        None => app.scan(find).await?,
    };
    let last = match lineage.descendants.last() {
        Some(last) if lineage.has_more => Some(last.row.row()?.session_id),
        _ => None,
    };
    let mut out = Json::with_capacity(ROW_BYTES * (lineage.descendants.len() + 2));
    write(&mut out, &lineage)?;
    out.raw(",\"limit\":");
    out.value(&limit);
    out.raw(",\"next_after\":");
    out.text_or_null(last);
    out.raw(",\"as_of\":");
    out.value(&app.as_of(lineage.as_of));
    out.raw("}");
    let mut response = body::json(out.into_bytes());
    let next = last.map(|id| utf8_percent_encode(id, NON_ALPHANUMERIC));
    let uri = past.map_or(uri.clone(), |past| links::as_of(&uri, past.position));
    links::add_next(&mut response, &uri, &AFTER_SESSION, next);
    Ok(response)
}

fn write(out: &mut Json, lineage: &Lineage) -> Result<(), Problem> {
    out.raw("{\"session\":");
    write_row(out, &lineage.session)?;
    out.raw(",\"ancestors\":[");
    out.elements(&lineage.ancestors, write_row)?;
    out.raw("],\"more_ancestors\":");
    out.value(&lineage.has_more_ancestors);
    out.raw(",\"holder\":");
    match &lineage.holder {
        Some(holder) => write_row(out, holder)?,
        None => out.raw("null"),
    }
    out.raw(",\"descendants\":[");
    out.elements(&lineage.descendants, |out, descendant| {
        out.raw("{\"depth\":");
        out.value(&descendant.depth);
        out.raw(",\"more_below\":");
        out.value(&descendant.is_cut);
        out.raw(",\"session\":");
        write_row(out, &descendant.row)?;
        out.raw("}");
        Ok::<_, Problem>(())
    })?;
    out.raw("]");
    Ok(())
}
