//! `POST /v1/agents/{id}/kill`: revokes an agent, and answers once its sessions have ended.
//!
//! The ledger itself ends the sessions of a revoked agent, and the agent can open no others. So the
//! call waits until these sessions have ended, and then counts them. The number cannot change
//! later, so a retry gets the same answer.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::agent_steps::{give, pending_shape};
use super::object::Object;
use super::sessions::ANSWER_BYTES;
use super::{agent, agents, request};
use crate::dialects::sdk::change::{self, Change};
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::command::AgentChange;
use crate::domain::filter::Owner;
use crate::domain::limits::{PAGE_ROWS_MAX, VERDICT_WAIT_MS};
use crate::domain::session::{Outcome, Status};
use crate::domain::{AgentId, SessionFilter, StatusSet};
use crate::http::problem::Problem;
use crate::http::request::extract::Path;
use crate::http::response::body;
use crate::http::response::json::Json;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::projection::{Snapshot, Waited};
use crate::query::{self, PageStart, Sight};

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
    // Comes before the write, so that its error may still ask for a retry.
    let _waiting = app.waiting()?;
    let done = give(&app, &command, &id, change).await?;
    if change::stepped_agent(&app, &command, &done)?.is_none() {
        let mut shape = pending_shape(&done);
        for name in ["terminated_sessions", "terminatedSessions"] {
            shape[name] = json!(0);
        }
        return Ok(body::json_with_status(Success::Accepted, &shape));
    }
    let answer = answer(&app, command.sight(), &id, reason, operator).await;
    answer.map_err(change::after_writing)
}

/// The answer once the agent is revoked.
async fn answer(
    app: &App,
    sight: Sight<'_>,
    id: &AgentId,
    reason: Option<&str>,
    operator: Option<&str>,
) -> Result<Response, Problem> {
    let status = if all_ended(app, sight, id).await? {
        Success::Ok
    } else {
        Success::Accepted
    };
    let terminated = terminated(app, sight, id).await?;
    let known = agents::find(app, sight, id)?;
    let mut out = Json::with_capacity(2 * ANSWER_BYTES);
    let mut object = Object::begin(&mut out);
    agent::write_members(&mut object, sight.tenant, &known)?;
    let mut nested = Json::with_capacity(ANSWER_BYTES);
    agent::write(&mut nested, sight.tenant, &known)?;
    let nested = String::from_utf8(nested.into_bytes()).expect("JSON is written in UTF-8");
    object.raw("agent", &nested);
    object.value("terminated_sessions", &terminated);
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

/// Waits until the agent has no open session, at most as long as other calls wait for a verdict.
/// Returns whether that succeeded.
async fn all_ended(app: &App, sight: Sight<'_>, agent: &AgentId) -> Result<bool, Problem> {
    let filter = sessions_of(agent, Status::Active);
    let wait = async {
        loop {
            let count = |snapshot: &Snapshot| Ok(query::sessions::count(snapshot, sight, &filter)?);
            let open = app.read(count)?;
            if open.total == 0 {
                return Ok(true);
            }
            let next = open.as_of.position.next();
            match app.projection().wait_for(next, Duration::MAX).await {
                Waited::Reached => {}
                Waited::TimedOut | Waited::Stopped => return Ok(false),
            }
        }
    };
    let at_most = Duration::from_millis(VERDICT_WAIT_MS);
    let ended = tokio::time::timeout(at_most, wait).await;
    ended.unwrap_or(Ok(false))
}

/// Counts the sessions that ended because their agent was revoked. There is no index for that, so
/// this reads all terminated sessions of the agent, a page at a time.
async fn terminated(app: &App, sight: Sight<'_>, agent: &AgentId) -> Result<u64, Problem> {
    let filter = sessions_of(agent, Status::Terminated);
    let (mut start, mut terminated) = (PageStart::Offset(0), 0);
    loop {
        let rows_max = usize::from(PAGE_ROWS_MAX);
        let page = app.read(|snapshot| {
            let page = query::sessions::list(snapshot, sight, &filter, start, rows_max);
            Ok(page?)
        })?;
        for stored in &page.rows {
            terminated += u64::from(stored.row()?.outcome == Some(Outcome::Revoked));
        }
        let Some(next) = page.next else {
            return Ok(terminated);
        };
        start = next.into();
        // There may be many pages, so this yields to other tasks.
        tokio::task::yield_now().await;
    }
}

fn sessions_of(agent: &AgentId, status: Status) -> SessionFilter {
    SessionFilter {
        owner: Owner::Agent(agent.clone()),
        statuses: StatusSet::only(status),
        ..SessionFilter::default()
    }
}
