//! `POST /v1/events`: appends one event or a batch, and answers with the fold's verdict.

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::domain::{Reason, Rules, Verdict};
use crate::http::api::events::appended::{AppendQuery, appended, check, emitter, first_verdicts};
use crate::http::api::events::emit_batch;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::{Code, verdict_status};
use crate::http::problem::sets::AppendProblems;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::Query;
use crate::http::request::json_body;
use crate::http::request::media_type::{self, JSON};
use crate::http::response::body;
use crate::http::response::command::location;
use crate::http::state::App;
use crate::ledger::Outcome;
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
/// One `CloudEvent` (structured or binary mode) or a batch. The answer is the fold's verdict: 201
/// applied, 200 a duplicate of an event that was taken before, 202 parked until the session opens or
/// no verdict yet (ask at `Location`), otherwise a problem whose code is the reason. A batch is
/// checked first, and nothing is written if any event is unfit; then every event gets its own
/// result. Sending an event again with the same source and id is always safe.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "append_events",
    tag = "events",
    params(Caller<Write>, Query<AppendQuery>),
    request_body(
        description = "A CloudEvent 1.0, or an array of them. The types and their data are described \
                       by the JSON Schemas of the events. The media types of CloudEvents are taken \
                       as well: `application/cloudevents+json` for one event, \
                       `application/cloudevents-batch+json` for an array, and binary mode, where the \
                       attributes are `ce-` headers and the body is the data. They are not listed \
                       beside this one, because clients that are generated from several fail.",
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
        (status = 200, description = "One event: a duplicate. A batch: its results",
            body = dto::AppendAnswer,
            headers(("Location" = String, description = "One event: its path"))),
        (status = 201, description = "Applied", body = dto::Appended,
            headers(("Location" = String, description = "The event's path"))),
        (status = 202, description = "Kept on the log: parked, or no verdict yet",
            body = dto::AppendAnswer,
            headers(
                ("Location" = String, description = "One event: its path; ask there for the verdict"),
                ("Retry-After" = u64, description = "One event without a verdict: seconds to wait \
                    before asking for it"),
            )),
        AppendProblems,
    )
)]
pub(crate) async fn append(
    State(app): State<App>,
    caller: Caller<Write>,
    Query(query): Query<AppendQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    match sent(&headers, body)? {
        Sent::One(event) => append_one(&app, &caller, event, &query).await,
        Sent::Batch(events) => emit_batch::append(&app, caller, events, query).await,
    }
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
    event: Bytes,
    query: &AppendQuery,
) -> Result<Response, Problem> {
    let tenant = caller.tenant();
    let submission = check(app.ledger().rules(), emitter(caller), event, query.strict)?;
    let ignored = submission.ignored().to_vec();
    let outcome = if query.wait {
        let outcomes = app
            .ledger()
            .append_and_wait(tenant, vec![submission])
            .await?;
        only(outcomes)?
    } else {
        let position = only(app.ledger().append(vec![submission]).await?)?;
        Outcome {
            position,
            verdict: None,
        }
    };
    let verdict = outcome.verdict.map(|row| row.verdict);
    if let Some(Verdict::Rejected(reason)) = verdict {
        let problem = Problem::new(Code::Event(reason));
        return Err(problem.with_position(outcome.position, Verdict::Rejected(reason)));
    }
    let firsts = first_verdicts(app, tenant, std::slice::from_ref(&outcome)).await?;
    let answer = appended(&outcome, &firsts, ignored);
    let mut response = body::json_with_status(verdict_status(verdict), &answer);
    let headers = response.headers_mut();
    headers.insert(LOCATION, location(outcome.position));
    if verdict.is_none() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response.into_response())
}

fn only<T>(results: Vec<Result<T, LogError>>) -> Result<T, Problem> {
    let first = results.into_iter().next();
    Ok(first.ok_or_else(|| Problem::new(Code::InternalError))??)
}
