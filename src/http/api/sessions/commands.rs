//! Commands that create, refresh, hand off and terminate sessions. Each becomes one event, and its
//! answer is the fold's verdict.

use axum::extract::State;
use axum::response::Response;

use crate::domain::SessionId;
use crate::http::api::sessions::scope_detail::WantedScopes;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::{
    CreateProblems, HandOffProblems, RefreshProblems, TerminateProblems,
};
use crate::http::request::command::CommandRequest;
use crate::http::request::extract::Path;
use crate::http::response::command as answer;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::ClientKind;

/// Create a session
///
/// Creates a session for a known agent that may act. The scopes must be within those of the agent.
/// Without `scopes` the session gets the scopes of the agent, or none if the agent has no list. The body
/// has the fields of `session.created`, and `session_id` to choose the id. Only this answer shows the
/// tokens.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions",
    operation_id = "create_session",
    tag = "sessions",
    params(CommandRequest),
    request_body(
        content = dto::CreateSession,
        content_type = "application/json",
        description = "The fields of `session.created`, and `session_id`.",
        example = json!({"agent_id": "agent-7", "scopes": ["files:read"], "ttl_seconds": 3600}),
    ),
    responses(
        (status = 201, description = "The session is active", body = dto::SessionTokens),
        (status = 200, description = "A retry: the session was created before",
            body = dto::SessionTokens),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        CreateProblems,
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let new = command.new_session()?;
    let wanted = WantedScopes::new(&new.created.agent_id, new.created.scopes.as_ref());
    let done = app.commands();
    let done = done.create(command.by(), new, ClientKind::Full).await?;
    let (sight, about) = (command.sight(), done.session.clone());
    answer::session(&app, sight, &about, done, Success::Created)
        .map_err(|problem| wanted.named(&app, &command, None, problem))
}

/// Refresh a session
///
/// Takes the latest refresh token and replaces both tokens. If two requests race with the same token,
/// the second gets a 409 `token_stale`. The deadline moves to the time to live of the session from now,
/// unless the body has `ttl_seconds` or `expires_at`. `phase` and `metadata` (a merge patch) may change
/// as well.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions/{id}/refresh",
    operation_id = "refresh_session",
    tag = "sessions",
    params(CommandRequest, Path<SessionId>),
    request_body(
        content = dto::RefreshSession,
        content_type = "application/json",
        description = "`refresh_token`, and fields of `session.refreshed`.",
        example = json!({"refresh_token": "slrt_..."}),
    ),
    responses(
        (status = 200, description = "The session has new tokens", body = dto::SessionTokens),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        RefreshProblems,
    )
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let refresh = command.refresh()?;
    let done = app.commands().refresh(command.by(), &id, refresh).await?;
    answer::session(&app, command.sight(), &id, done, Success::Ok)
}

/// Hand a session off
///
/// Ends the session and creates its child for another agent, in one event: at every moment, exactly one
/// of them is active. The child has no scopes beyond those of its parent, and no later deadline. The
/// answer has the child and its tokens. A suspended agent cannot hand off a session.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions/{id}/handoff",
    operation_id = "hand_off_session",
    tag = "sessions",
    params(CommandRequest, Path<SessionId>),
    request_body(
        content = dto::HandOffSession,
        content_type = "application/json",
        description = "The fields of `session.handed_off`. Without `session_id` the server makes an id \
                       for the child.",
        example = json!({"to_agent_id": "agent-8", "scopes": ["files:read"]}),
    ),
    responses(
        (status = 201, description = "The child is active", body = dto::SessionTokens),
        (status = 200, description = "A retry: the session was created before",
            body = dto::SessionTokens),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        HandOffProblems,
    )
)]
pub(crate) async fn hand_off(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let hand_off = command.hand_off()?;
    let wanted = WantedScopes::new(&hand_off.to, hand_off.scopes.as_ref());
    let done = app.commands().hand_off(command.by(), &id, hand_off).await?;
    let sight = command.sight();
    answer::session(&app, sight, &id, done, Success::Created)
        .map_err(|problem| wanted.named(&app, &command, Some(&id), problem))
}

/// Terminate a session
///
/// Ends the session; its tokens are no longer active. If the session was terminated before, the answer
/// has the session with the time of the first termination. If it ended otherwise, the answer is a 409.
/// With the outcome `deleted`, an ended session gets `deleted_at`, and its status stays.
#[utoipa::path(
    delete,
    path = "/v1/agent-sessions/{id}",
    operation_id = "terminate_session",
    tag = "sessions",
    params(CommandRequest, Path<SessionId>),
    request_body(
        content = Option<dto::TerminateSession>,
        content_type = "application/json",
        description = "The fields of `session.terminated`: `reason` and `outcome`. Optional.",
        example = json!({"reason": "the work is done", "outcome": "completed"}),
    ),
    responses(
        (status = 200, description = "The session has ended", body = dto::SessionEnded),
        (status = 202, description = "The command is on the log and not done yet", body = dto::CommandPending),
        TerminateProblems,
    )
)]
pub(crate) async fn terminate(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: CommandRequest,
) -> Result<Response, Problem> {
    let terminate = command.terminate()?;
    let done = app.commands();
    let done = done.terminate(command.by(), &id, terminate).await?;
    answer::session(&app, command.sight(), &id, done, Success::Ok)
}
