//! Register, update, suspend and revoke agents.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::agent::TRUST_SCORE_MILLI_DEFAULT;
use super::object::Object;
use super::sessions::ANSWER_BYTES;
use super::{agent, agents, request, scope};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::agent::{AgentProfile, AgentTexts};
use crate::domain::command::{AgentChange, NewAgent};
use crate::domain::{AgentId, AgentStatus, Reason, Scopes, TenantId, Timestamp};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::CommandRequest;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::{AgentDone, Revocation};
use crate::projection::KnownAgent;
use crate::wire;

const TYPE_DEFAULT: &str = "worker";
const TRUST_LEVEL_DEFAULT: &str = "authenticated";
const NAME: [&str; 3] = ["display_name", "displayName", "name"];
const TYPE: [&str; 3] = ["agent_type", "agentType", "type"];
const PUBLIC_KEY: [&str; 2] = ["public_key", "publicKey"];
const KEY_ID: [&str; 2] = ["key_id", "keyId"];
const PARENT: [&str; 2] = ["parent_agent_id", "parentAgentId"];
const EXPIRES_AT: [&str; 2] = ["expires_at", "expiresAt"];
/// Fields that only the ledger sets.
const TRUST: [&str; 4] = ["trust_level", "trustLevel", "trust_score", "trustScore"];
/// Fields that no call changes.
const FIXED: [&[&str]; 6] = [&TYPE, &PUBLIC_KEY, &KEY_ID, &PARENT, &EXPIRES_AT, &TRUST];

/// The fields of an agent that a body gives and that a later call may change.
fn changeable(fields: &Fields<'_>) -> Result<AgentProfile, Problem> {
    let display_name = request::boxed(fields, &NAME)?;
    if display_name.as_deref().is_some_and(str::is_empty) {
        return Err(wrong("display_name", "must not be empty"));
    }
    let texts = AgentTexts {
        display_name,
        description: request::boxed(fields, &["description"])?,
        ..AgentTexts::default()
    };
    Ok(AgentProfile {
        texts,
        scopes: scope::read(fields)?,
        metadata: request::metadata(fields)?,
        ..AgentProfile::default()
    })
}

/// Registers an agent.
pub(super) async fn register(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let given = changeable(&fields)?;
    if given.texts.display_name.is_none() {
        return Err(wrong("display_name", "is required"));
    }
    let text = |names: &[&str]| request::boxed(&fields, names);
    let texts = AgentTexts {
        agent_type: text(&TYPE)?.or_else(|| Some(TYPE_DEFAULT.into())),
        trust_level: Some(TRUST_LEVEL_DEFAULT.into()),
        public_key: text(&PUBLIC_KEY)?,
        key_id: text(&KEY_ID)?,
        parent_agent_id: text(&PARENT)?,
        ..given.texts
    };
    let profile = AgentProfile {
        texts,
        // Without a list of its own the ledger would set no bound.
        scopes: given.scopes.or_else(|| Some(Scopes::default())),
        trust_score_milli: Some(TRUST_SCORE_MILLI_DEFAULT),
        expires_at: expires_at(&fields)?,
        ..given
    };
    let (by, new) = (command.by(), NewAgent { id: None, profile });
    let done = app.commands().register_agent(by, new).await?;
    answer(&app, &command, &done, Success::Created)
}

fn expires_at(fields: &Fields<'_>) -> Result<Option<Timestamp>, Problem> {
    let text = request::text(fields, &EXPIRES_AT)?;
    let time = text.map(|text| wire::time(&text)).transpose();
    time.map_err(|error| wrong("expires_at", error.to_string()))
}

/// Changes what the body names: some fields, the status, or both, one after the other.
pub(super) async fn update(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    refuse_fixed(&fields)?;
    let changes = changeable(&fields)?;
    let to = status(&fields)?;
    let mut steps = Vec::with_capacity(2);
    if changes != AgentProfile::default() {
        steps.push(AgentChange::Update(Box::new(changes)));
    }
    steps.extend(to);
    if steps.is_empty() {
        let message =
            "must name at least one of: display_name, description, metadata, scopes, status";
        return Err(wrong("", message));
    }
    let mut undecided = None;
    for (number, change) in steps.into_iter().enumerate() {
        // The second step follows even if the first has no verdict yet: the log keeps the order.
        let taken = step(&app, &command, &id, change).await;
        let taken = match number {
            0 => taken?,
            _ => taken.map_err(half_done)?,
        };
        undecided = taken.or(undecided);
    }
    if let Some(done) = undecided {
        return Ok(pending(&done));
    }
    let known = agents::find(&app, command.sight(), &id).map_err(change::after_writing)?;
    agents::answer(command.tenant(), &known).map_err(change::after_writing)
}

