//! The binding HTTP+JSON: one route for each call.

use axum::extract::State;
use axum::response::Response;

use super::failure::Failure;
use super::list;
use super::request::ListTasks;
use super::tasks;
use super::version::Version;
use crate::dialects::sdk::change::Change;
use crate::domain::SessionId;
use crate::http::request::caller::{Anyone, Caller, Read};
use crate::http::request::extract::{LenientQuery, Path, PathParam};
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::lookup::session_not_found;
use crate::http::response::success::Success;
use crate::http::state::App;

/// The media type of A2A's answers.
const MEDIA_TYPE: &str = "application/a2a+json";
const CANCEL: &str = ":cancel";
const SUBSCRIBE: &str = ":subscribe";

/// `GET /tasks`.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    _version: Version,
    LenientQuery(query): LenientQuery<ListTasks>,
) -> Result<Response, Failure> {
    let listed = list::answer(&app, caller.principal(), query).await?;
    Ok(answer(Success::Ok, listed))
}

/// `GET /tasks/{id}`.
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    _version: Version,
    Path(id): Path<SessionId>,
) -> Result<Response, Failure> {
    match tasks::get(&app, caller.principal(), &id).await {
        // A2A's documents subscribe by GET, its clients by POST.
        Err(_missing) if id.as_str().ends_with(SUBSCRIBE) => Err(Failure::NoRuntime),
        task => Ok(answer(Success::Ok, task?)),
    }
}

/// `POST /tasks/{id}:cancel`, and other verbs.
pub(super) async fn act(
    State(app): State<App>,
    version: Result<Version, Failure>,
    Path(action): Path<Action>,
    Change(command): Change,
) -> Result<Response, Failure> {
    let _version = version?;
    match action {
        Action::Cancel(id) => {
            let (success, task) = tasks::cancel(&app, &command, &id).await?;
            Ok(answer(success, task))
        }
        Action::Subscribe => Err(Failure::NoRuntime),
        Action::Missing => Err(session_not_found().into()),
    }
}

/// Answers the calls that only an agent can serve.
pub(super) async fn runtime(_caller: Caller<Anyone>, _version: Version) -> Failure {
    Failure::NoRuntime
}

/// Answers the calls about push notifications.
pub(super) async fn push(_caller: Caller<Anyone>, _version: Version) -> Failure {
    Failure::NoPush
}

fn answer(success: Success, body: Json) -> Response {
    let mut response = body::typed(MEDIA_TYPE, body.into_bytes());
    *response.status_mut() = success.into();
    response
}

/// What a `POST` to a task asks for.
#[derive(Debug)]
pub(super) enum Action {
    Cancel(SessionId),
    Subscribe,
    /// There is no such verb, or the id is that of no session.
    Missing,
}

impl PathParam for Action {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The id of the task, a colon and a verb.";

    fn parse(text: &str) -> Result<Self, String> {
        // An id may hold colons too.
        let cancel = text.strip_suffix(CANCEL).map(SessionId::parse);
        Ok(match cancel {
            Some(Ok(id)) => Self::Cancel(id),
            None if text.ends_with(SUBSCRIBE) => Self::Subscribe,
            Some(Err(_)) | None => Self::Missing,
        })
    }
}
