//! Create, refresh, hand off and terminate sessions.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::Response;

use super::object::Object;
use super::request::{self, TTL_SECONDS_MAX};
use super::sessions::ANSWER_BYTES;
use super::{scope, session};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::command::{HandOff, NewSession, PresentedToken, Refresh, Terminate};
use crate::domain::event::{Created, Deadline, Refreshed, Renewal};
use crate::domain::limits::{LOG_APPEND_WAIT_MS, TEXT_CHARS_MAX};
use crate::domain::session::Profile;
use crate::domain::time::SECOND_US;
use crate::domain::{SessionId, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::command::CommandRequest;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::lookup;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::SessionDone;
use crate::ledger::{ClientKind, Tokens};
use crate::projection::SessionRow;

const TTL_SECONDS_DEFAULT: u64 = 60 * 60;
const AGENT: [&str; 2] = ["agent_id", "agentId"];
const TARGET: [&str; 4] = [
    "target_agent_id",
    "targetAgentId",
    "to_agent_id",
    "toAgentId",
];

/// Opens a session.
pub(super) async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let ttl_seconds = request::ttl_seconds(&fields)?;
    // A retry must make an equal event, even if the client was updated after its first attempt. So
    // an event that a client can retry has no user agent.
    let may_be_sent_again = command.by().retry.is_some();
    let user_agent = user_agent(&headers).filter(|_| !may_be_sent_again);
    let ttl_seconds = ttl_seconds.unwrap_or(TTL_SECONDS_DEFAULT);
    let created = Created {
        deadline: Some(Deadline::after_seconds(ttl_seconds)),
        scopes: scope::read(&fields)?,
        metadata: request::metadata(&fields)?.unwrap_or_default(),
        profile: Profile {
            user_agent,
            ..Profile::default()
        },
        ..Created::new(request::agent_id(&fields, &AGENT)?)
    };
    let (by, new) = (command.by(), NewSession { id: None, created });
    let done = app.commands().create(by, new, ClientKind::Full).await?;
    answer(&app, &command, &done.session, &done, Success::Created)
}

/// Extends a session by its time to live, and replaces its tokens.
pub(super) async fn refresh(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let token = request::text(&fields, &["refresh_token", "refreshToken"])?;
    let token = token.ok_or_else(|| wrong("refresh_token", "is required"))?;
    let presented =
        PresentedToken::new(token).map_err(|error| wrong("refresh_token", error.to_string()))?;
    let stored = lookup::session(&app, command.sight(), &id)?;
    let refresh = Refresh {
        presented,
        refreshed: Refreshed {
            renewal: renewal(&stored.row()?, app.now()),
            ..Refreshed::default()
        },
    };
    let done = app.commands().refresh(command.by(), &id, refresh).await?;
    answer(&app, &command, &id, &done, Success::Ok)
}

/// Ends a session and opens its child for another agent.
pub(super) async fn hand_off(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let hand_off = HandOff {
        to: request::agent_id(&fields, &TARGET)?,
        child: None,
        scopes: scope::read(&fields)?,
        metadata: request::metadata(&fields)?.unwrap_or_default(),
        deadline: request::ttl_seconds(&fields)?.map(Deadline::after_seconds),
        reason: request::reason(&fields)?,
    };
    let done = app.commands().hand_off(command.by(), &id, hand_off).await?;
    answer(&app, &command, &id, &done, Success::Created)
}

/// Ends a session.
pub(super) async fn terminate(
    State(app): State<App>,
    Path(id): Path<SessionId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    let terminate = Terminate {
        outcome: None,
        reason: request::reason(&fields)?,
    };
    let done = app.commands();
    let done = done.terminate(command.by(), &id, terminate).await?;
    answer(&app, &command, &id, &done, Success::Ok)
}

/// The user agent in the headers, without control characters: a header may hold tabs, but an event
/// may not.
fn user_agent(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?.chars();
    let text = text.filter(|letter| !letter.is_control());
    Some(text.take(TEXT_CHARS_MAX).collect::<String>().into())
}

/// How a refresh moves the deadline. A session of this API ends at most a day after its creation.
/// `None` keeps a deadline that is already later.
///
/// The result does not contain the time of the call, so a retry makes an equal event. It differs
/// only if the limit of a day did not apply to the first attempt and applies to the retry.
fn renewal(row: &SessionRow<'_>, now: Timestamp) -> Option<Renewal> {
    let day_us = i64::try_from(TTL_SECONDS_MAX).unwrap_or(i64::MAX) * SECOND_US;
    let latest = row.created_at.plus_micros(day_us);
    let (Some(expires_at), Some(ttl_us)) = (row.expires_at, row.ttl_us) else {
        return Some(Renewal::ByTtl);
    };
    if latest < expires_at {
        return None;
    }
    // The log may store the event this much later, and the time to live counts from then.
    let append_wait_us = i64::try_from(LOG_APPEND_WAIT_MS).unwrap_or(i64::MAX) * 1000;
    if latest < now.plus_micros(ttl_us).plus_micros(append_wait_us) {
        return Some(Renewal::To(Deadline::At(latest)));
    }
    Some(Renewal::ByTtl)
}

/// Answers with the members of the session, as the SDKs read them. An answer with tokens also has
/// them in the member `session`, as the documents say.
fn answer(
    app: &App,
    command: &CommandRequest,
    about: &SessionId,
    done: &SessionDone,
    if_now: Success,
) -> Result<Response, Problem> {
    let tokens = done.tokens.as_ref();
    let mut out = Json::with_capacity(ANSWER_BYTES);
    let mut object = Object::begin(&mut out);
    let status = if let Some(stepped) = change::stepped(app, command, about, done)? {
        let row = stepped.session.row().map_err(change::after_writing)?;
        let now = app.now();
        session::write_members(&mut object, &row, now);
        if tokens.is_some() {
            object.member("session", |out| session::write(out, &row, now));
        }
        if stepped.before { Success::Ok } else { if_now }
    } else {
        object.value("id", &done.session);
        object.value("session_id", &done.session);
        object.value("status", "pending");
        object.value("position", &done.receipt.position);
        Success::Accepted
    };
    if let Some(Tokens { access, refresh }) = tokens {
        object.value("token", access.reveal());
        object.value("refresh_token", refresh.reveal());
    }
    object.end();
    let mut response = body::json(out.into_bytes());
    *response.status_mut() = status.into();
    Ok(response)
}
