//! `POST /v1/traces`: takes an export of OTLP/HTTP, and appends the events that its spans mean.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::domain::session::Status;
use crate::domain::{AgentId, ProjectId, Reason, SessionId, Verdict};
use crate::http::api::emissions;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::HookProblems;
use crate::http::request::body::Body;
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::media_type::{self, JSON};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{HOOK_PROJECT, TRACE_AGENT, TRACE_TTL};
use crate::http::response::body;
use crate::http::state::App;
use crate::ledger::Receipt;
use crate::otlp::{self, Answer, Known, NotSpans, Options, Plan, Rejected, Spans, State as Seen};
use crate::projection::Snapshot;
use crate::query::{self, Sight};

const PROTOBUF: &str = "application/x-protobuf";
/// The agent of sessions that nothing names one for.
const UNKNOWN_AGENT: &str = "unknown";

/// The query of an export: how its sessions look.
#[derive(Debug)]
pub(crate) struct TraceQuery(Options);

impl QueryParams for TraceQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&TRACE_AGENT, &HOOK_PROJECT, &TRACE_TTL];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let unknown = || AgentId::parse(UNKNOWN_AGENT).expect("the word is an id");
        let agent = values.parsed(&TRACE_AGENT, AgentId::parse);
        Ok(Self(Options {
            agent: agent.unwrap_or_else(unknown),
            project: values.parsed(&HOOK_PROJECT, ProjectId::parse),
            ttl_seconds: values.number(&TRACE_TTL),
        }))
    }
}

/// The encoding of an export and of its answer.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Protobuf,
    Json,
}

/// Take an export of traces
///
/// For exporters of OpenTelemetry (OTLP over HTTP). Spans that name a conversation
/// (`gen_ai.conversation.id`) open and refresh the session with that id; all others mean nothing. The answer
/// is 200 also if some spans could not be taken: it says how many and why. It is safe to send an export
/// again.
#[utoipa::path(
    post,
    path = "/v1/traces",
    operation_id = "export_traces",
    tag = "events",
    params(Caller<Write>, Query<TraceQuery>),
    request_body(
        description = "An `ExportTraceServiceRequest` of OTLP. The server also accepts it in protobuf \
                       (`application/x-protobuf`), as most exporters send it, and then answers in \
                       protobuf. This document does not list that media type, because generated clients \
                       support one media type for a body.",
        content = dto::ExportTraceRequest,
        content_type = "application/json",
        example = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "name": "invoke_agent triage",
            "startTimeUnixNano": "1769860799000000000",
            "endTimeUnixNano": "1769860800000000000",
            "attributes": [
                {"key": "gen_ai.conversation.id", "value": {"stringValue": "session-1"}},
                {"key": "gen_ai.agent.name", "value": {"stringValue": "triage"}},
            ],
        }]}]}]}),
    ),
    responses(
        (status = 200, description = "The spans were taken, or some of them",
            body = dto::ExportTraceResponse),
        HookProblems,
    )
)]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller<Write>,
    Query(TraceQuery(options)): Query<TraceQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    let encoding = encoding(&headers)?;
    let (now, tenant) = (app.now(), caller.tenant().clone());
    let planned = app.scan(move |snapshot| {
        let spans = match encoding {
            Encoding::Protobuf => Spans::from_protobuf(&body, now),
            Encoding::Json => Spans::from_json(&body, now),
        };
        let spans = spans.map_err(|wrong| not_spans(&wrong))?;
        let sight = Sight::of_tenant(&tenant);
        otlp::plan(&spans, &options, |session| known(snapshot, sight, session))
    });
    let rejected = append(&app, &caller, planned.await?).await?;
    let answer = Answer(&rejected);
    Ok(match encoding {
        Encoding::Protobuf => body::typed(PROTOBUF, answer.to_protobuf()),
        Encoding::Json => body::json(answer.to_json()),
    })
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    match media_type::of(headers)?.as_deref() {
        Some(PROTOBUF) => Ok(Encoding::Protobuf),
        Some(JSON) => Ok(Encoding::Json),
        _ => {
            let detail = "send an export of OTLP as application/x-protobuf or application/json";
            Err(Problem::new(Code::UnsupportedMediaType).with_detail(detail))
        }
    }
}

fn not_spans(wrong: &NotSpans) -> Problem {
    let code = match wrong {
        NotSpans::Protobuf(_) => Reason::Invalid,
        NotSpans::Json(_) => Reason::NotJson,
    };
    Problem::new(Code::Event(code))
        .with_detail(format!("{wrong}; nothing was written"))
        .with_error("", wrong.to_string())
}

/// What the read model knows of a session.
fn known(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    session: &SessionId,
) -> Result<Option<Known>, Problem> {
    let Some(row) = query::sessions::get(snapshot, sight, session)? else {
        return Ok(None);
    };
    let row = row.row()?;
    let ended = |at| Seen::Ended { at };
    let child = row.handed_off_session_id.map(SessionId::parse);
    let state = match (row.status, child) {
        (Status::Active, _) => Seen::Open {
            deadline: row.expires_at,
        },
        (Status::HandedOff, Some(Ok(child))) => Seen::HandedOff {
            at: row.updated_at,
            child,
        },
        (Status::Terminated, _) => ended(row.terminated_at.unwrap_or(row.updated_at)),
        (Status::Expired, _) => ended(row.expires_at.unwrap_or(row.updated_at)),
        (Status::HandedOff, _) => ended(row.updated_at),
    };
    Ok(Some(Known {
        opened_at: row.created_at,
        active_at: row.last_activity_at,
        state,
    }))
}

/// Appends the events of a plan. Returns the spans that were rejected, by the plan or by a verdict.
async fn append(app: &App, caller: &Caller<Write>, plan: Plan) -> Result<Rejected, Problem> {
    let mut rejected = plan.rejected;
    let (mut events, mut counts) = (Vec::new(), Vec::new());
    for planned in plan.conversations {
        counts.push((planned.conversation, planned.spans, planned.events.len()));
        events.extend(planned.events);
    }
    let receipts = emissions::append(app, caller, events).await?;
    let mut receipts = receipts.iter();
    for (conversation, spans, count) in counts {
        let of_conversation = receipts.by_ref().take(count);
        if let Some(reason) = of_conversation.filter_map(refusal).last() {
            let (code, advice) = (reason.code(), reason.advice());
            rejected.add(
                spans,
                &format!("conversation {conversation}: {code}: {advice}"),
            );
        }
    }
    Ok(rejected)
}

/// The reason why an event was rejected, unless another export or another client was first.
fn refusal(receipt: &Receipt) -> Option<Reason> {
    let Verdict::Rejected(reason) = receipt.verdict?.verdict else {
        return None;
    };
    let was_second = matches!(
        reason,
        Reason::AlreadyExists
            | Reason::AlreadyEnded
            | Reason::IdReused
            | Reason::NotActive
            | Reason::SessionExpired
            | Reason::Superseded
    );
    (!was_second).then_some(reason)
}
