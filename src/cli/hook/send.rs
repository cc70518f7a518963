//! Sends the spool, in its order, and learns from the verdicts.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting};
use crate::cli::hook::spool::Spool;
use crate::cli::output;
use crate::domain::limits::HOOK_BATCH_EVENTS_MAX;
use crate::domain::{EventType, Reason, SessionId, Verdict};
use crate::hooks::Runs;
use crate::http::dto::{Appended, BatchResult};

/// Most events of the first request. A slow connection must take them in the time of one call, or the spool
/// would never shrink.
const FIRST_BATCH_EVENTS: usize = 32;

/// Problems of a batch that its events cause. A smaller one may be taken.
const FAULTS_OF_EVENTS: [&str; 4] = [
    "invalid_batch",
    "batch_too_large",
    "request_too_large",
    "reserved_type",
];

/// How a request of events ended.
enum Posted {
    /// The log has the first events, each with its verdict.
    Taken(Vec<Appended>),
    /// Nothing was written, because of one of the events.
    Unfit(ApiError),
    /// Nothing was written, because there are no verdicts now.
    Unjudged,
}

/// Sends all events of the spool, one process after another. A process that is killed after the ledger has
/// taken events leaves them in the spool: the next one sends them again, and copies change nothing.
///
/// The requests grow while the ledger takes them. If it can never take one of the events, such as an event
/// of another version of this program, they shrink until that event is alone, and it is dropped.
///
/// It waits for the verdicts. If that took the process before too long, this one does not wait: otherwise
/// every call could send the same events, and remove none.
pub(super) async fn send(spool: &Spool, api: &Api) -> anyhow::Result<()> {
    let turn = spool.turn().await?;
    let mut most = FIRST_BATCH_EVENTS;
    let mut waits = !turn.was_cut()?;
    loop {
        let batch = spool.lock().await?.first(most)?;
        if batch.is_empty() {
            return Ok(());
        }
        turn.waits(waits)?;
        let posted = post(api, &batch.events, waits).await;
        turn.waits(false)?;
        let appended = match posted? {
            Posted::Taken(appended) => appended,
            Posted::Unjudged => {
                waits = false;
                continue;
            }
            Posted::Unfit(error) if batch.events.len() == 1 => {
                output::note(format_args!("an event was dropped: {error}"));
                spool.lock().await?.remove(batch.end_of(1))?;
                continue;
            }
            Posted::Unfit(_) => {
                most = batch.events.len() / 2;
                continue;
            }
        };
        ensure!(
            !appended.is_empty() || batch.events.is_empty(),
            "the log of the ledger takes no events now; the next call sends them"
        );
        let locked = spool.lock().await?;
        locked.remove(batch.end_of(appended.len()))?;
        let mut runs = locked.runs();
        if learn(&mut runs, &batch.events, &appended) {
            locked.save(&runs)?;
        }
        most = HOOK_BATCH_EVENTS_MAX.min(2 * most);
    }
}

async fn post(api: &Api, events: &[String], wait: bool) -> anyhow::Result<Posted> {
    if events.is_empty() {
        return Ok(Posted::Taken(Vec::new()));
    }
    let body = format!("[{}]", events.join(","));
    let strict = false;
    let posted = api.post_events(EVENT_BATCH, body, Emitting { wait, strict });
    match posted.await {
        Ok(answer) => {
            // The page of a hotel's network, for example, has the status 200 as well.
            let result: BatchResult = client::read(&answer).context(
                "the events stay in the spool: there was an answer, but not of a ledger",
            )?;
            let items = result.results.into_iter().take(events.len());
            Ok(Posted::Taken(
                items.map_while(|item| item.appended).collect(),
            ))
        }
        Err(ApiError::Problem(problem)) if FAULTS_OF_EVENTS.contains(&problem.code.as_str()) => {
            Ok(Posted::Unfit(ApiError::Problem(problem)))
        }
        // Such as a fold that is behind.
        Err(ApiError::Problem(problem)) if wait && problem.status == 503 => Ok(Posted::Unjudged),
        Err(error) => Err(error.into()),
    }
}

/// Learns from the verdicts on refreshes: the session may be over, or the ledger may not have it. Returns
/// whether this changes anything.
fn learn(runs: &mut Runs, events: &[String], appended: &[Appended]) -> bool {
    let mut changes = false;
    for (event, appended) in events.iter().zip(appended) {
        let reason = appended.reason.as_deref();
        let is_over = [Reason::NotActive, Reason::SessionExpired];
        let is_over = is_over.iter().any(|over| reason == Some(over.code()));
        let Some(session) = refreshed(event) else {
            continue;
        };
        if is_over {
            changes |= runs.over(&session);
        } else if appended.verdict == Verdict::Parked.as_str() {
            changes |= runs.missing(&session);
        }
    }
    changes
}

/// The session that an event refreshes.
fn refreshed(event: &str) -> Option<SessionId> {
    let event: Value = serde_json::from_str(event).ok()?;
    let is_refresh = event["type"] == EventType::SessionRefreshed.as_str();
    let session = event["subject"].as_str().filter(|_| is_refresh)?;
    SessionId::parse(session).ok()
}
