//! Changes of keys, for the ledger's own API and for dialects: permission checks, log lines and
//! problems.

use std::sync::Arc;

use crate::auth::{ApiKey, Author, Grant, GrantError, KeyEntry, KeyId, KeysError};
use crate::domain::{Reason, WithCauses};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::caller::{Admin, Caller};
use crate::http::state::App;
use crate::log::LogError;

/// The detail of a problem with the fields of a key.
pub(crate) const NOT_ISSUED: &str = "the key was not issued; `errors` names the wrong fields";

/// A new key and its entry in the keyring.
pub(crate) type Issued = (ApiKey, Arc<KeyEntry>);

/// Rejects anonymous callers and agent-bound credentials, even if they have the `admin` role.
pub(crate) fn refuse_unfit(caller: &Caller<Admin>) -> Result<(), Problem> {
    caller.refuse_anonymous()?;
    let detail = "a credential that is bound to an agent cannot change keys";
    caller
        .refuse_bound()
        .map_err(|problem| problem.with_detail(detail))
}

/// The author of a change, for the history of keys.
fn author(caller: &Caller<Admin>) -> Result<Author, Problem> {
    Author::of(caller.principal()).ok_or_else(|| Problem::new(Code::CredentialsOff))
}

/// Returns a problem if the tenant already has the maximum number of keys.
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
    log_change("issued", caller, &entry);
    Ok((key, entry))
}

/// Revokes a key of the caller's tenant. Returns `None` if the tenant has no such key.
pub(crate) async fn revoke(
    app: &App,
    caller: &Caller<Admin>,
    id: KeyId,
) -> Result<Option<Arc<KeyEntry>>, Problem> {
    let (by, now) = (author(caller)?, app.now());
    let revoked = app.keys().revoke(caller.tenant(), id, by, now).await;
    let entry = revoked.map_err(revoke_problem)?;
    if let Some(entry) = &entry {
        log_change("revoked", caller, entry);
    }
    Ok(entry)
}

fn log_change(what: &str, caller: &Caller<Admin>, entry: &KeyEntry) {
    let by = caller.principal().id.as_deref().unwrap_or("anonymous");
    tracing::info!(
        key.id = %entry.id,
        tenant.id = %caller.tenant(),
        principal.id = by,
        "{by} {what} the key {} of `{}`",
        entry.id,
        caller.tenant()
    );
}

fn issue_problem(error: KeysError) -> Problem {
    let retry = "so an unknown key may exist; repeat the request, and revoke the unknown key if \
                 `GET /v1/keys` lists it";
    match error {
        KeysError::Grant(error) => {
            let field = match error {
                GrantError::NoRole | GrantError::BoundAdmin => "roles",
                GrantError::Name => "name",
                GrantError::Expired => "expires_at",
            };
            let code = match error {
                // The code of every deadline that is well formed and in the past.
                GrantError::Expired => Code::Event(Reason::DeadlineNotAfterTime),
                GrantError::NoRole | GrantError::BoundAdmin | GrantError::Name => {
                    Code::Event(Reason::Invalid)
                }
            };
            Problem::new(code)
                .with_detail(NOT_ISSUED)
                .with_error(field, error.to_string())
        }
        KeysError::TooMany => Problem::new(Code::TooManyKeys),
        KeysError::Log(error @ LogError::Unconfirmed(_)) => {
            Problem::from(error).with_detail(format!("the log did not confirm the key, {retry}"))
        }
        KeysError::Behind => Problem::new(Code::NotCaughtUp).with_detail(format!(
            "this server did not see the key on the log in time, {retry}"
        )),
        other => changed_problem(other),
    }
}

fn revoke_problem(error: KeysError) -> Problem {
    let retry = "repeat the request until the answer is 200";
    match error {
        KeysError::Log(error @ LogError::Unconfirmed(_)) => Problem::from(error)
            .with_detail(format!("the log did not confirm the revocation; {retry}")),
        KeysError::Behind => Problem::new(Code::NotCaughtUp).with_detail(format!(
            "the revocation is on the log, but this server did not see it there in time; {retry}"
        )),
        KeysError::LastAdmin => Problem::new(Code::LastAdminKey),
        other => changed_problem(other),
    }
}

fn changed_problem(error: KeysError) -> Problem {
    match error {
        KeysError::Log(error) => error.into(),
        KeysError::Stopped => Problem::new(Code::NotCaughtUp).with_detail(
            "the change is on the log, but this server no longer reads the log of keys; the \
             messages of the server say why",
        ),
        KeysError::Grant(_)
        | KeysError::TooMany
        | KeysError::LastAdmin
        | KeysError::Behind
        | KeysError::Random(_)
        | KeysError::Collision => {
            tracing::error!("failed to issue or revoke a key: {}", WithCauses(&error));
            Problem::new(Code::InternalError)
        }
    }
}
