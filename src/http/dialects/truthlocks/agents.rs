//! The listing of agents, one agent, and how far it is trusted.

use axum::extract::State;
use axum::response::Response;

use super::agent;
use super::page::{LIMIT, PageQuery};
use super::sessions::ANSWER_BYTES;
use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{AgentFilter, AgentId, AgentStatus, Reason, StatusSet, TenantId};
use crate::http::app::App;
use crate::http::body;
use crate::http::caller::{Caller, Read};
use crate::http::error::Code;
use crate::http::extract::{LenientQuery, Path, QueryParams, Values};
use crate::http::json::Json;
use crate::http::params::{AGENT_STATUS, AGENT_TYPE, OFFSET, Param, TRUST_LEVEL};
use crate::http::problem::Problem;
use crate::projection::KnownAgent;
use crate::query;

/// Another name for `agent_type`, as an editor has it.
const TYPE: Param = Param {
    name: "type",
    ..AGENT_TYPE
};

/// Where the documents, the SDKs and an editor look for the rows of a page.
const NAMES: [&str; 3] = ["agents", "items", "data"];

/// The query of a listing.
#[derive(Debug)]
pub(super) struct ListQuery {
    filter: AgentFilter,
    page: PageQuery,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [Param] = &[AGENT_TYPE, TYPE, AGENT_STATUS, TRUST_LEVEL, LIMIT, OFFSET];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let agent_type = values.text(&AGENT_TYPE).or_else(|| values.text(&TYPE));
        let statuses = values.words(&AGENT_STATUS, AgentStatus::parse);
        let filter = AgentFilter {
            agent_type: agent_type.map(Into::into),
            trust_level: values.text(&TRUST_LEVEL).map(Into::into),
            statuses: StatusSet::of(&statuses).unwrap_or(StatusSet::ALL),
        };
        let page = PageQuery::read(values);
        Ok(Self { filter, page })
    }
}

/// The tenant's agents, newest first.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    LenientQuery(query): LenientQuery<ListQuery>,
) -> Result<Response, Problem> {
    let (tenant, filter) = (caller.tenant(), &query.filter);
    let wanted = query.page.or(PAGE_ROWS_DEFAULT);
    let (start, rows_max) = (wanted.start(), wanted.rows_max());
    let page = app.read(|snapshot| {
        let page = query::agents::list(snapshot, tenant, filter, start, rows_max);
        Ok(page?)
    })?;
    wanted.answer(&NAMES, &page, |out, known: &KnownAgent| {
        Ok(agent::write(out, tenant, known)?)
    })
}

/// One agent.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<AgentId>,
) -> Result<Response, Problem> {
    answer(caller.tenant(), &find(&app, caller.tenant(), &id)?)
}

/// How far an agent is trusted. To compute it anew gives what is on the log.
pub(super) async fn trust(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<AgentId>,
) -> Result<Response, Problem> {
    let known = find(&app, caller.tenant(), &id)?;
    let mut out = Json::with_capacity(ANSWER_BYTES);
    agent::write_trust(&mut out, &known)?;
    Ok(body::json(out.into_bytes()))
}

/// An agent of the tenant.
pub(super) fn find(app: &App, tenant: &TenantId, id: &AgentId) -> Result<KnownAgent, Problem> {
    let found = app.read(|snapshot| Ok(query::agents::get(snapshot, tenant, id)?))?;
    found.ok_or_else(|| Problem::new(Code::Event(Reason::NotFound)))
}

/// The answer of a call about one agent.
pub(super) fn answer(tenant: &TenantId, known: &KnownAgent) -> Result<Response, Problem> {
    let mut out = Json::with_capacity(ANSWER_BYTES);
    agent::write(&mut out, tenant, known)?;
    Ok(body::json(out.into_bytes()))
}
