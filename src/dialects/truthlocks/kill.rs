//! `POST /v1/agents/{id}/kill`: revokes an agent, and answers once its sessions have ended.
//!
//! The ledger itself ends the sessions of a revoked agent, and the agent can open no others. So the
//! number of sessions that it ended cannot change later, and a retry gets the same answer.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::agent_steps::{give, pending_shape, write_revocation};
use super::object::Object;
use super::sessions::ANSWER_BYTES;
use super::{agent, request};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::command::AgentChange;
use crate::domain::{AgentId, TenantId};
use crate::http::problem::Problem;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::Revocation;
use crate::projection::KnownAgent;

pub(super) async fn kill(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    check_cascade(&fields)?;
    let reason = fields.text("reason")?;
    let operator = request::text(&fields, &["operator_id", "operatorId"])?;
    let (reason, operator) = (reason.as_deref(), operator.as_deref());
    let change = AgentChange::Revoke {
        reason: told(reason, operator).map(Into::into),
    };
    let done = give(&app, &command, &id, change).await?;
    let Some(stepped) = change::stepped_agent(&app, &command, &done)? else {
        let mut shape = pending_shape(&done);
        for name in ["terminated_sessions", "terminatedSessions"] {
            shape[name] = json!(0);
        }
        return Ok(body::json_with_status(Success::Accepted, &shape));
    };
    let (agent, revocation) = (&stepped.agent, done.revocation);
    let answer = answer(command.tenant(), agent, revocation, reason, operator);
    answer.map_err(change::after_writing)
}

/// The answer once the agent is revoked.
fn answer(
    tenant: &TenantId,
    agent: &KnownAgent,
    revocation: Option<Revocation>,
    reason: Option<&str>,
    operator: Option<&str>,
) -> Result<Response, Problem> {
    let mut out = Json::with_capacity(2 * ANSWER_BYTES);
    let mut object = Object::begin(&mut out);
    agent::write_members(&mut object, tenant, agent)?;
    let mut nested = Json::with_capacity(ANSWER_BYTES);
    agent::write(&mut nested, tenant, agent)?;
    let nested = String::from_utf8(nested.into_bytes()).expect("JSON is written in UTF-8");
    object.raw("agent", &nested);
    let status = write_revocation(&mut object, revocation);
    object.value("reason", &reason);
    object.value("operator_id", &operator);
    object.end();
    let mut response = body::json(out.into_bytes());
    *response.status_mut() = status.into();
    Ok(response)
}

/// Rejects `cascade`, because the ledger would not stop other agents.
fn check_cascade(fields: &Fields<'_>) -> Result<(), Problem> {
    match fields.raw("cascade") {
        None | Some("false") => Ok(()),
        Some(_) => Err(wrong(
            "cascade",
            "must be false: the ledger stops one agent at a time; nothing was written",
        )),
    }
}

/// Returns the reason to store. It includes the operator, who has no field of its own.
fn told(reason: Option<&str>, operator: Option<&str>) -> Option<String> {
    match (reason, operator) {
        (Some(reason), Some(operator)) => Some(format!("{reason} (operator: {operator})")),
        (None, Some(operator)) => Some(format!("operator: {operator}")),
        (reason, None) => reason.map(str::to_owned),
    }
}
