//! Commands that register, update, suspend, reinstate and revoke agents. Each becomes one event,
//! and its answer is the fold's verdict.

use axum::extract::State;
use axum::response::Response;

use crate::domain::AgentId;
use crate::domain::command::AgentChange;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::CommandProblems;
use crate::http::request::command::Command;
use crate::http::request::extract::Path;
use crate::http::response::command as answer;
use crate::http::response::success::Success;
use crate::http::state::App;

/// Register an agent
///
/// Makes an agent known, or fills in one that only sessions spoke of so far. The body has the data
/// of `agent.registered`, and `agent_id` if you want to choose the id.
#[utoipa::path(
    post,
    path = "/v1/agents",
    operation_id = "register_agent",
    tag = "agents",
    params(Command),
    request_body(
        content = Option<dto::RegisterAgent>,
        content_type = "application/json",
        description = "Data of `agent.registered`, and `agent_id`.",
        example = json!({
            "agent_id": "agent-7", "agent_type": "worker", "display_name": "Seven",
            "scopes": ["files:*"], "trust_level": "authenticated"
        }),
    ),
    responses(
        (status = 201, description = "It is registered", body = dto::AgentChanged),
        (status = 200, description = "It was registered by the same command before",
            body = dto::AgentChanged),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    command: Command,
) -> Result<Response, Problem> {
    let new = command.new_agent()?;
    let done = app.commands().register_agent(command.by(), new).await?;
    answer::agent(&app, command.sight(), &done, Success::Created)
}

/// Update an agent
///
/// Changes the fields that the body names and leaves the others; `metadata` and `scopes` are
/// replaced whole. Narrower scopes hold for sessions that open from now on.
#[utoipa::path(
    patch,
    path = "/v1/agents/{id}",
    operation_id = "update_agent",
    tag = "agents",
    params(Command, Path<AgentId>),
    request_body(
        content = dto::UpdateAgent,
        content_type = "application/json",
        description = "Data of `agent.updated`: at least one field.",
        example = json!({"trust_level": "verified_org"}),
    ),
    responses(
        (status = 200, description = "It is changed", body = dto::AgentChanged),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: Command,
) -> Result<Response, Problem> {
    let change = AgentChange::Update(Box::new(command.agent_update()?));
    give(&app, &command, &id, change).await
}

/// Suspend an agent
///
/// Until it is reinstated the agent opens no session and takes none over, and tokens of its sessions
/// are good for nothing. The sessions stay. An agent that is suspended already is answered as it is.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/suspend",
    operation_id = "suspend_agent",
    tag = "agents",
    params(Command, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "Data of `agent.suspended`: `reason`. May be left out.",
    ),
    responses(
        (status = 200, description = "It is suspended", body = dto::AgentChanged),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn suspend(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: Command,
) -> Result<Response, Problem> {
    let reason = command.agent_reason()?;
    give(&app, &command, &id, AgentChange::Suspend { reason }).await
}

/// Reinstate an agent
///
/// A suspended agent may act again, and tokens of its open sessions count again. Of one that is not
/// suspended it is a 409.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/reinstate",
    operation_id = "reinstate_agent",
    tag = "agents",
    params(Command, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "Data of `agent.reinstated`: `reason`. May be left out.",
    ),
    responses(
        (status = 200, description = "It may act again", body = dto::AgentChanged),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn reinstate(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: Command,
) -> Result<Response, Problem> {
    let reason = command.agent_reason()?;
    give(&app, &command, &id, AgentChange::Reinstate { reason }).await
}

/// Revoke an agent
///
/// Ends the agent for good: tokens of its sessions are good for nothing from then on, and the ledger
/// terminates its open sessions with the outcome `revoked` within moments. An agent that was revoked
/// before is answered as it is, with the first time.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/revoke",
    operation_id = "revoke_agent",
    tag = "agents",
    params(Command, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "Data of `agent.revoked`: `reason`. May be left out.",
    ),
    responses(
        (status = 200, description = "It is revoked", body = dto::AgentChanged),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: Command,
) -> Result<Response, Problem> {
    let reason = command.agent_reason()?;
    give(&app, &command, &id, AgentChange::Revoke { reason }).await
}

async fn give(
    app: &App,
    command: &Command,
    id: &AgentId,
    change: AgentChange,
) -> Result<Response, Problem> {
    let done = app
        .commands()
        .change_agent(command.by(), id, change)
        .await?;
    answer::agent(app, command.sight(), &done, Success::Ok)
}
