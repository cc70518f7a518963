//! `/v1/backup`: the logs of the whole ledger, for operators who back it up.
//!
//! A request returns one slice, so it holds no read of the log open.

use axum::extract::State;
use axum::response::Response;

use crate::backup::Line;
use crate::domain::Position;
use crate::domain::limits::{BACKUP_SLICE_BYTES_MAX, LOG_GET_IN_FLIGHT_MAX};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::RejectionsProblems;
use crate::http::request::caller::{Caller, Operator};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::page_query::GetQuery;
use crate::http::request::param::AnyParam;
use crate::http::request::params::{AFTER_POSITION, EVENTS_LIMIT};
use crate::http::response::body;
use crate::http::state::App;
use crate::log::EventLog;

const LINES: &str = "application/x-ndjson";

/// The query of a slice.
#[derive(Debug)]
pub(crate) struct SliceQuery {
    after: Position,
    limit: u16,
}

impl QueryParams for SliceQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&AFTER_POSITION, &EVENTS_LIMIT];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: Position::new(values.number(&AFTER_POSITION)),
            limit: values.limit(&EVENTS_LIMIT),
        })
    }
}

/// Read what there is to back up
///
/// The end of the log of events and of the log of keys, as far as this server has read them, each with
/// the hash chain there.
#[utoipa::path(
    get,
    path = "/v1/backup",
    operation_id = "get_backup",
    tag = "operations",
    params(Caller<Operator>, Query<GetQuery>),
    responses((status = 200, description = "The ends", body = dto::LogEnds), RejectionsProblems)
)]
pub(crate) async fn ends(
    State(app): State<App>,
    caller: Caller<Operator>,
    Query(query): Query<GetQuery>,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    app.wait_for(query.min_position).await?;
    let (position, chain) = app.read(|snapshot| {
        let progress = snapshot.progress();
        Ok((progress.position, progress.chain))
    })?;
    let keys = app.keys().seen();
    Ok(body::json_of(&dto::LogEnds {
        events: dto::LogEnd {
            position: position.get(),
            chain: hex::encode(chain),
        },
        keys: dto::LogEnd {
            position: keys.position().get(),
            chain: hex::encode(keys.chain()),
        },
    }))
}

/// Read a slice of the log of events
///
/// Records of all tenants, one a line, as a backup has them. Fewer than `limit` if they are long; none at
/// the end of the log.
#[utoipa::path(
    get,
    path = "/v1/backup/events",
    operation_id = "backup_events",
    tag = "operations",
    params(Caller<Operator>, Query<SliceQuery>),
    responses(
        (status = 200, description = "Records", body = String, content_type = "application/x-ndjson"),
        RejectionsProblems,
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller<Operator>,
    Query(query): Query<SliceQuery>,
) -> Result<Response, Problem> {
    slice(&caller, app.log(), app.projection().position(), &query).await
}

/// Read a slice of the log of keys
///
/// As for the log of events. The hashes of keys are a part of it.
#[utoipa::path(
    get,
    path = "/v1/backup/keys",
    operation_id = "backup_keys",
    tag = "operations",
    params(Caller<Operator>, Query<SliceQuery>),
    responses(
        (status = 200, description = "Records", body = String, content_type = "application/x-ndjson"),
        RejectionsProblems,
    )
)]
pub(crate) async fn keys(
    State(app): State<App>,
    caller: Caller<Operator>,
    Query(query): Query<SliceQuery>,
) -> Result<Response, Problem> {
    let head = app.keys().seen().position();
    slice(&caller, app.keys().log(), head, &query).await
}

async fn slice(
    caller: &Caller<Operator>,
    log: &dyn EventLog,
    head: Position,
    query: &SliceQuery,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    if head < query.after {
        return Err(Problem::new(Code::PositionBeyondHead));
    }
    let last = head.get().min(query.after.get() + u64::from(query.limit));
    let (mut lines, mut after) = (Vec::new(), query.after.get());
    while after < last && lines.len() < BACKUP_SLICE_BYTES_MAX {
        let some = last.min(after + LOG_GET_IN_FLIGHT_MAX as u64);
        let positions = (after + 1..=some).map(Position::new).collect();
        for record in log.get(positions).await? {
            serde_json::to_writer(&mut lines, &Line::of(&record)).expect("a record is JSON");
            lines.push(b'\n');
        }
        after = some;
    }
    Ok(body::typed(LINES, lines))
}
