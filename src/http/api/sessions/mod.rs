//! `GET /v1/agent-sessions`, `/count` and `/{id}`: lists, counts and reads sessions.

pub(super) mod commands;
pub(super) mod events;
pub(super) mod introspect;
pub(super) mod lineage;
mod scope_detail;
pub(super) mod stream;

use axum::extract::State;
use axum::response::Response;

use crate::domain::filter::Owner;
use crate::domain::session::Status;
use crate::domain::{
    AgentId, AgentIds, OutcomeSet, ProjectId, SessionFilter, SessionId, StatusSet, TimeRange,
};
use crate::http::api::listing::{self, Listing, ROW_BYTES};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{CountProblems, GetSessionProblems, ListProblems};
use crate::http::request::caller::{Caller, Read};
use crate::http::request::conditional::Conditional;
use crate::http::request::extract::{Path, Query, QueryParams, Values};
use crate::http::request::page_query::{PageQuery, StateQuery};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    AGENT_IDS, AS_OF, CREATED_AFTER, CREATED_BEFORE, CURSOR, MIN_POSITION, OFFSET, OUTCOME,
    PARENT_SESSION_ID, PROJECT_ID, ROOT, ROWS_LIMIT, STATUS, USER_ID, a_text,
};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::lookup;
use crate::http::response::session_row;
use crate::http::response::validator;
use crate::http::state::App;
use crate::projection::{RowBytes, Snapshot};
use crate::query;

/// What no index answers exactly. ADR 0034 says what such indexes would cost.
pub(super) const DECLINED: &[(&str, &str)] = &[
    (
        "expires_before",
        "is not a filter: no index counts a tenant's sessions by deadline, so the total would not be exact; \
         read the active sessions and compare expires_at",
    ),
    ("sort", NEWEST_FIRST),
    ("order", NEWEST_FIRST),
    ("order_by", NEWEST_FIRST),
];
const NEWEST_FIRST: &str = "cannot be chosen: sessions are listed newest first by created_at, which never \
                            changes, so that no row moves between two pages";

/// The query of a listing of sessions.
#[derive(Debug)]
pub(crate) struct ListQuery {
    filter: SessionFilter,
    page: PageQuery,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AGENT_IDS,
        &PROJECT_ID,
        &PARENT_SESSION_ID,
        &USER_ID,
        &ROOT,
        &STATUS,
        &OUTCOME,
        &CREATED_AFTER,
        &CREATED_BEFORE,
        &ROWS_LIMIT,
        &OFFSET,
        &CURSOR,
        &AS_OF,
        &MIN_POSITION,
    ];

    const DECLINED: &'static [(&'static str, &'static str)] = DECLINED;

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let filter = read_filter(values);
        let page = PageQuery::read(values);
        let filter = filter?;
        Ok(Self { filter, page })
    }
}

/// The query of a count.
#[derive(Debug)]
pub(crate) struct CountQuery {
    filter: SessionFilter,
    state: StateQuery,
}

impl QueryParams for CountQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AGENT_IDS,
        &PROJECT_ID,
        &PARENT_SESSION_ID,
        &USER_ID,
        &ROOT,
        &STATUS,
        &OUTCOME,
        &CREATED_AFTER,
        &CREATED_BEFORE,
        &AS_OF,
        &MIN_POSITION,
    ];

    const DECLINED: &'static [(&'static str, &'static str)] = DECLINED;

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let filter = read_filter(values);
        let state = StateQuery::read(values);
        Ok(Self {
            filter: filter?,
            state: state?,
        })
    }
}

fn read_filter(values: &mut Values) -> Result<SessionFilter, Problem> {
    let owners = [
        AgentIds::of(values.all_parsed(&AGENT_IDS, AgentId::parse))
            .map(|ids| (AGENT_IDS.name, Owner::Agents(ids))),
        values
            .parsed(&PROJECT_ID, ProjectId::parse)
            .map(|id| (PROJECT_ID.name, Owner::Project(id))),
        values
            .parsed(&PARENT_SESSION_ID, SessionId::parse)
            .map(|id| (PARENT_SESSION_ID.name, Owner::Parent(id))),
        values
            .parsed(&USER_ID, a_text)
            .map(|id| (USER_ID.name, Owner::User(id))),
    ];
    let root = values.optional_flag(&ROOT);
    let (statuses, outcomes) = states(values);
    let after = values.time(&CREATED_AFTER);
    let before = values.time(&CREATED_BEFORE);
    let mut owners = owners.into_iter().flatten();
    let owner = match (owners.next(), owners.next()) {
        (Some((first, _)), Some((second, _))) => {
            let message = format!("must not be combined with {first}");
            return Err(Problem::new(Code::UnsupportedFilter).with_error(second, message));
        }
        (Some((_, owner)), None) => owner,
        (None, _) => Owner::Tenant,
    };
    Ok(SessionFilter {
        owner,
        root,
        statuses,
        outcomes,
        created: TimeRange { after, before },
    })
}

