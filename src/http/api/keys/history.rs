//! `GET /v1/keys/history`: when and by whom the keys of a tenant were issued and revoked.

use axum::extract::State;
use axum::response::Response;

use crate::auth::{Grant, KeyChange};
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::sets::KeyHistoryProblems;
use crate::http::request::caller::{AuditOrAdmin, Caller};
use crate::http::request::extract::{Query, QueryParams, Values};
use crate::http::request::param::AnyParam;
use crate::http::request::params::{CHANGES_AFTER, CHANGES_LIMIT};
use crate::http::response::body;
use crate::http::state::App;

/// The query of a page of changes.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    limit: usize,
    after: usize,
}

impl QueryParams for HistoryQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[&CHANGES_LIMIT, &CHANGES_AFTER];

    fn read(values: &mut Values) -> Result<Self, Problem> {
        let mut number = |param| usize::try_from(values.number(param));
        Ok(Self {
            limit: number(&CHANGES_LIMIT).unwrap_or(usize::from(PAGE_ROWS_MAX)),
            after: number(&CHANGES_AFTER).unwrap_or(usize::MAX),
        })
    }
}

/// Replay changes of keys
///
/// A page of the issues and revocations of the tenant's keys, oldest first, with who did it. It also has
/// keys that the list no longer has, because they were revoked long ago. It does not show the secrets.
#[utoipa::path(
    get,
    path = "/v1/keys/history",
    operation_id = "list_key_changes",
    tag = "keys",
    params(Caller<AuditOrAdmin>, Query<HistoryQuery>),
    responses(
        (status = 200, description = "A page of changes", body = dto::KeyHistory),
        KeyHistoryProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<AuditOrAdmin>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Problem> {
    let detail = "a credential that is bound to an agent cannot see keys";
    caller
        .refuse_bound()
        .map_err(|problem| problem.with_detail(detail))?;
    let page = app
        .keys()
        .history(caller.tenant(), query.after, query.limit);
    let page = page.await.map_err(Problem::of_read)?;
    Ok(body::json_of(&dto::KeyHistory {
        changes: page.changes.iter().map(dto::KeyChange::from).collect(),
        limit: query.limit as u64,
        next_after: page.next_after.map(|after| after as u64),
    }))
}

impl From<&KeyChange> for dto::KeyChange {
    fn from(change: &KeyChange) -> Self {
        let issued = change.issued.as_ref();
        let name = |grant: &Grant| grant.name.as_deref().map(ToOwned::to_owned);
        let roles = |grant: &Grant| {
            let words = grant.roles.iter().map(|role| role.as_str().to_owned());
            words.collect()
        };
        Self {
            change: issued.map_or("revoked", |_| "issued").to_owned(),
            key_id: change.id.to_string(),
            recorded_at: change.at.to_string(),
            by: change.by.as_ref().map(ToString::to_string),
            name: issued.and_then(name),
            roles: issued.map(roles),
            agent_id: issued.and_then(|grant| grant.agent.as_ref().map(ToString::to_string)),
            expires_at: issued.and_then(|grant| grant.expires_at.map(|time| time.to_string())),
        }
    }
}
