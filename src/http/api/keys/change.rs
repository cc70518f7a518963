//! Changes of keys, for whichever API they are asked in: who may, what the log of the server says of
//! them, and what went wrong.

use std::sync::Arc;

use crate::auth::{ApiKey, Author, Grant, GrantError, KeyEntry, KeyId, KeysError};
use crate::domain::Reason;
use crate::http::api::keys::new_key;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Admin, Caller};
use crate::http::state::App;
use crate::log::LogError;

const MAYBE_ROTATED: &str = "it is not confirmed that a new key was made; ask again: that gives one \
                             and revokes all that the agent had before";
const HALF_ROTATED: &str = "a new key was made and is not shown, and an older one of the agent may \
                            still be good; ask again: that gives another key and revokes all that \
                            the agent had before";

/// A key and what is known of it.
pub(crate) type Issued = (ApiKey, Arc<KeyEntry>);

/// Refuses who has the role and must not change keys all the same: anybody at all, and a token that
/// has an agent too.
pub(crate) fn refuse_unfit(caller: &Caller<Admin>) -> Result<(), Problem> {
    caller.refuse_anonymous()?;
    let detail = "a credential that is bound to an agent cannot change keys";
    caller
        .refuse_bound()
        .map_err(|problem| problem.with_detail(detail))
}

/// Who asks for a change.
fn author(caller: &Caller<Admin>) -> Result<Author, Problem> {
    Author::of(caller.principal()).ok_or_else(|| Problem::new(Code::CredentialsOff))
}

/// Refuses if the tenant may not have another key.
pub(crate) fn check_room(app: &App, caller: &Caller<Admin>) -> Result<(), Problem> {
    let room = app.keys().check_room(caller.tenant());
    room.map_err(issue_problem)
}

/// Issues a key.
pub(crate) async fn issue(
    app: &App,
    caller: &Caller<Admin>,
    grant: Grant,
) -> Result<Issued, Problem> {
    let by = author(caller)?;
    let issued = app.keys().issue(grant, by, app.now()).await;
    let (key, entry) = issued.map_err(issue_problem)?;
    note("issued", caller, &entry);
    Ok((key, entry))
}

/// Issues a key for an agent, and then revokes those that the agent had before: at no time it has
/// none, and of two rotations at one time the key of the later one stays. If it fails, asking again
/// revokes what was left.
pub(crate) async fn rotate(
    app: &App,
    caller: &Caller<Admin>,
    grant: Grant,
) -> Result<Issued, Problem> {
    let in_doubt = |why: &Problem, what| {
        let detail = format!("{what} ({})", why.code().as_str());
        Problem::new(Code::Unconfirmed).with_detail(detail)
    };
    let issued = issue(app, caller, grant).await;
    let (key, entry) = issued.map_err(|why| match why.code() {
        Code::Unconfirmed | Code::NotCaughtUp => in_doubt(&why, MAYBE_ROTATED),
        _ => why,
    })?;
    for older in app.keys().replaced_by(&entry) {
        let revoked = revoke(app, caller, older.id).await;
        // Also where the log took no revocation: the new key is on it.
        revoked.map_err(|why| in_doubt(&why, HALF_ROTATED))?;
    }
    Ok((key, entry))
}

/// Revokes a key of the caller's tenant, if it has it.
pub(crate) async fn revoke(
    app: &App,
    caller: &Caller<Admin>,
    id: KeyId,
) -> Result<Option<Arc<KeyEntry>>, Problem> {
    let (by, now) = (author(caller)?, app.now());
    let revoked = app.keys().revoke(caller.tenant(), id, by, now).await;
    let entry = revoked.map_err(revoke_problem)?;
    if let Some(entry) = &entry {
        note("revoked", caller, entry);
    }
    Ok(entry)
}

fn note(what: &str, caller: &Caller<Admin>, entry: &KeyEntry) {
    let by = caller.principal().id.as_deref().unwrap_or("anybody");
    tracing::info!(
        key.id = %entry.id,
        tenant.id = %caller.tenant(),
        principal.id = by,
        "the key {} of `{}` was {what} by {by}",
        entry.id,
        caller.tenant()
    );
}

fn issue_problem(error: KeysError) -> Problem {
    let retry = "so there may be a key that nobody knows; ask again, and revoke that one if \
                 `GET /v1/keys` lists it";
    match error {
        KeysError::Grant(error) => {
            let field = match error {
                GrantError::NoRole | GrantError::BoundAdmin => "roles",
                GrantError::Name => "name",
                GrantError::Expired => "expires_at",
            };
            let code = match error {
                // As any deadline: well formed, but it has passed.
                GrantError::Expired => Code::Event(Reason::DeadlineNotAfterTime),
                GrantError::NoRole | GrantError::BoundAdmin | GrantError::Name => {
                    Code::Event(Reason::Invalid)
                }
            };
            Problem::new(code)
                .with_detail(new_key::NOT_LIKE_THIS)
                .with_error(field, error.to_string())
        }
        KeysError::TooMany => Problem::new(Code::TooManyKeys),
        KeysError::Log(error @ LogError::Unconfirmed(_)) => {
            Problem::from(error).with_detail(format!("the log did not confirm the key, {retry}"))
        }
        KeysError::Behind => Problem::new(Code::NotCaughtUp).with_detail(format!(
            "this server has not heard of the key in time, {retry}"
        )),
        other => changed_problem(other),
    }
}

fn revoke_problem(error: KeysError) -> Problem {
    let retry = "ask again until the answer is 200";
    match error {
        KeysError::Log(error @ LogError::Unconfirmed(_)) => Problem::from(error)
            .with_detail(format!("the log did not confirm the revocation; {retry}")),
        KeysError::Behind => Problem::new(Code::NotCaughtUp).with_detail(format!(
            "the revocation is on the log, but this server has not heard of it in time; {retry}"
        )),
        KeysError::LastAdmin => Problem::new(Code::LastAdminKey),
        other => changed_problem(other),
    }
}

fn changed_problem(error: KeysError) -> Problem {
    match error {
        KeysError::Log(error) => error.into(),
        KeysError::Stopped => Problem::new(Code::NotCaughtUp).with_detail(
            "the change is on the log, but this server no longer follows it; its own log says why",
        ),
        KeysError::Grant(_)
        | KeysError::TooMany
        | KeysError::LastAdmin
        | KeysError::Behind
        | KeysError::Random(_)
        | KeysError::Collision => {
            tracing::error!("a key was not issued or revoked: {error}");
            Problem::new(Code::InternalError)
        }
    }
}