/// Takes a step of an update. Returns the step if it has no verdict yet.
async fn step(
    app: &App,
    command: &CommandRequest,
    id: &AgentId,
    change: AgentChange,
) -> Result<Option<AgentDone>, Problem> {
    let done = give(app, command, id, change).await?;
    match change::stepped_agent(app, command, &done) {
        Ok(stepped) => Ok(stepped.is_none().then_some(done)),
        // The agent is already active, as requested.
        Err(problem) if problem.code() == Code::Event(Reason::NotSuspended) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Converts a failure of the second step, while the first is on the log.
fn half_done(problem: Problem) -> Problem {
    let detail = format!(
        "the change of the fields is on the log; that of the status is not made, or not confirmed: {}",
        problem.detail()
    );
    let is_of_server = problem.code().status().is_server_error();
    let problem = if is_of_server {
        Problem::new(Code::Unconfirmed)
    } else {
        problem
    };
    problem.with_detail(detail)
}

pub(super) async fn suspend(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let reason = request::reason(&Fields::parse(&command.body)?)?;
    end(&app, &command, &id, AgentChange::Suspend { reason }).await
}

pub(super) async fn revoke(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let reason = request::reason(&Fields::parse(&command.body)?)?;
    end(&app, &command, &id, AgentChange::Revoke { reason }).await
}

/// Suspends or revokes an agent.
async fn end(
    app: &App,
    command: &CommandRequest,
    id: &AgentId,
    change: AgentChange,
) -> Result<Response, Problem> {
    let done = give(app, command, id, change).await?;
    answer(app, command, &done, Success::Ok)
}

/// Rejects fields that no call changes. Otherwise the caller would believe that they changed.
fn refuse_fixed(fields: &Fields<'_>) -> Result<(), Problem> {
    let mut names = FIXED.into_iter().flatten();
    match names.find(|name| fields.raw(name).is_some()) {
        Some(name) => Err(wrong(name, "cannot be changed by this API")),
        None => Ok(()),
    }
}

/// The step that leads to the status in a body.
fn status(fields: &Fields<'_>) -> Result<Option<AgentChange>, Problem> {
    let Some(word) = fields.text("status")? else {
        return Ok(None);
    };
    let reason = None;
    match word.parse() {
        Ok(AgentStatus::Active) => Ok(Some(AgentChange::Reinstate { reason })),
        Ok(AgentStatus::Suspended) => Ok(Some(AgentChange::Suspend { reason })),
        Ok(AgentStatus::Revoked) | Err(_) => {
            Err(wrong("status", "must be one of: active, suspended"))
        }
    }
}

pub(super) async fn give(
    app: &App,
    command: &CommandRequest,
    id: &AgentId,
    change: AgentChange,
) -> Result<AgentDone, Problem> {
    let done = app.commands().change_agent(command.by(), id, change);
    Ok(done.await?)
}

fn answer(
    app: &App,
    command: &CommandRequest,
    done: &AgentDone,
    if_now: Success,
) -> Result<Response, Problem> {
    let Some(stepped) = change::stepped_agent(app, command, done)? else {
        return Ok(pending(done));
    };
    let (tenant, agent) = (command.tenant(), &stepped.agent);
    if let Some(revocation) = done.revocation {
        return revoked(tenant, agent, revocation).map_err(change::after_writing);
    }
    let mut response = agents::answer(tenant, agent).map_err(change::after_writing)?;
    if !stepped.before {
        *response.status_mut() = if_now.into();
    }
    Ok(response)
}

/// The answer to a revocation: the agent, and how its sessions ended.
fn revoked(
    tenant: &TenantId,
    agent: &KnownAgent,
    revocation: Revocation,
) -> Result<Response, Problem> {
    let mut out = Json::with_capacity(ANSWER_BYTES);
    let mut object = Object::begin(&mut out);
    agent::write_members(&mut object, tenant, agent)?;
    let status = write_revocation(&mut object, Some(revocation));
    object.end();
    let mut response = body::json(out.into_bytes());
    *response.status_mut() = status.into();
    Ok(response)
}

/// Writes how the sessions of a revoked agent ended. Returns the status of the answer.
pub(super) fn write_revocation(object: &mut Object<'_>, revocation: Option<Revocation>) -> Success {
    let ended_sessions = revocation.map_or(0, |revocation| revocation.ended_sessions);
    let settled_position = revocation.and_then(|revocation| revocation.settled_position);
    object.value("terminated_sessions", &ended_sessions);
    object.value("settled_position", &settled_position);
    match settled_position {
        Some(_) => Success::Ok,
        None => Success::Accepted,
    }
}

/// The answer while the step is on the log and has no verdict yet.
fn pending(done: &AgentDone) -> Response {
    body::json_with_status(Success::Accepted, &pending_shape(done))
}

pub(super) fn pending_shape(done: &AgentDone) -> Value {
    json!({
        "id": done.agent,
        "agent_id": done.agent,
        "agentId": done.agent,
        "status": "pending",
        "position": done.receipt.position,
    })
}
