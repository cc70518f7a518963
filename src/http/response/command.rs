//! Answers to commands, from the fold's verdict and from what it made of the session.

use axum::http::HeaderValue;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::response::Response;

use crate::domain::{Reason, SessionId, Verdict};
use crate::http::dto;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::response::agent_row;
use crate::http::response::body;
use crate::http::response::event_row::location;
use crate::http::response::json::Json;
use crate::http::response::session_row;
use crate::http::response::success::Success;
use crate::http::state::App;
use crate::ledger::command::{AgentDone, Revocation, SessionDone};
use crate::ledger::{Receipt, Token, Tokens};
use crate::projection::{KnownAgent, RowBytes};
use crate::query::{self, Sight};

/// Bytes of a usual answer.
const ANSWER_BYTES: usize = 2048;
/// What answers have as the verdict while there is none.
const PENDING: &str = "pending";

/// What a verdict means for a command.
enum Settled {
    /// It took effect now.
    Now,
    /// It, or one to the same end, took effect before.
    Before,
    /// Nobody knows yet.
    Pending,
}

/// What became of a command; a rejection is a problem. `status` says where the session or agent
/// stands that did not take the step.
fn settle(
    receipt: &Receipt,
    status: impl FnOnce(Reason) -> Result<Option<&'static str>, Problem>,
) -> Result<Settled, Problem> {
    match receipt.verdict.map(|row| row.verdict) {
        None | Some(Verdict::Parked) => Ok(Settled::Pending),
        Some(Verdict::Applied) => Ok(Settled::Now),
        Some(
            Verdict::Duplicate(_)
            | Verdict::Rejected(
                Reason::AlreadyEnded | Reason::AlreadySuspended | Reason::AlreadyRevoked,
            ),
        ) => Ok(Settled::Before),
        Some(Verdict::Rejected(reason)) => {
            let status = if names_status(reason) {
                status(reason)?
            } else {
                None
            };
            let problem = Problem::new(Code::Event(reason));
            let problem = match (reason, status) {
                (Reason::IdReused, _) => problem.with_detail(
                    "this Idempotency-Key came with another body before; send the same body, or \
                     use another key",
                ),
                (
                    Reason::NotActive | Reason::SessionExpired | Reason::AlreadyExists,
                    Some(status),
                ) => problem.with_detail(format!("{}; it is {status}", reason.advice())),
                _ => problem,
            };
            Err(problem
                .with_status(status)
                .with_position(receipt.position, Verdict::Rejected(reason)))
        }
    }
}

/// Whether what the session or agent is by now explains the rejection.
fn names_status(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotActive
            | Reason::SessionExpired
            | Reason::AlreadyExists
            | Reason::NotSuspended
            | Reason::TokenStale
    )
}

/// The session that a command was about, once the command has taken effect.
pub(crate) struct Stepped {
    pub(crate) session: RowBytes,
    /// Whether it, or one to the same end, took effect before.
    pub(crate) before: bool,
}

/// What became of a command about a session; `about` is the one that took the step. `None` while
/// there is no verdict; a rejection is a problem.
pub(crate) fn stepped(
    app: &App,
    sight: Sight<'_>,
    about: &SessionId,
    done: &SessionDone,
) -> Result<Option<Stepped>, Problem> {
    let now = app.now();
    let find = |id: &SessionId| app.read(|snapshot| Ok(query::sessions::get(snapshot, sight, id)?));
    let SessionDone {
        session, receipt, ..
    } = done;
    let receipt = &Receipt {
        verdict: match receipt.verdict {
            Some(row) => {
                Some(app.read(|snapshot| Ok(query::events::verdict_shown(snapshot, sight, row)?))?)
            }
            None => None,
        },
        ..*receipt
    };
    let status = |reason| {
        let id = match reason {
            // It is the one to be opened that exists.
            Reason::AlreadyExists => session,
            _ => about,
        };
        match find(id)? {
            Some(stored) => Ok(Some(stored.row()?.status_at(now).as_str())),
            None => Ok(None),
        }
    };
    let before = match settle(receipt, status)? {
        Settled::Now => false,
        Settled::Before => true,
        Settled::Pending => return Ok(None),
    };
    // Who handed it off is shown the child, though that is another agent's.
    let whole = Sight::of_tenant(sight.tenant);
    let found = app.read(|snapshot| Ok(query::sessions::get(snapshot, whole, session)?))?;
    let session = found.ok_or_else(|| Problem::new(Code::InternalError))?;
    Ok(Some(Stepped { session, before }))
}

