//! Keys of agents: an agent has one at a time, for 30 days.
//!
//! They are keys of the ledger in another spelling. They are bound to the agent and have the role
//! `write`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::agent;
use super::failure::{Failure, Refusal, success};
use super::words::{given, iso};
use crate::auth::{ApiKey, Grant, KeyEntry, KeyId, Role, Spelling};
use crate::dialects::sdk::fields::Fields;
use crate::domain::AgentId;
use crate::http::api::keys::change::{self, Issued};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::body::Body;
use crate::http::request::caller::{Admin, Caller};
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::wire;

const TTL_US: i64 = 30 * 24 * 3600 * 1_000_000;
const MAYBE_REVOKED: &str = "it is not confirmed that the key is revoked; ask again: \
                             agent_key_not_found says that it is";

/// Gives an agent a new key, which replaces its earlier keys.
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body(body): Body,
) -> Result<Response, Failure> {
    change::refuse_unfit(&caller)?;
    let fields = Fields::parse(&body)?;
    let id = given(&fields, "agent_id").ok_or(Refusal::AgentIdRequired)?;
    let agent = match wire::string(id) {
        Some(id) => agent::find(&app, caller.sight(), &id)?,
        None => None,
    };
    let agent = agent.ok_or(Refusal::AgentNotFoundOrInvalidId)?;
    let (key, entry) = give(&app, &caller, &agent.id).await?;
    let payload = json!({"agent_id": agent.id, "agent_key": issued_shape(&key, &entry)});
    let status = Success::Created;
    Ok(success(status, "agent_key_created", "response", &payload))
}

/// Revokes a key of an agent.
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body(body): Body,
) -> Result<Response, Failure> {
    change::refuse_unfit(&caller)?;
    let fields = Fields::parse(&body)?;
    let id = given(&fields, "agent_key_id").ok_or(Refusal::AgentKeyIdRequired)?;
    let entry = wire::string(id)
        .and_then(|id| KeyId::parse(&id))
        .and_then(|id| app.keys().get(caller.tenant(), id))
        .filter(|entry| entry.is_live() && entry.grant.agent.is_some());
    let id = entry.ok_or(Refusal::AgentKeyNotFound)?.id;
    let revoked = change::revoke(&app, &caller, id).await;
    revoked.map_err(|problem| match problem.code() {
        Code::Unconfirmed | Code::NotCaughtUp => problem.with_detail(MAYBE_REVOKED),
        _ => problem,
    })?;
    let payload = json!({"id": id.to_string()});
    Ok(success(
        Success::Ok,
        "agent_key_revoked",
        "response",
        &payload,
    ))
}

/// Issues a key for an agent, and revokes those that the agent had before.
pub(super) async fn give(
    app: &App,
    caller: &Caller<Admin>,
    agent: &AgentId,
) -> Result<Issued, Problem> {
    let grant = Grant {
        tenant: caller.tenant().clone(),
        name: None,
        roles: [Role::Write].into_iter().collect(),
        agent: Some(agent.clone()),
        expires_at: Some(app.now().plus_micros(TTL_US)),
    };
    change::rotate(app, caller, grant).await
}

/// A key in the answer that issues it, the only one that shows its text.
pub(super) fn issued_shape(key: &ApiKey, entry: &KeyEntry) -> Value {
    let mut shape = shape(entry);
    shape["api_key"] = json!(key.reveal_as(Spelling::Agent));
    shape
}

/// A key in the list of agents.
pub(super) fn listed_shape(entry: &KeyEntry) -> Value {
    let mut shape = shape(entry);
    shape["name"] = json!(entry.grant.name);
    shape
}

fn shape(entry: &KeyEntry) -> Value {
    let id = entry.id.to_string();
    json!({
        "id": id,
        "prefix": id,
        "created_at": iso(entry.issued_at),
        "expires_at": entry.grant.expires_at.map(iso),
        "active": entry.is_live(),
    })
}
