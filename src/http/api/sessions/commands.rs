//! Commands that create, refresh, hand off and terminate sessions. Each becomes one event, and its
//! answer is the fold's verdict.

use axum::extract::State;
use axum::response::Response;

use crate::domain::SessionId;
use crate::http::api::sessions::scope_detail::Asked;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::CommandProblems;
use crate::http::request::command::Command;
use crate::http::request::extract::Path;
use crate::http::response::command as answer;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::TokenPolicy;

/// Create a session
///
/// Opens a session for an agent that is known, may act, and may do what `scopes` says; without
/// `scopes` the session gets the list of its agent, which is empty if the agent has none. The body has the data of `session.created`, and
/// `session_id` if you want to choose the id. The tokens in the answer are shown this once.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions",
    operation_id = "create_session",
    tag = "sessions",
    params(Command),
    request_body(
        content = dto::CreateSession,
        content_type = "application/json",
        description = "Data of `session.created`, and `session_id`.",
        example = json!({"agent_id": "agent-7", "scopes": ["files:read"], "ttl_seconds": 3600}),
    ),
    responses(
        (status = 201, description = "It is open", body = dto::SessionTokens),
        (status = 200, description = "It was opened by the same command before",
            body = dto::SessionTokens),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn create(State(app): State<App>, command: Command) -> Result<Response, Problem> {
    let new = command.new_session()?;
    let asked = Asked::new(&new.created.agent_id, new.created.scopes.as_ref());
    let done = app.commands();
    let done = done.create(command.by(), new, TokenPolicy::Issue).await?;
    let (sight, about) = (command.sight(), done.session.clone());
    answer::session(&app, sight, &about, done, Success::Created)
        .map_err(|problem| asked.named(&app, &command, None, problem))
}

/// Refresh a session
///
/// Takes the latest refresh token and replaces both tokens: of two that race with the same one, the
/// second is a 409 `token_stale`. The deadline moves to the session's time to live from now, unless
/// the body says `ttl_seconds` or `expires_at`. `phase` and `metadata` (a merge patch) may change as
/// well.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions/{id}/refresh",
    operation_id = "refresh_session",
    tag = "sessions",
    params(Command, Path<SessionId>),
    request_body(
        content = dto::RefreshSession,
        content_type = "application/json",
        description = "`refresh_token`, and data of `session.refreshed`.",
        example = json!({"refresh_token": "slrt_..."}),
    ),
    responses(
        (status = 200, description = "It goes on", body = dto::SessionTokens),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: Command,
) -> Result<Response, Problem> {
    let refresh = command.refresh()?;
    let done = app.commands().refresh(command.by(), &id, refresh).await?;
    answer::session(&app, command.sight(), &id, done, Success::Ok)
}

/// Hand a session off
///
/// Ends the session and opens its child for another agent, in one event: there is no moment with
/// both or neither. The child may do no more than its parent, and opens with no later deadline. The
/// answer shows the child and its tokens. A suspended agent hands nothing off.
#[utoipa::path(
    post,
    path = "/v1/agent-sessions/{id}/handoff",
    operation_id = "hand_off_session",
    tag = "sessions",
    params(Command, Path<SessionId>),
    request_body(
        content = dto::HandOffSession,
        content_type = "application/json",
        description = "Data of `session.handed_off`; an id for the child is made unless \
                       `session_id` gives it.",
        example = json!({"to_agent_id": "agent-8", "scopes": ["files:read"]}),
    ),
    responses(
        (status = 201, description = "The child is open", body = dto::SessionTokens),
        (status = 200, description = "It was opened by the same command before",
            body = dto::SessionTokens),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn hand_off(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: Command,
) -> Result<Response, Problem> {
    let hand_off = command.hand_off()?;
    let asked = Asked::new(&hand_off.to, hand_off.scopes.as_ref());
    let done = app.commands().hand_off(command.by(), &id, hand_off).await?;
    let sight = command.sight();
    answer::session(&app, sight, &id, done, Success::Created)
        .map_err(|problem| asked.named(&app, &command, Some(&id), problem))
}

/// Terminate a session
///
/// Ends the session; its tokens are good for nothing from then on. A session that was terminated
/// before is answered as it is, with the first time; one that ended otherwise is a 409. With the
/// outcome `deleted`, a session that has ended in any way is deleted: it gets `deleted_at` and stays
/// as it ended.
#[utoipa::path(
    delete,
    path = "/v1/agent-sessions/{id}",
    operation_id = "terminate_session",
    tag = "sessions",
    params(Command, Path<SessionId>),
    request_body(
        content = Option<dto::TerminateSession>,
        content_type = "application/json",
        description = "Data of `session.terminated`: `reason` and `outcome`. May be left out.",
        example = json!({"reason": "the work is done", "outcome": "completed"}),
    ),
    responses(
        (status = 200, description = "It has ended", body = dto::SessionEnded),
        (status = 202, description = "Kept on the log, no verdict yet", body = dto::CommandPending),
        CommandProblems,
    )
)]
pub(crate) async fn terminate(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    command: Command,
) -> Result<Response, Problem> {
    let terminate = command.terminate()?;
    let done = app.commands();
    let done = done.terminate(command.by(), &id, terminate).await?;
    answer::session(&app, command.sight(), &id, done, Success::Ok)
}
