//! `/v1/keys`: a tenant's API keys, issued, listed and revoked by whoever has the role `admin`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::Type;

use super::app::App;
use super::body::{self, JsonBody};
use super::caller::{Admin, Caller};
use super::dto;
use super::error::Code;
use super::extract::{NoQuery, Path, PathParam, Query, QueryParams, Values};
use super::new_key;
use super::params::{KEYS_LIMIT, KEYS_OFFSET, Param};
use super::problem::Problem;
use super::problem_sets::{IssueKeyProblems, ListKeysProblems, RevokeKeyProblems};
use crate::auth::{GrantError, KeyEntry, KeyId, KeysError};
use crate::domain::Reason;
use crate::log::LogError;

/// The query of a page of keys.
#[derive(Debug)]
pub(super) struct ListQuery {
    limit: usize,
    offset: usize,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [Param] = &[KEYS_LIMIT, KEYS_OFFSET];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let mut number = |param| usize::try_from(values.integer(param).unwrap_or(0));
        Ok(Self {
            limit: number(&KEYS_LIMIT).unwrap_or(usize::MAX),
            offset: number(&KEYS_OFFSET).unwrap_or(usize::MAX),
        })
    }
}

impl PathParam for KeyId {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The key's id, which is no secret.";
    const TYPE: Type = Type::String;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "must be a key's id: 16 hexadecimal digits".to_owned())
    }
}

/// Issue a key
///
/// The only answer that ever shows the key. If it is lost, nothing is: nobody knows that key, so
/// issue another and, to be tidy, revoke the one that `GET /v1/keys` lists. Whoever has the role
/// `admin` can issue keys with every role, so give it to few.
#[utoipa::path(
    post,
    path = "/v1/keys",
    operation_id = "issue_key",
    tag = "keys",
    params(Caller<Admin>, Query<NoQuery>),
    request_body = dto::NewKey,
    responses(
        (status = 201, description = "The key", body = dto::IssuedKey),
        IssueKeyProblems,
    )
)]
pub(super) async fn issue(
    State(app): State<App>,
    caller: Caller<Admin>,
    Query(NoQuery): Query<NoQuery>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    refuse_unfit(&caller)?;
    let grant = new_key::read(caller.tenant(), &body)?;
    let (key, entry) = app
        .keys()
        .issue(grant, app.now())
        .await
        .map_err(issue_problem)?;
    note("issued", &caller, &entry);
    let issued = dto::IssuedKey {
        key: key.reveal(),
        entry: dto::Key::from(&*entry),
    };
    Ok((StatusCode::CREATED, body::json_of(&issued)).into_response())
}

/// List keys
///
/// The tenant's keys, those issued last first, revoked ones too. No answer shows a key.
#[utoipa::path(
    get,
    path = "/v1/keys",
    operation_id = "list_keys",
    tag = "keys",
    params(Caller<Admin>, Query<ListQuery>),
    responses((status = 200, description = "A page", body = dto::KeyList), ListKeysProblems)
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<Admin>,
    Query(query): Query<ListQuery>,
) -> Response {
    let keys = app.keys().list(caller.tenant());
    let page = keys.iter().skip(query.offset).take(query.limit);
    body::json_of(&dto::KeyList {
        keys: page.map(|entry| dto::Key::from(&**entry)).collect(),
        total: keys.len() as u64,
        limit: query.limit as u64,
        offset: query.offset as u64,
    })
}

/// Revoke a key
///
/// From this answer on the server refuses the key; other servers of the same ledger do within a
/// second. Again changes nothing and is answered alike.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    operation_id = "revoke_key",
    tag = "keys",
    params(Caller<Admin>, Path<KeyId>, Query<NoQuery>),
    responses(
        (status = 200, description = "It is revoked", body = dto::Key),
        RevokeKeyProblems,
    )
)]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller<Admin>,
    Path(id): Path<KeyId>,
    Query(NoQuery): Query<NoQuery>,
) -> Result<Response, Problem> {
    refuse_unfit(&caller)?;
    let revoked = app.keys().revoke(caller.tenant(), id, app.now()).await;
    let Some(entry) = revoked.map_err(revoke_problem)? else {
        let detail = "there is no such key";
        return Err(Problem::new(Code::Event(Reason::NotFound)).with_detail(detail));
    };
    note("revoked", &caller, &entry);
    Ok(body::json_of(&dto::Key::from(&*entry)))
}

/// Refuses who has the role and must not change keys all the same: anybody at all, and a token that
/// has an agent too.
fn refuse_unfit(caller: &Caller<Admin>) -> Result<(), Problem> {
    caller.refuse_anonymous()?;
    let detail = "a credential that is bound to an agent cannot change keys";
    caller
        .refuse_bound()
        .map_err(|problem| problem.with_detail(detail))
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

impl From<&KeyEntry> for dto::Key {
    fn from(entry: &KeyEntry) -> Self {
        let grant = &entry.grant;
        Self {
            key_id: entry.id.to_string(),
            name: grant.name.as_deref().map(ToOwned::to_owned),
            roles: grant
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
            agent_id: grant.agent.as_ref().map(ToString::to_string),
            issued_at: entry.issued_at.to_string(),
            expires_at: grant.expires_at.map(|time| time.to_string()),
            revoked_at: entry.revoked_at.map(|time| time.to_string()),
        }
    }
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
            new_key::invalid(vec![(field.to_owned(), error.to_string())])
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
        other => changed_problem(other),
    }
}

fn changed_problem(error: KeysError) -> Problem {
    match error {
        KeysError::Log(error) => error.into(),
        KeysError::Stopped => Problem::new(Code::NotReady)
            .with_detail("this server no longer follows the log of keys; its own log says why"),
        KeysError::Grant(_)
        | KeysError::TooMany
        | KeysError::Behind
        | KeysError::Random(_)
        | KeysError::Collision => {
            tracing::error!("a key was not issued or revoked: {error}");
            Problem::new(Code::InternalError)
        }
    }
}
