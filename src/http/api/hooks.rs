//! `POST /v1/hooks/{runtime}`: appends the events that a call of an agent runtime's hook means.
//!
//! The runtime reads the answer as the output of the hook, so it is an empty object: that changes nothing. A
//! verdict is no problem here, because an agent must not stop for it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::LOCATION;
use axum::response::Response;
use serde_json::{Value, json};

use crate::domain::session::Status;
use crate::domain::{AgentId, Position, ProjectId, Reason};
use crate::hooks::{self, Call, Options, Run, Runtime, Standing, Unread};
use crate::http::api::emissions;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::HookProblems;
use crate::http::request::body::JsonBody;
use crate::http::request::caller::{Caller, Write};
use crate::http::request::extract::{Path, PathParam, Query, QueryParams, Values};
use crate::http::request::json_body;
use crate::http::request::param::AnyParam;
use crate::http::request::params::{HOOK_AGENT, HOOK_PROJECT, HOOK_TTL};
use crate::http::response::body;
use crate::http::response::event_row::location;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::projection::Snapshot;
use crate::query::{self, Sight};

/// The query of a hook: how its sessions look.
#[derive(Debug)]
pub(crate) struct HookQuery(Options);

impl QueryParams for HookQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&HOOK_AGENT, &HOOK_PROJECT, &HOOK_TTL];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        Ok(Self(Options {
            agent: values.parsed(&HOOK_AGENT, AgentId::parse),
            project: values.parsed(&HOOK_PROJECT, ProjectId::parse),
            ttl_seconds: values.number(&HOOK_TTL),
        }))
    }
}

impl PathParam for Runtime {
    const NAME: &'static str = "runtime";
    const ABOUT: &'static str = "The runtime that calls the hook.";
    const COMPONENT: &'static str = "RuntimeInPath";

    fn schema() -> Value {
        let words: Vec<&str> = Self::ALL.iter().map(|runtime| runtime.as_str()).collect();
        json!({"type": "string", "enum": words})
    }

    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = Self::ALL.iter().map(|runtime| runtime.as_str()).collect();
        Self::parse(text).ok_or_else(|| format!("must be one of: {}", words.join(", ")))
    }
}

/// Take a call of a hook
///
/// For runtimes whose hooks can send their JSON over HTTP. Appends the events that the call means, as
/// `session-ledger hook` does, and waits for their verdicts. The answer is an empty object whatever the
/// verdicts are, because the runtime reads it as the output of the hook. A hook that means nothing for a
/// session appends nothing. Of the body, the server keeps ids, times, and the words that say why a session
/// starts or ends and which model it uses. It drops everything else, such as prompts.
#[utoipa::path(
    post,
    path = "/v1/hooks/{runtime}",
    operation_id = "take_hook",
    tag = "events",
    params(Caller<Write>, Path<Runtime>, Query<HookQuery>),
    request_body(
        content = dto::HookInput,
        content_type = "application/json",
        description = "The JSON that the runtime gives to its hook.",
        example = json!({
            "hook_event_name": "UserPromptSubmit",
            "session_id": "7b0b1c5e-6f0e-4f0c-9a0e-3d8f1f2b6a11",
            "prompt_id": "3f0f5a4e-8f38-4a52-9a51-0d6c2a2f7f10",
            "prompt": "add a test",
        }),
    ),
    responses(
        (status = 200, description = "The call was taken", body = dto::HookOutput,
            headers(("Location" = String, description = "The path of the last event, if there is one"))),
        HookProblems,
    )
)]
pub(crate) async fn take(
    State(app): State<App>,
    caller: Caller<Write>,
    Path(runtime): Path<Runtime>,
    Query(HookQuery(options)): Query<HookQuery>,
    JsonBody(input): JsonBody,
) -> Result<Response, Problem> {
    caller.refuse_bound()?;
    let call = match Call::read(runtime, &input, app.now()) {
        Ok(call) => call,
        Err(Unread::UnknownHook(_)) => return Ok(answer(None)),
        Err(Unread::NotAnObject) => return Err(json_body::not_an_object(&input)),
        Err(unread) => return Err(invalid(&unread)),
    };
    let known = app.read(|snapshot| known(snapshot, caller.sight(), &call))?;
    let plan = hooks::plan(&call, known, &options).map_err(|unread| invalid(&unread))?;
    let receipts = emissions::append(&app, &caller, plan.events).await?;
    Ok(answer(receipts.last().map(|receipt| receipt.position)))
}

/// The latest run of a call's session.
fn known(snapshot: &Snapshot, sight: Sight<'_>, call: &Call) -> Result<Run, Problem> {
    let latest = Run::latest(|number| run_of(snapshot, sight, call, number))?;
    Ok(latest.map_or(Run::FIRST, |(_number, run)| run))
}

/// A run of a call's session, as it stands at the time of the call.
fn run_of(
    snapshot: &Snapshot,
    sight: Sight<'_>,
    call: &Call,
    number: u32,
) -> Result<Option<Run>, Problem> {
    let run = Run::numbered(number);
    let Ok(id) = run.session(call.session()) else {
        return Ok(None);
    };
    let Some(row) = query::sessions::get(snapshot, sight, &id)? else {
        return Ok(None);
    };
    let row = row.row()?;
    // A call that was made before the deadline, and arrives late, does not open another run.
    let is_late = row.expires_at.is_some_and(|due| call.at() < due);
    let standing = match row.status_at(call.at()) {
        Status::Active => Standing::Open,
        Status::Expired if !is_late => Standing::Expired,
        Status::Expired | Status::Terminated | Status::HandedOff => Standing::Ended,
    };
    Ok(Some(Run {
        standing,
        since: Some(row.in_status_since(row.status_at(call.at()))),
        ..run
    }))
}

/// The answer: an object that changes nothing in the runtime.
fn answer(last: Option<Position>) -> Response {
    let mut response = body::json_with_status(Success::Ok, &dto::HookOutput {});
    let headers: &mut HeaderMap = response.headers_mut();
    if let Some(position) = last {
        headers.insert(LOCATION, location(position));
    }
    response
}

/// The problem of a call that does not name its hook or its session.
fn invalid(unread: &Unread) -> Problem {
    let not_an_id = "is missing, or no id that the ledger takes";
    let (field, message) = match unread {
        Unread::Name => ("hook_event_name", "must be a text"),
        Unread::Session(field) => (*field, not_an_id),
        Unread::Child => ("agent_id", not_an_id),
        Unread::NotAnObject | Unread::UnknownHook(_) => ("", "must be a JSON object"),
    };
    Problem::new(Code::Event(Reason::Invalid))
        .with_detail(format!("{unread}; nothing was written"))
        .with_error(field, message)
}
