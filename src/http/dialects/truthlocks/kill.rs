//! `POST /v1/agents/{id}/kill`: revokes an agent, and answers once its sessions have ended.
//!
//! The ledger itself ends the sessions of whoever is revoked, and nobody opens another. So this
//! waits for it to be done, and counts.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::agent_steps::{give, pending};
use super::object::Object;
use super::sessions::ANSWER_BYTES;
use super::{agent, agents, request};
use crate::domain::filter::Owner;
use crate::domain::limits::VERDICT_WAIT_MS;
use crate::domain::session::Status;
use crate::domain::{AgentId, Position, SessionFilter, TenantId};
use crate::http::app::App;
use crate::http::body;
use crate::http::dialects::change::{self, Change};
use crate::http::dialects::fields::{Fields, wrong};
use crate::http::extract::Path;
use crate::http::json::Json;
use crate::http::problem::Problem;
use crate::ledger::command::AgentChange;
use crate::projection::Waited;
use crate::query;

pub(super) async fn kill(
    State(app): State<App>,
    Path(id): Path<AgentId>,
    Change(command): Change,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&command.body)?;
    check_cascade(&fields)?;
    let (reason, operator) = (
        fields.text("reason")?,
        request::text(&fields, &["operator_id", "operatorId"])?,
    );
    let data = request::reason(told(reason, operator).as_deref());
    let before = count(&app, command.tenant(), &id)?;
    let done = give(&app, &command, AgentChange::Revoke, &id, &data).await?;
    if change::stepped_agent(&app, &command, &done)?.is_none() {
        return Ok(pending(&done));
    }
    let after = all_ended(&app, command.tenant(), &id).await;
    let after = after.map_err(change::after_writing)?;
    let known = agents::find(&app, command.tenant(), &id).map_err(change::after_writing)?;

    let mut out = Json::with_capacity(2 * ANSWER_BYTES);
    let mut object = Object::begin(&mut out);
    agent::write_members(&mut object, command.tenant(), &known)?;
    let mut nested = Json::with_capacity(ANSWER_BYTES);
    agent::write(&mut nested, command.tenant(), &known)?;
    let nested = String::from_utf8(nested.into_bytes()).expect("JSON is written in UTF-8");
    object.raw("agent", &nested);
    let terminated = after.terminated.saturating_sub(before.terminated);
    object.value("terminated_sessions", &terminated);
    object.value("reason", &reason);
    object.value("operator_id", &operator);
    object.end();
    let mut response = body::json(out.into_bytes());
    if 0 < after.active {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// Whoever relies on others being stopped as well must learn that they are not.
fn check_cascade(fields: &Fields) -> Result<(), Problem> {
    match fields.value("cascade") {
        None | Some(Value::Bool(false)) => Ok(()),
        Some(_) => Err(wrong(
            "cascade",
            "must be false: the ledger stops one agent at a time; nothing was written",
        )),
    }
}

/// The reason as it is kept. There is no other place for who did it.
fn told(reason: Option<&str>, operator: Option<&str>) -> Option<String> {
    match (reason, operator) {
        (Some(reason), Some(operator)) => Some(format!("{reason} (operator: {operator})")),
        (None, Some(operator)) => Some(format!("operator: {operator}")),
        (reason, None) => reason.map(str::to_owned),
    }
}

/// How many of an agent's sessions are open, and how many were ended.
struct Count {
    active: u64,
    terminated: u64,
    as_of: Position,
}

fn count(app: &App, tenant: &TenantId, agent: &AgentId) -> Result<Count, Problem> {
    let filter = SessionFilter {
        owner: Owner::Agent(agent.clone()),
        ..SessionFilter::default()
    };
    let counted = app.read(|snapshot| Ok(query::sessions::count(snapshot, tenant, &filter)?))?;
    let of = |wanted: Status| {
        let mut counts = counted.by_status.iter();
        let found = counts.find(|(status, _)| *status == wanted);
        found.map_or(0, |(_, count)| *count)
    };
    Ok(Count {
        active: of(Status::Active),
        terminated: of(Status::Terminated),
        as_of: counted.as_of.position,
    })
}

/// Waits until no session is open; the count then, or after as long as any call waits.
async fn all_ended(app: &App, tenant: &TenantId, agent: &AgentId) -> Result<Count, Problem> {
    let wait = async {
        loop {
            let counted = count(app, tenant, agent)?;
            if counted.active == 0 {
                return Ok(counted);
            }
            let next = counted.as_of.next();
            match app.projection().wait_for(next, Duration::MAX).await {
                Waited::Reached => {}
                Waited::TimedOut | Waited::Stopped => return Ok(counted),
            }
        }
    };
    let at_most = Duration::from_millis(VERDICT_WAIT_MS);
    match tokio::time::timeout(at_most, wait).await {
        Ok(counted) => counted,
        Err(_elapsed) => count(app, tenant, agent),
    }
}
