//! `/v1/keys`: callers with the role `admin` issue, list and revoke the API keys of their tenant.

pub(super) mod history;
mod new_key;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::auth::{KeyEntry, KeyId};
use crate::domain::Reason;
use crate::http::dto;
use crate::http::key_change;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::problem::sets::{IssueKeyProblems, ListKeysProblems, RevokeKeyProblems};
use crate::http::request::body::JsonBody;
use crate::http::request::caller::{Admin, Caller};
use crate::http::request::extract::{NoQuery, Path, PathParam, Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{KEYS_LIMIT, KEYS_OFFSET};
use crate::http::response::body;
use crate::http::response::success::Success;
use crate::http::state::App;

/// The query of a page of keys.
#[derive(Debug)]
pub(crate) struct ListQuery {
    limit: usize,
    offset: usize,
}

impl QueryParams for ListQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&KEYS_LIMIT, &KEYS_OFFSET];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let mut number = |param| usize::try_from(values.number(param));
        Ok(Self {
            limit: number(&KEYS_LIMIT).unwrap_or(usize::MAX),
            offset: number(&KEYS_OFFSET).unwrap_or(usize::MAX),
        })
    }
}

impl PathParam for KeyId {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The id of the key, which is not secret.";
    const COMPONENT: &'static str = "KeyInPath";

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "must be a key's id: 16 hexadecimal digits".to_owned())
    }
}

/// Issue a key
///
/// Makes a new key. Only this answer shows it. If the answer is lost, nobody knows the key: issue another
/// one, and revoke the one that `GET /v1/keys` lists. The role `admin` can issue keys with every role, so
/// give it to few.
#[utoipa::path(
    post,
    path = "/v1/keys",
    operation_id = "issue_key",
    tag = "keys",
    params(Caller<Admin>, Query<NoQuery>),
    request_body = dto::IssueKey,
    responses(
        (status = 201, description = "The new key", body = dto::IssuedKey),
        IssueKeyProblems,
    )
)]
pub(crate) async fn issue(
    State(app): State<App>,
    caller: Caller<Admin>,
    Query(NoQuery): Query<NoQuery>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    key_change::refuse_unfit(&caller)?;
    let grant = new_key::read(caller.tenant(), &body)?;
    let (key, entry) = key_change::issue(&app, &caller, grant).await?;
    let issued = dto::IssuedKey {
        key: key.reveal(),
        entry: dto::Key::from(&*entry),
    };
    Ok(body::json_with_status(Success::Created, &issued))
}

/// List keys
///
/// A page of the tenant's keys, newest first, revoked ones included. It does not show the secrets.
#[utoipa::path(
    get,
    path = "/v1/keys",
    operation_id = "list_keys",
    tag = "keys",
    params(Caller<Admin>, Query<ListQuery>),
    responses((status = 200, description = "A page of keys", body = dto::KeyList), ListKeysProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Admin>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let detail = "a credential that is bound to an agent cannot see keys";
    caller
        .refuse_bound()
        .map_err(|problem| problem.with_detail(detail))?;
    let keys = app.keys().list(caller.tenant());
    let page = keys.iter().skip(query.offset).take(query.limit);
    Ok(body::json_of(&dto::KeyList {
        keys: page.map(|entry| dto::Key::from(&**entry)).collect(),
        total: keys.len() as u64,
        limit: query.limit as u64,
        offset: query.offset as u64,
    }))
}

/// Revoke a key
///
/// After this answer, the server rejects the key. Other servers of the same ledger reject it within a
/// second. A second revocation changes nothing. A key cannot revoke the last key with the role `admin`,
/// because no key could issue another one.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    operation_id = "revoke_key",
    tag = "keys",
    params(Caller<Admin>, Path<KeyId>, Query<NoQuery>),
    responses(
        (status = 200, description = "The key is revoked", body = dto::Key),
        RevokeKeyProblems,
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller<Admin>,
    Path(id): Path<KeyId>,
    Query(NoQuery): Query<NoQuery>,
) -> Result<Response, Problem> {
    key_change::refuse_unfit(&caller)?;
    let Some(entry) = key_change::revoke(&app, &caller, id).await? else {
        let detail = "there is no such key";
        return Err(Problem::new(Code::Event(Reason::NotFound)).with_detail(detail));
    };
    Ok(body::json_of(&dto::Key::from(&*entry)))
}

impl From<&KeyEntry> for dto::Key {
    fn from(entry: &KeyEntry) -> Self {
        let (grant, revoked) = (&entry.grant, entry.revoked.as_ref());
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
            issued_by: entry.issued_by.as_ref().map(ToString::to_string),
            expires_at: grant.expires_at.map(|time| time.to_string()),
            revoked_at: revoked.map(|it| it.at.to_string()),
            revoked_by: revoked
                .and_then(|it| it.by.as_ref())
                .map(ToString::to_string),
        }
    }
}
