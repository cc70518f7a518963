//! `GET /v1/agents` and `/{id}`: the known agents, with the number of sessions of each.

pub(super) mod commands;

use axum::extract::State;
use axum::response::Response;

use crate::domain::{AgentFilter, AgentId, Reason, StatusSet};
use crate::http::api::listing::{self, Listing, ROW_BYTES};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{AgentListProblems, GetAgentProblems};
use crate::http::request::caller::{Caller, Read};
use crate::http::request::conditional::Conditional;
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::page_query::{PageQuery, StateQuery};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    AGENT_STATUS, AGENT_TYPE, AS_OF, CURSOR, MIN_POSITION, OFFSET, ROWS_LIMIT, TRUST_LEVEL,
};
use crate::http::response::agent_row;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::Snapshot;
use crate::query::{self, Sight};

/// The query of a listing of agents.
#[derive(Debug)]
pub(crate) struct ListQuery {
    filter: AgentFilter,
    page: PageQuery,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AGENT_TYPE,
        &AGENT_STATUS,
        &TRUST_LEVEL,
        &ROWS_LIMIT,
        &OFFSET,
        &CURSOR,
        &AS_OF,
        &MIN_POSITION,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let statuses = values.words(&AGENT_STATUS);
        let filter = AgentFilter {
            agent_type: values.text(&AGENT_TYPE).map(Into::into),
            trust_level: values.text(&TRUST_LEVEL).map(Into::into),
            statuses: StatusSet::of(&statuses).unwrap_or(StatusSet::ALL),
        };
        let page = PageQuery::read(values);
        Ok(Self { filter, page })
    }
}

/// List agents
///
/// A page of the tenant's agents, newest first by the time of creation, with the exact total: registered
/// agents, and agents that only sessions have named. Rows, total and `as_of` come from one state of the
/// ledger. The cost of a page is the same at any depth.
#[utoipa::path(
    get,
    path = "/v1/agents",
    operation_id = "list_agents",
    tag = "agents",
    params(Caller<Read>, Query<ListQuery>, Conditional),
    responses(
        (status = 200, description = "A page", body = dto::AgentList, headers(
            ("ETag" = String, description = "The version of the page, for `If-None-Match`"),
            ("Link" = String, description = "The pages `first`, `prev` (by offset) and `next` (RFC 8288)"),
        )),
        (status = 304, description = "The page has not changed since the version in `If-None-Match`"),
        AgentListProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<ListQuery>,
    conditional: Conditional,
) -> Result<Response, Problem> {
    let write_row = |out: &mut Json, agent: &_| Ok(agent_row::write(out, agent)?);
    let (sight, ListQuery { filter, page }) = (caller.sight(), query);
    let (start, as_of) = page.start(sight.tenant, &filter)?;
    let (rows_max, reader) = (page.rows_max(), caller.clone());
    let find = move |snapshot: &Snapshot| {
        let sight = reader.sight();
        Ok(query::agents::list(
            snapshot, sight, &filter, start, rows_max,
        )?)
    };
    let listing = Listing {
        app: &app,
        as_of,
        sight,
        request: &conditional,
        page: &page,
        rows_name: "agents",
    };
    listing::answer(listing, find, write_row).await
}

/// Read an agent
///
/// One agent as it is now, or as it was. An agent of another tenant gets a 404, like one that does not exist.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}",
    operation_id = "get_agent",
    tag = "agents",
    params(Caller<Read>, Path<AgentId>, Query<StateQuery>),
    responses((status = 200, description = "The agent", body = dto::Agent), GetAgentProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<AgentId>,
    Query(query): Query<StateQuery>,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let past = app.past(query.as_of, caller.sight()).await?;
    let find = move |snapshot: &Snapshot| render(snapshot, caller.sight(), &id);
    let agent = app.read_at(past, find).await?;
    Ok(body::json(agent))
}

/// An agent as JSON; a problem if the caller may not see it.
pub(crate) fn render(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    id: &AgentId,
) -> Result<Vec<u8>, Problem> {
    let agent = query::agents::get(snapshot, sight, id)?.ok_or_else(not_found)?;
    let mut out = Json::with_capacity(ROW_BYTES);
    agent_row::write(&mut out, &agent)?;
    Ok(out.into_bytes())
}

/// The problem for an agent that does not exist or that the caller may not see. The caller cannot
/// distinguish the two.
fn not_found() -> Problem {
    Problem::new(Code::Event(Reason::NotFound)).with_detail("there is no such agent")
}
