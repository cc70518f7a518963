//! Listings of sessions, and one session.

use axum::extract::State;
use axum::response::Response;

use super::page::{LIMIT, PageQuery};
use super::session;
use crate::domain::filter::Owner;
use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{AgentId, SessionFilter, SessionId, StatusSet};
use crate::http::problem::Problem;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::{LenientQuery, Path, QueryParams, Values};
use crate::http::request::param::{AnyParam, Param, Text};
use crate::http::request::params::{AGENT_ID, OFFSET, STATUS};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::lookup;
use crate::http::state::App;
use crate::projection::RowBytes;
use crate::query::{self, Sight};

/// Another name for `agent_id`, as the SDKs spell it.
const AGENT_ID_OF_SDKS: Param<Text> = Param {
    name: "agentId",
    ..AGENT_ID
};

/// The members in which the documents and the SDKs expect the rows of a page.
const NAMES: [&str; 2] = ["sessions", "items"];
/// Bytes of a usual answer about one session.
pub(super) const ANSWER_BYTES: usize = 4096;
/// Rows of a page of `/v1/sessions` if the request has no limit.
const SDK_ROWS_DEFAULT: u16 = 25;

/// The query of a listing.
#[derive(Debug)]
pub(super) struct ListQuery {
    filter: SessionFilter,
    page: PageQuery,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] =
        &[&AGENT_ID, &AGENT_ID_OF_SDKS, &STATUS, &LIMIT, &OFFSET];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let agent = values
            .parsed(&AGENT_ID, AgentId::parse)
            .or_else(|| values.parsed(&AGENT_ID_OF_SDKS, AgentId::parse));
        let statuses = values.words(&STATUS);
        let filter = SessionFilter {
            owner: agent.map_or(Owner::Tenant, Owner::agent),
            statuses: StatusSet::of(&statuses).unwrap_or(StatusSet::ALL),
            ..SessionFilter::default()
        };
        let page = PageQuery::read(values);
        Ok(Self { filter, page })
    }
}

/// `GET /v1/agent-sessions`.
pub(super) async fn list_as_documented(
    State(app): State<App>,
    caller: Caller<Read>,
    LenientQuery(query): LenientQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(&app, caller.sight(), &query, PAGE_ROWS_DEFAULT)
}

/// `GET /v1/sessions`, which has shorter pages.
pub(super) async fn list_as_in_sdks(
    State(app): State<App>,
    caller: Caller<Read>,
    LenientQuery(query): LenientQuery<ListQuery>,
) -> Result<Response, Problem> {
    list(&app, caller.sight(), &query, SDK_ROWS_DEFAULT)
}

fn list(
    app: &App,
    sight: Sight<'_>,
    query: &ListQuery,
    rows_default: u16,
) -> Result<Response, Problem> {
    let ListQuery { filter, page } = query;
    let wanted = page.or(rows_default);
    let (start, rows_max) = (wanted.start(), wanted.rows_max());
    let page = app.read(|snapshot| {
        let page = query::sessions::list(snapshot, sight, filter, start, rows_max);
        Ok(page?)
    })?;
    let now = app.now();
    wanted.answer(&NAMES, &page, |out, stored: &RowBytes| {
        session::write(out, &stored.row()?, now);
        Ok(())
    })
}

/// One session.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<SessionId>,
) -> Result<Response, Problem> {
    let stored = lookup::session(&app, caller.sight(), &id)?;
    let mut out = Json::with_capacity(ANSWER_BYTES);
    session::write(&mut out, &stored.row()?, app.now());
    Ok(body::json(out.into_bytes()))
}
