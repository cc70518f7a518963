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
use crate::domain::time::SECOND_US;
use crate::http::key_change::{self, Issued};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::body::Body;
use crate::http::request::caller::{Admin, Caller};
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::wire;

const TTL_US: i64 = 30 * 24 * 3600 * SECOND_US;
const MAYBE_REVOKED: &str = "it is not confirmed that the key is revoked; ask again: \
                             agent_key_not_found says that it is";

const MAYBE_ROTATED: &str = "the log did not confirm the new key; repeat the request to get \
                             another key and to revoke all earlier keys of the agent";
const HALF_ROTATED: &str = "a new key exists but cannot be shown, and an older key of the agent may \
                            still be valid; repeat the request to get another key and to revoke \
                            all earlier keys of the agent";

/// Gives an agent a new key, which replaces its earlier keys.
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body(body): Body,
) -> Result<Response, Failure> {
    key_change::refuse_unfit(&caller)?;
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
    key_change::refuse_unfit(&caller)?;
    let fields = Fields::parse(&body)?;
    let id = given(&fields, "agent_key_id").ok_or(Refusal::AgentKeyIdRequired)?;
    let entry = wire::string(id)
        .and_then(|id| KeyId::parse(&id))
        .and_then(|id| app.keys().get(caller.tenant(), id))
        .filter(|entry| entry.is_live() && entry.grant.agent.is_some());
    let id = entry.ok_or(Refusal::AgentKeyNotFound)?.id;
    let revoked = key_change::revoke(&app, &caller, id).await;
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
    rotate(app, caller, grant).await
}

/// Issues a key for an agent, then revokes the earlier keys of the agent. So the agent always has a
/// key. If two rotations run at the same time, the key of the later one stays valid. If a rotation
/// fails, repeating it revokes the remaining keys.
async fn rotate(app: &App, caller: &Caller<Admin>, grant: Grant) -> Result<Issued, Problem> {
    let in_doubt = |why: &Problem, what| {
        let detail = format!("{what} ({})", why.code().as_str());
        Problem::new(Code::Unconfirmed).with_detail(detail)
    };
    let issued = key_change::issue(app, caller, grant).await;
    let (key, entry) = issued.map_err(|why| match why.code() {
        Code::Unconfirmed | Code::NotCaughtUp => in_doubt(&why, MAYBE_ROTATED),
        _ => why,
    })?;
    for older in app.keys().replaced_by(&entry) {
        let revoked = key_change::revoke(app, caller, older.id).await;
        // In doubt even if the log rejected the revocation, because the new key is on the log.
        revoked.map_err(|why| in_doubt(&why, HALF_ROTATED))?;
    }
    Ok((key, entry))
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
