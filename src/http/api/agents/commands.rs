//! Commands that register, update, suspend, reinstate and revoke agents. Each becomes one event,
//! and its answer is the fold's verdict.

use axum::extract::State;
use axum::response::Response;

use crate::domain::AgentId;
use crate::domain::command::AgentChange;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::{
    RegisterProblems, ReinstateProblems, RevokeProblems, SuspendProblems, UpdateProblems,
};
use crate::http::request::command::CommandRequest;
use crate::http::request::extract::Path;
use crate::http::response::command as answer;
use crate::http::response::success::Success;
use crate::http::state::App;

/// Register an agent
///
/// Registers an agent, or fills in one that only sessions have named so far. The body has the fields of
/// `agent.registered`, and `agent_id` to choose the id.
#[utoipa::path(
    post,
    path = "/v1/agents",
    operation_id = "register_agent",
    tag = "agents",
    params(CommandRequest),
    request_body(
        content = Option<dto::RegisterAgent>,
        content_type = "application/json",
        description = "The fields of `agent.registered`, and `agent_id`. Optional.",
        example = json!({
            "agent_id": "agent-7", "agent_type": "worker", "display_name": "Seven",
            "scopes": ["files:*"], "trust_level": "authenticated"
        }),
    ),
    responses(
        (status = 201, description = "The agent is registered", body = dto::AgentChanged),
        (status = 200, description = "A retry: the agent was registered before",
            body = dto::AgentChanged),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        RegisterProblems,
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let new = command.new_agent()?;
    let done = app.commands().register_agent(command.by(), new).await?;
    answer::agent(&app, command.sight(), &done, Success::Created)
}

/// Update an agent
///
/// Changes the fields that the body names. It replaces `metadata` and `scopes` as a whole. Narrower
/// scopes hold for sessions that are created from now on.
#[utoipa::path(
    patch,
    path = "/v1/agents/{id}",
    operation_id = "update_agent",
    tag = "agents",
    params(CommandRequest, Path<AgentId>),
    request_body(
        content = dto::UpdateAgent,
        content_type = "application/json",
        description = "At least one field of `agent.updated`.",
        example = json!({"trust_level": "verified_org"}),
    ),
    responses(
        (status = 200, description = "The agent is changed", body = dto::AgentChanged),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        UpdateProblems,
    )
)]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let change = AgentChange::Update(Box::new(command.agent_update()?));
    give(&app, &command, &id, change).await
}

/// Suspend an agent
///
/// Until the agent is reinstated, it cannot create, take over or hand off sessions, and the tokens of its
/// sessions are not active. The sessions stay. If the agent was suspended before, the answer has the
/// agent unchanged.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/suspend",
    operation_id = "suspend_agent",
    tag = "agents",
    params(CommandRequest, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "The field of `agent.suspended`: `reason`. Optional.",
    ),
    responses(
        (status = 200, description = "The agent is suspended", body = dto::AgentChanged),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        SuspendProblems,
    )
)]
pub(crate) async fn suspend(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    set_status(&app, &command, &id, |reason| AgentChange::Suspend {
        reason,
    })
    .await
}

/// Reinstate an agent
///
/// The suspended agent may act again, and the tokens of its active sessions are active again. If the
/// agent is not suspended, the answer is a 409.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/reinstate",
    operation_id = "reinstate_agent",
    tag = "agents",
    params(CommandRequest, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "The field of `agent.reinstated`: `reason`. Optional.",
    ),
    responses(
        (status = 200, description = "The agent may act again", body = dto::AgentChanged),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        ReinstateProblems,
    )
)]
pub(crate) async fn reinstate(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    set_status(&app, &command, &id, |reason| AgentChange::Reinstate {
        reason,
    })
    .await
}

/// Revoke an agent
///
/// Ends the agent for good. The tokens of its sessions are no longer active, and the ledger
/// terminates its active sessions with the outcome `revoked` before it answers. If the agent was revoked
/// before, the answer is about the first revocation.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/revoke",
    operation_id = "revoke_agent",
    tag = "agents",
    params(CommandRequest, Path<AgentId>),
    request_body(
        content = Option<dto::ChangeAgent>,
        content_type = "application/json",
        description = "The field of `agent.revoked`: `reason`. Optional.",
    ),
    responses(
        (status = 200, description = "The agent is revoked", body = dto::AgentChanged),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        RevokeProblems,
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    set_status(&app, &command, &id, |reason| AgentChange::Revoke { reason }).await
}

/// Answers a command whose body has only a reason.
async fn set_status(
    app: &App,
    command: &CommandRequest,
    id: &AgentId,
    change: impl FnOnce(Option<Box<str>>) -> AgentChange,
) -> Result<Response, Problem> {
    give(app, command, id, change(command.agent_reason()?)).await
}

async fn give(
    app: &App,
    command: &CommandRequest,
    id: &AgentId,
    change: AgentChange,
) -> Result<Response, Problem> {
    let done = app
        .commands()
        .change_agent(command.by(), id, change)
        .await?;
    answer::agent(app, command.sight(), &done, Success::Ok)
}
