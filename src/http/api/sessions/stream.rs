//! `GET /v1/agent-sessions/stream`: follows the first rows of a listing of sessions.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::{DECLINED, read_filter};
use crate::domain::{Position, SessionFilter};
use crate::http::dto;
use crate::http::live::{self, Encoding, FollowedSessions, Live, SessionStream};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::SessionStreamProblems;
use crate::http::request::caller::{Caller, Read};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    AGENT_IDS, CREATED_AFTER, CREATED_BEFORE, FOLLOW, MIN_POSITION, OUTCOME, PARENT_SESSION_ID,
    PROJECT_ID, ROOT, STATUS, USER_ID, WINDOW,
};
use crate::http::request::stream_headers::StreamHeaders;
use crate::http::state::App;

/// The query of a stream of sessions.
#[derive(Debug)]
pub(crate) struct StreamQuery {
    filter: SessionFilter,
    window: u16,
    follow: bool,
    min_position: Option<Position>,
}

impl QueryParams for StreamQuery {
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
        &WINDOW,
        &FOLLOW,
        &MIN_POSITION,
    ];

    const DECLINED: &'static [(&'static str, &'static str)] = DECLINED;

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let filter = read_filter(values);
        let (window, follow) = (values.limit(&WINDOW), values.flag(&FOLLOW));
        let min_position = values.position(&MIN_POSITION);
        Ok(Self {
            filter: filter?,
            window,
            follow,
            min_position,
        })
    }
}

/// Follow sessions
///
/// The newest rows of a listing and its totals, and then each change of them, as Server-Sent Events or as
/// NDJSON. It begins with `reset` and the rows. Each group of changes ends with `synced`: then the client has the
/// rows and the total of that position. A client that connects again gets the rows again.
#[utoipa::path(
    get,
    path = "/v1/agent-sessions/stream",
    operation_id = "follow_sessions",
    tag = "sessions",
    params(Caller<Read>, Query<StreamQuery>, StreamHeaders),
    responses(
        (
            status = 200,
            description = "The frames, at most for four minutes",
            content(
                (dto::ServerSentEvent = "text/event-stream"),
                (dto::SessionFrame = "application/x-ndjson"),
            ),
        ),
        SessionStreamProblems,
    )
)]
pub(crate) async fn follow(
    State(app): State<App>,
    Extension(live): Extension<Arc<Live>>,
    caller: Caller<Read>,
    Query(query): Query<StreamQuery>,
    StreamHeaders { last, ndjson }: StreamHeaders,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(ndjson);
    let last = match app.wait_for(last).await {
        // The client has seen a state that the log no longer has. The rows that it gets now replace it.
        Err(problem) if problem.code() == Code::PositionBeyondHead => None,
        waited => waited.map(|()| last)?,
    };
    let followed = FollowedSessions {
        tenant: caller.tenant().clone(),
        agent: caller.sight().agent.cloned(),
        filter: query.filter,
        window: query.window,
    };
    let min_position = query.min_position.max(last);
    let how = (encoding, query.follow);
    let stream = SessionStream::start((app, live), followed, min_position, how).await?;
    Ok(live::answer(encoding, stream))
}
