//! Register, update, suspend and revoke agents.

use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::agent::TRUST_SCORE_DEFAULT;
use super::request::{self, Data};
use super::{agents, scope};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::{AgentId, AgentStatus, Reason};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::command::Command;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::{AgentChange, AgentDone};

const TYPE_DEFAULT: &str = "worker";
const TRUST_LEVEL_DEFAULT: &str = "authenticated";
const NAME: [&str; 3] = ["display_name", "displayName", "name"];
const TYPE: [&str; 3] = ["agent_type", "agentType", "type"];
const PUBLIC_KEY: [&str; 2] = ["public_key", "publicKey"];
const KEY_ID: [&str; 2] = ["key_id", "keyId"];
const PARENT: [&str; 2] = ["parent_agent_id", "parentAgentId"];
const EXPIRES_AT: [&str; 2] = ["expires_at", "expiresAt"];
/// Of these the ledger alone speaks.
const TRUST: [&str; 4] = ["trust_level", "trustLevel", "trust_score", "trustScore"];
/// Fields that no call changes.
const FIXED: [&[&str]; 6] = [&TYPE, &PUBLIC_KEY, &KEY_ID, &PARENT, &EXPIRES_AT, &TRUST];

/// What a body says of an agent that may change later.
struct Told<'a> {
    display_name: Option<&'a str>,
    description: Option<&'a str>,
    scopes: Option<Vec<String>>,
    metadata: Option<&'a RawValue>,
}

impl<'a> Told<'a> {
    fn read(fields: &'a Fields, body: &'a [u8]) -> Result<Self, Problem> {
        let display_name = request::text(fields, &NAME)?;
        if display_name.is_some_and(str::is_empty) {
            return Err(wrong("display_name", "must not be empty"));
        }
        Ok(Self {
            display_name,
            description: fields.text("description")?,
            scopes: scope::read(fields)?,
            metadata: request::raw(body, "metadata"),
        })
    }

    fn add_to(self, data: Data) -> Data {
        data.with("display_name", self.display_name)
            .with("description", self.description)
            .with("scopes", self.scopes)
            .with("metadata", self.metadata)
    }
}

/// Registers an agent.
pub(super) async fn register(
    State(app): State<App>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let mut told = Told::read(&fields, &command.body)?;
    if told.display_name.is_none() {
        return Err(wrong("display_name", "is required"));
    }
    // Without a list of its own the ledger would set no bound.
    told.scopes.get_or_insert_default();
    let text = |names: &[&str]| request::text(&fields, names);
    let agent_type = text(&TYPE)?.unwrap_or(TYPE_DEFAULT);
    let data = Data::default().with("agent_type", Some(agent_type));
    let data = told
        .add_to(data)
        .with("trust_level", Some(TRUST_LEVEL_DEFAULT))
        .with("trust_score", Some(TRUST_SCORE_DEFAULT))
        .with("public_key", text(&PUBLIC_KEY)?)
        .with("key_id", text(&KEY_ID)?)
        .with("parent_agent_id", text(&PARENT)?)
        .with("expires_at", text(&EXPIRES_AT)?)
        .into_bytes();
    let done = app.commands().register(command.by(), &data).await?;
    answer(&app, &command, &done, Success::Created)
}

/// Changes what the body names: some fields, the status, or both, one after the other.
pub(super) async fn update(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    refuse_fixed(&fields)?;
    let changes = Told::read(&fields, &command.body)?.add_to(Data::default());
    let to = status(&fields)?;
    let mut steps = Vec::with_capacity(2);
    if !changes.is_empty() {
        steps.push((AgentChange::Update, changes.into_bytes()));
    }
    steps.extend(to.map(|change| (change, request::reason(None))));
    if steps.is_empty() {
        let message =
            "must name at least one of: display_name, description, metadata, scopes, status";
        return Err(wrong("", message));
    }
    let mut undecided = None;
    for (number, (change, data)) in steps.into_iter().enumerate() {
        // Also where the one before has no verdict in time: the log keeps the order.
        let taken = step(&app, &command, change, &id, &data).await;
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

/// Takes a step of an update. What has no verdict yet is returned.
async fn step(
    app: &App,
    command: &Command,
    change: AgentChange,
    id: &AgentId,
    data: &[u8],
) -> Result<Option<AgentDone>, Problem> {
    let done = give(app, command, change, id, data).await?;
    match change::stepped_agent(app, command, &done) {
        Ok(stepped) => Ok(stepped.is_none().then_some(done)),
        // It is as it should be.
        Err(problem) if problem.code() == Code::Event(Reason::NotSuspended) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What a failure of the second step is: the first is on the log.
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
    end(&app, &command, AgentChange::Suspend, &id).await
}

pub(super) async fn revoke(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    end(&app, &command, AgentChange::Revoke, &id).await
}

/// Keeps an agent from acting, for a reason that need not be told.
async fn end(
    app: &App,
    command: &Command,
    change: AgentChange,
    id: &AgentId,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let data = request::reason(fields.text("reason")?);
    let done = give(app, command, change, id, &data).await?;
    answer(app, command, &done, Success::Ok)
}

/// Whoever names a field that cannot be changed must learn that it is not.
fn refuse_fixed(fields: &Fields) -> Result<(), Problem> {
    let mut names = FIXED.into_iter().flatten();
    match names.find(|name| fields.value(name).is_some()) {
        Some(name) => Err(wrong(name, "cannot be changed by this API")),
        None => Ok(()),
    }
}

/// The status that a body asks for, as the step that leads there.
fn status(fields: &Fields) -> Result<Option<AgentChange>, Problem> {
    let Some(word) = fields.text("status")? else {
        return Ok(None);
    };
    match AgentStatus::parse(word) {
        Some(AgentStatus::Active) => Ok(Some(AgentChange::Reinstate)),
        Some(AgentStatus::Suspended) => Ok(Some(AgentChange::Suspend)),
        Some(AgentStatus::Revoked) | None => {
            Err(wrong("status", "must be one of: active, suspended"))
        }
    }
}

pub(super) async fn give(
    app: &App,
    command: &Command,
    change: AgentChange,
    id: &AgentId,
    data: &[u8],
) -> Result<AgentDone, Problem> {
    let done = app
        .commands()
        .change_agent(command.by(), change, id.clone(), data);
    Ok(done.await?)
}

fn answer(
    app: &App,
    command: &Command,
    done: &AgentDone,
    if_now: Success,
) -> Result<Response, Problem> {
    let Some(stepped) = change::stepped_agent(app, command, done)? else {
        return Ok(pending(done));
    };
    let answer = agents::answer(command.tenant(), &stepped.agent);
    let mut response = answer.map_err(change::after_writing)?;
    if !stepped.before {
        *response.status_mut() = if_now.into();
    }
    Ok(response)
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
        "position": done.outcome.position,
    })
}
