//! `POST /v1/events`: appends one event or a batch, and answers with the fold's verdict.

use std::pin::pin;
use std::time::Duration;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::timeout;

use crate::domain::limits::WRITER_BODY_WAIT_MS;
use crate::domain::{Reason, Rules, Verdict};
use crate::http::api::events::appended::{AppendQuery, appended, check, emitter, first_verdicts};
use crate::http::api::events::emit_batch;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::AppendProblems;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::Query;
use crate::http::request::json_body;
use crate::http::request::media_type::{self, JSON};
use crate::http::response::body;
use crate::http::response::event_row::location;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::{Receipt, Turn};
use crate::log::LogError;
use crate::wire::binary::{self, Attribute};
use crate::wire::headers::ATTRIBUTE_PREFIX;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";
/// This header marks an event in binary mode.
const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// The events in a request.
enum Sent {
    One(Bytes),
    Batch(Bytes),
}

/// Append events
///
/// Appends one `CloudEvent` (structured or binary mode) or a batch. The answer is the verdict of the
/// fold: 201 for an applied event, 200 for a duplicate of an earlier event, and 202 for an event that is
/// parked or has no verdict yet (ask at `Location`). A rejected event gets a problem whose code is the
/// reason. The server checks a batch first and writes nothing if any event is invalid. Then every event
/// gets its own result. It is always safe to send an event again with the same source and id.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "append_events",
    tag = "events",
    params(Caller<Write>, Query<AppendQuery>),
    request_body(
        description = "A CloudEvent 1.0, or an array of them. The server also accepts the media types \
                       of CloudEvents: `application/cloudevents+json` for one event, \
                       `application/cloudevents-batch+json` for an array, and binary mode, where the \
                       attributes are `ce-` headers and the body is the data. This document does not \
                       list them, because generated clients support one media type for a body.",
        content = dto::EventOrBatch,
        content_type = "application/json",
        example = json!({
            "specversion": "1.0",
            "id": "0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e",
            "source": "/runtimes/eu-1",
            "type": "session.created",
            "subject": "session-1",
            "time": "2026-01-31T23:59:59Z",
            "data": {"agent_id": "agent-7", "scopes": ["files:read"], "ttl_seconds": 3600}
        }),
    ),
    responses(
        (status = 200, description = "A duplicate, or the results of a batch",
            body = dto::AppendAnswer,
            headers(("Location" = String, description = "The path of the event, unless it is a batch"))),
        (status = 201, description = "The event is applied", body = dto::Appended,
            headers(("Location" = String, description = "The path of the event"))),
        (status = 202, description = "The events are on the log: parked, or without a verdict",
            body = dto::AppendAnswer,
            headers(
                ("Location" = String, description = "The path of the event, unless it is a batch"),
                ("Retry-After" = u64, description = "How many seconds to wait before asking for the \
                    verdict, unless it is a batch"),
            )),
        AppendProblems,
    )
)]
pub(crate) async fn append(
    State(app): State<App>,
    caller: Caller<Write>,
    Query(query): Query<AppendQuery>,
    request: Request,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    let headers = request.headers().clone();
    let (turn, body) = if query.wait {
        let (turn, body) = turn_and_body(&app, request).await?;
        (Some(turn), body)
    } else {
        let Body(body) = Body::from_request(request, &app).await?;
        (None, body)
    };
    match sent(&headers, body)? {
        Sent::One(event) => append_one(&app, &caller, turn, event, query.strict).await,
        Sent::Batch(events) => emit_batch::append(&app, caller, turn, events, query.strict).await,
    }
}

/// Waits for a turn to write, and then reads the body, so that a request that waits takes little memory. A
/// client whose body is late gives its turn to others until the body is there.
async fn turn_and_body(app: &App, request: Request) -> Result<(Turn<'_>, Bytes), Problem> {
    let turn = app.ledger().turn().await?;
    let mut reading = pin!(Body::from_request(request, app));
    let at_most = Duration::from_millis(WRITER_BODY_WAIT_MS);
    if let Ok(body) = timeout(at_most, &mut reading).await {
        return Ok((turn, body?.0));
    }
    drop(turn);
    let Body(body) = reading.await?;
    Ok((app.ledger().turn().await?, body))
}

/// Reads the mode of the body from the headers, as in the HTTP binding of `CloudEvents`.
fn sent(headers: &HeaderMap, body: Bytes) -> Result<Sent, Problem> {
    let is_array = json_body::is_array(&body);
    match media_type::of(headers)?.as_deref() {
        Some(STRUCTURED) if is_array => Err(json_body::not_one_event()),
        Some(STRUCTURED) => Ok(Sent::One(body)),
        Some(BATCHED) => Ok(Sent::Batch(body)),
        _ if headers.contains_key(&SPEC_VERSION) => {
            let content_type = headers.get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            Ok(Sent::One(from_binary(headers, content_type, &body)?))
        }
        Some(JSON) if is_array => Ok(Sent::Batch(body)),
        Some(JSON) => Ok(Sent::One(body)),
        _ => Err(Problem::new(Code::UnsupportedMediaType)),
    }
}

fn from_binary(
    headers: &HeaderMap,
    content_type: Option<&str>,
    data: &[u8],
) -> Result<Bytes, Problem> {
    let mut attributes = Vec::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(ATTRIBUTE_PREFIX) else {
            continue;
        };
        let text = binary::header_value(value.as_bytes()).ok_or_else(|| {
            Problem::new(Code::Event(Reason::Invalid))
                .with_detail("a header holds an invalid attribute value; nothing was written")
                .with_error(name.as_str(), "must be UTF-8, percent-encoded")
        })?;
        attributes.push(Attribute {
            name: attribute.into(),
            value: Ok(text.into()),
        });
    }
    // The log stores the event in structured mode, so the conversion may use the newest rules.
    Ok(binary::to_structured(Rules::LATEST, attributes, content_type, data).into())
}

async fn append_one(
    app: &App,
    caller: &Caller<Write>,
    turn: Option<Turn<'_>>,
    event: Bytes,
    strict: bool,
) -> Result<Response, Problem> {
    let tenant = caller.tenant();
    let submission = check(app.ledger().rules(), emitter(caller), event, strict)?;
    let ignored = submission.ignored().to_vec();
    let receipt = if let Some(turn) = turn {
        only(turn.append_and_wait(tenant, vec![submission]).await?)?
    } else {
        let position = only(app.ledger().append(vec![submission]).await?)?;
        Receipt {
            position,
            verdict: None,
        }
    };
    let verdict = receipt.verdict.map(|row| row.verdict);
    let status = Success::of_verdict(verdict).map_err(|reason| {
        let problem = Problem::new(Code::Event(reason));
        problem.with_position(receipt.position, Verdict::Rejected(reason))
    })?;
    let firsts = first_verdicts(app, tenant, std::slice::from_ref(&receipt)).await?;
    let answer = appended(&receipt, &firsts, ignored);
    let mut response = body::json_with_status(status, &answer);
    let headers = response.headers_mut();
    headers.insert(LOCATION, location(receipt.position));
    if verdict.is_none() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response.into_response())
}

fn only<T>(results: Vec<Result<T, LogError>>) -> Result<T, Problem> {
    let first = results.into_iter().next();
    Ok(first.ok_or_else(|| Problem::new(Code::InternalError))??)
}