/// The answer to a command about a session; `about` is the one that took the step.
pub(crate) fn session(
    app: &App,
    sight: Sight<'_>,
    about: &SessionId,
    done: SessionDone,
    if_now: Success,
) -> Result<Response, Problem> {
    let found = stepped(app, sight, about, &done)?;
    let SessionDone {
        session,
        receipt,
        tokens,
    } = done;
    let Some(Stepped {
        session: stored,
        before,
    }) = found
    else {
        return Ok(pending(session.as_str(), &receipt, PENDING, tokens));
    };
    let status = if before { Success::Ok } else { if_now };
    let row = stored.row()?;
    let mut out = Json::with_capacity(ANSWER_BYTES);
    out.raw("{\"session\":");
    session_row::write(&mut out, &row, row.status_at(app.now()));
    if let Some(Tokens { access, refresh }) = tokens {
        out.raw(",\"token\":");
        out.text(access.reveal());
        out.raw(",\"refresh_token\":");
        out.text(refresh.reveal());
    }
    write_receipt(&mut out, &receipt);
    let mut response = body::json(out.into_bytes());
    *response.status_mut() = status.into();
    Ok(response)
}

/// The agent that a command was about, once the command has taken effect.
pub(crate) struct SteppedAgent {
    pub(crate) agent: KnownAgent,
    /// Whether it, or one to the same end, took effect before.
    pub(crate) before: bool,
}

/// What became of a command about an agent. `None` while there is no verdict; a rejection is a
/// problem.
pub(crate) fn stepped_agent(
    app: &App,
    sight: Sight<'_>,
    done: &AgentDone,
) -> Result<Option<SteppedAgent>, Problem> {
    let AgentDone { agent, receipt, .. } = done;
    let find = || app.read(|snapshot| Ok(query::agents::get(snapshot, sight, agent)?));
    let status = |_reason| match find()? {
        Some(known) => Ok(Some(known.row()?.status.as_str())),
        None => Ok(None),
    };
    let before = match settle(receipt, status)? {
        Settled::Now => false,
        Settled::Before => true,
        Settled::Pending => return Ok(None),
    };
    let agent = find()?.ok_or_else(|| Problem::new(Code::InternalError))?;
    Ok(Some(SteppedAgent { agent, before }))
}

/// The answer to a command about an agent. A revocation is pending while sessions of the agent are active.
pub(crate) fn agent(
    app: &App,
    sight: Sight<'_>,
    done: &AgentDone,
    if_now: Success,
) -> Result<Response, Problem> {
    let AgentDone {
        agent,
        receipt,
        revocation,
    } = done;
    let Some(SteppedAgent {
        agent: known,
        before,
    }) = stepped_agent(app, sight, done)?
    else {
        return Ok(pending(agent.as_str(), receipt, PENDING, None));
    };
    let settled = match revocation {
        None => None,
        Some(Revocation {
            ended_sessions,
            settled_position: Some(position),
        }) => Some((ended_sessions, position)),
        Some(Revocation {
            settled_position: None,
            ..
        }) => {
            let verdict = receipt.verdict.map_or(PENDING, |row| row.verdict.as_str());
            return Ok(pending(agent.as_str(), receipt, verdict, None));
        }
    };
    let status = if before { Success::Ok } else { if_now };
    let mut out = Json::with_capacity(ANSWER_BYTES);
    out.raw("{\"agent\":");
    agent_row::write(&mut out, &known)?;
    if let Some((ended_sessions, settled_position)) = settled {
        out.raw(",\"ended_sessions\":");
        out.value(ended_sessions);
        out.raw(",\"settled_position\":");
        out.value(settled_position);
    }
    write_receipt(&mut out, receipt);
    let mut response = body::json(out.into_bytes());
    *response.status_mut() = status.into();
    Ok(response)
}

fn write_receipt(out: &mut Json, receipt: &Receipt) {
    out.raw(",\"verdict\":");
    out.text_or_null(receipt.verdict.map(|row| row.verdict.as_str()));
    if let Some(Verdict::Rejected(reason)) = receipt.verdict.map(|row| row.verdict) {
        out.raw(",\"reason\":");
        out.text(reason.code());
    }
    out.raw(",\"position\":");
    out.value(&receipt.position);
    out.raw("}");
}

/// The answer to a command that the fold has not reached in time, or whose effects it has not reached.
fn pending(id: &str, receipt: &Receipt, verdict: &str, tokens: Option<Tokens>) -> Response {
    let (token, refresh_token) = tokens.map(|given| (given.access, given.refresh)).unzip();
    let text = |token: Token| token.reveal().to_owned();
    let pending = dto::CommandPending {
        id: id.to_owned(),
        position: receipt.position.get(),
        verdict: verdict.to_owned(),
        token: token.map(text),
        refresh_token: refresh_token.map(text),
    };
    let mut response = body::json_with_status(Success::Accepted, &pending);
    let headers = response.headers_mut();
    headers.insert(LOCATION, location(receipt.position));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
