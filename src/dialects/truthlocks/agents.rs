//! The listing of agents, one agent, and its trust level and score.

use axum::extract::State;
use axum::response::Response;

use super::agent;
use super::page::{LIMIT, PageQuery};
use super::sessions::ANSWER_BYTES;
use crate::domain::limits::PAGE_ROWS_DEFAULT;
use crate::domain::{AgentFilter, AgentId, Reason, StatusSet, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::{LenientQuery, Path, QueryParams, Values};
use crate::http::request::param::{AnyParam, Param, Text};
use crate::http::request::params::{AGENT_STATUS, AGENT_TYPE, OFFSET, TRUST_LEVEL};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::KnownAgent;
use crate::query::{self, Sight};

/// The names of `agent_type` in the documents, the SDKs and an editor. If a query has several, the
/// first one in this list counts.
const TYPES: [Param<Text>; 3] = [
    AGENT_TYPE,
    Param {
        name: "agentType",
        ..AGENT_TYPE
    },
    Param {
        name: "type",
        ..AGENT_TYPE
    },
];
const TRUST_LEVELS: [Param<Text>; 2] = [
    TRUST_LEVEL,
    Param {
        name: "trustLevel",
        ..TRUST_LEVEL
    },
];

/// The members in which the documents, the SDKs and an editor expect the rows of a page.
const NAMES: [&str; 3] = ["agents", "items", "data"];

/// The query of a listing.
#[derive(Debug)]
pub(super) struct ListQuery {
    filter: AgentFilter,
    page: PageQuery,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &TYPES[0],
        &TYPES[1],
        &TYPES[2],
        &AGENT_STATUS,
        &TRUST_LEVELS[0],
        &TRUST_LEVELS[1],
        &LIMIT,
        &OFFSET,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let agent_type = TYPES.iter().find_map(|param| values.text(param));
        let trust_level = TRUST_LEVELS.iter().find_map(|param| values.text(param));
        let statuses = values.words(&AGENT_STATUS);
        let filter = AgentFilter {
            agent_type: agent_type.map(Into::into),
            trust_level: trust_level.map(Into::into),
            statuses: StatusSet::of(&statuses).unwrap_or(StatusSet::ALL),
        };
        let page = PageQuery::read(values);
        Ok(Self { filter, page })
    }
}

/// Lists the tenant's agents, newest first.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    LenientQuery(query): LenientQuery<ListQuery>,
) -> Result<Response, Problem> {
    let (sight, filter) = (caller.sight(), &query.filter);
    let wanted = query.page.or(PAGE_ROWS_DEFAULT);
    let (start, rows_max) = (wanted.start(), wanted.rows_max());
    let page = app.read(|snapshot| {
        let page = query::agents::list(snapshot, sight, filter, start, rows_max);
        Ok(page?)
    })?;
    wanted.answer(&NAMES, &page, |out, known: &KnownAgent| {
        Ok(agent::write(out, sight.tenant, known)?)
    })
}

/// One agent.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<AgentId>,
) -> Result<Response, Problem> {
    answer(caller.tenant(), &find(&app, caller.sight(), &id)?)
}

/// Answers with the trust level and score of an agent. The call to compute them has the same
/// answer: the ledger computes nothing.
pub(super) async fn trust(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<AgentId>,
) -> Result<Response, Problem> {
    let known = find(&app, caller.sight(), &id)?;
    let mut out = Json::with_capacity(ANSWER_BYTES);
    agent::write_trust(&mut out, &known)?;
    Ok(body::json(out.into_bytes()))
}

/// Finds an agent that the caller may see.
pub(super) fn find(app: &App, sight: Sight<'_>, id: &AgentId) -> Result<KnownAgent, Problem> {
    let found = app.read(|snapshot| Ok(query::agents::get(snapshot, sight, id)?))?;
    found.ok_or_else(|| Problem::new(Code::Event(Reason::NotFound)))
}

/// The answer to a call about one agent.
pub(super) fn answer(tenant: &TenantId, known: &KnownAgent) -> Result<Response, Problem> {
    let mut out = Json::with_capacity(ANSWER_BYTES);
    agent::write(&mut out, tenant, known)?;
    Ok(body::json(out.into_bytes()))
}