/// Reads the statuses, and the outcomes of terminated sessions. An outcome without a status means those alone.
fn states(values: &mut Values) -> (StatusSet, OutcomeSet) {
    let statuses = StatusSet::of(&values.words(&STATUS));
    let outcomes: Vec<_> = values.words(&OUTCOME).into_iter().map(Some).collect();
    let Some(outcomes) = OutcomeSet::of(&outcomes) else {
        return (statuses.unwrap_or(StatusSet::ALL), OutcomeSet::ALL);
    };
    let terminated = || StatusSet::only(Status::Terminated);
    (statuses.unwrap_or_else(terminated), outcomes)
}

/// List sessions
///
/// A page of the tenant's sessions, newest first by the time of creation, with the exact total. Rows,
/// total and `as_of` come from one state of the ledger. The cost of a page is the same at any depth.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(Caller<Read>, Query<ListQuery>, Conditional),
    responses(
        (status = 200, description = "A page", body = dto::SessionList, headers(
            ("ETag" = String, description = "The version of the page, for `If-None-Match`"),
            ("Link" = String, description = "The pages `first`, `prev` (by offset) and `next` (RFC 8288)"),
        )),
        (status = 304, description = "The page has not changed since the version in `If-None-Match`"),
        ListProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<ListQuery>,
    conditional: Conditional,
) -> Result<Response, Problem> {
    let (sight, ListQuery { filter, page }) = (caller.sight(), query);
    let (start, as_of) = page.start(sight.tenant, &filter)?;
    let (rows_max, reader) = (page.rows_max(), caller.clone());
    let find = move |snapshot: &Snapshot| {
        let sight = reader.sight();
        Ok(query::sessions::list(
            snapshot, sight, &filter, start, rows_max,
        )?)
    };
    let listing = Listing {
        app: &app,
        as_of,
        sight,
        request: &conditional,
        page: &page,
        rows_name: "sessions",
    };
    listing::answer(listing, find, write_row).await
}

/// Writes a session as the log says, whatever time it is.
fn write_row(out: &mut Json, stored: &RowBytes) -> Result<(), Problem> {
    let row = stored.row()?;
    session_row::write(out, &row, row.status);
    Ok(())
}

/// Count sessions
///
/// The number of the tenant's sessions that match a filter, in total and by status. The cost is the same
/// for any number of sessions, except for a range of creation times in a past state.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions/count",
    operation_id = "count_sessions",
    tag = "sessions",
    params(Caller<Read>, Query<CountQuery>, Conditional),
    responses(
        (status = 200, description = "The totals", body = dto::SessionCount, headers(
            ("ETag" = String, description = "The version of the answer, for `If-None-Match`"),
        )),
        (status = 304, description = "The answer has not changed since the version in `If-None-Match`"),
        CountProblems,
    )
)]
pub(crate) async fn count(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<CountQuery>,
    conditional: Conditional,
) -> Result<Response, Problem> {
    let CountQuery { filter, state } = query;
    app.wait_for(state.min_position).await?;
    let past = app.past(state.as_of, caller.sight()).await?;
    if past.is_none()
        && let Some(not_modified) = validator::not_modified(&conditional, &app, caller.sight())
    {
        return Ok(not_modified);
    }
    let reader = caller.clone();
    let find =
        move |snapshot: &Snapshot| Ok(query::sessions::count(snapshot, reader.sight(), &filter)?);
    let counted = app.read_at(past, find).await?;
    let by_status = counted.by_status.iter();
    let answer = dto::SessionCount {
        total: counted.total,
        by_status: by_status
            .map(|(status, total)| (status.as_str().to_owned(), *total))
            .collect(),
        as_of: app.as_of(counted.as_of),
    };
    let mut response = body::json_of(&answer);
    if past.is_none() {
        let (uri, sight) = (conditional.uri(), caller.sight());
        validator::add(&mut response, uri, &app, sight, &answer.as_of);
    }
    Ok(response)
}

/// Read a session
///
/// One session as it is now, or as it was. After its deadline it is `expired` at once, even before that is on the log.
/// A session of another tenant gets a 404, like one that does not exist.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions/{id}",
    operation_id = "get_session",
    tag = "sessions",
    params(Caller<Read>, Path<SessionId>, Query<StateQuery>),
    responses((status = 200, description = "The session", body = dto::Session), GetSessionProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Path(id): Path<SessionId>,
    Query(query): Query<StateQuery>,
) -> Result<Response, Problem> {
    app.wait_for(query.min_position).await?;
    let now = app.now();
    let past = app.past(query.as_of, caller.sight()).await?;
    let find = move |snapshot: &Snapshot| lookup::session_in(snapshot, caller.sight(), &id);
    let stored = app.read_at(past, find).await?;
    let row = stored.row()?;
    let time = past.map_or(Some(now), |past| past.time);
    let status = time.map_or(row.status, |time| row.status_at(time));
    let mut out = Json::with_capacity(ROW_BYTES);
    session_row::write(&mut out, &row, status);
    Ok(body::json(out.into_bytes()))
}
