//! `GET /v1/events/stream`: replays the history of a tenant, and then follows it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::read_filter;
use crate::domain::Position;
use crate::http::dto;
use crate::http::live::{self, Encoding, EventStream, FollowedEvents, Live};
use crate::http::problem::Problem;
use crate::http::problem::sets::EventStreamProblems;
use crate::http::request::caller::{Audit, Caller};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{
    ACTOR, AFTER_POSITION, AGENT_ID, EVENTS_PROJECT, FOLLOW, REASONS, SESSION_ID, SOURCE, TYPES,
    VERDICTS,
};
use crate::http::request::stream_headers::StreamHeaders;
use crate::http::state::App;
use crate::query::EventFilter;

/// The query of a stream of events.
#[derive(Debug)]
pub(crate) struct StreamQuery {
    after: Position,
    filter: EventFilter,
    follow: bool,
}

impl QueryParams for StreamQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[
        &AFTER_POSITION,
        &TYPES,
        &VERDICTS,
        &REASONS,
        &AGENT_ID,
        &SESSION_ID,
        &EVENTS_PROJECT,
        &SOURCE,
        &ACTOR,
        &FOLLOW,
    ];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self {
            after: Position::new(values.number(&AFTER_POSITION)),
            filter: read_filter(values),
            follow: values.flag(&FOLLOW),
        })
    }
}

/// Follow events
///
/// All events of the tenant after a position, oldest first, and then each event when it is folded, as
/// Server-Sent Events or as NDJSON. `synced` says that the client has everything up to its position. An event
/// has the verdict that it has when it is sent, which can be `parked`.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    operation_id = "follow_events",
    tag = "events",
    params(Caller<Audit>, Query<StreamQuery>, StreamHeaders),
    responses(
        (
            status = 200,
            description = "The frames, at most for four minutes. A client that connects again gives the last \
                position that it has, as `Last-Event-ID` or as `after`",
            content(
                (dto::ServerSentEvent = "text/event-stream"),
                (dto::EventFrame = "application/x-ndjson"),
            ),
        ),
        EventStreamProblems,
    )
)]
pub(crate) async fn follow(
    State(app): State<App>,
    Extension(live): Extension<Arc<Live>>,
    caller: Caller<Audit>,
    Query(query): Query<StreamQuery>,
    StreamHeaders { last, ndjson }: StreamHeaders,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(ndjson);
    let followed = FollowedEvents {
        tenant: caller.tenant().clone(),
        agent: caller.sight().agent.cloned(),
        filter: query.filter,
    };
    let after = last.unwrap_or(query.after);
    let how = (encoding, query.follow);
    let stream = EventStream::start((app, live), followed, after, how).await?;
    Ok(live::answer(encoding, stream))
}
