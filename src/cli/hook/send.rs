//! Sends the spool, in its order, and learns from the verdicts.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting};
use crate::cli::hook::save;
use crate::cli::hook::spool::Spool;
use crate::cli::output;
use crate::domain::limits::HOOK_BATCH_EVENTS_MAX;
use crate::domain::{EventType, SessionId};
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
/// It waits for the verdicts, except on events that a process was sending when it was stopped: otherwise
/// every call could send the same events, and remove none.
pub(super) async fn send(spool: &Spool, api: &Api) -> anyhow::Result<()> {
    let turn = spool.turn().await?;
    let mut most = FIRST_BATCH_EVENTS;
    // The ledger may have these already.
    let mut cut = turn.cut()?;
    let mut may_wait = true;
    loop {
        let at_most = if cut == 0 { most } else { most.min(cut) };
        let batch = spool.lock().await?.first(at_most)?;
        if batch.is_empty() {
            return Ok(());
        }
        turn.sends(batch.events.len())?;
        let posted = post(api, &batch.events, may_wait && cut == 0).await;
        turn.sends(0)?;
        let appended = match posted? {
            Posted::Taken(appended) => appended,
            Posted::Unjudged => {
                may_wait = false;
                continue;
            }
            Posted::Unfit(error) if batch.events.len() == 1 => {
                output::note(format_args!("an event was dropped: {error}"));
                spool.lock().await?.remove(batch.end_of(1))?;
                cut = cut.saturating_sub(1);
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
        // This comes first: a process that is killed in between sends the events again.
        let mut runs = locked.runs();
        if learn(&mut runs, &batch.events, &appended) {
            save(&locked, &runs);
        }
        locked.remove(batch.end_of(appended.len()))?;
        cut = cut.saturating_sub(appended.len());
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

/// Learns from the verdicts on refreshes. Returns whether this changes anything.
fn learn(runs: &mut Runs, events: &[String], appended: &[Appended]) -> bool {
    let mut changes = false;
    for (
        event,
        Appended {
            verdict, reason, ..
        },
    ) in events.iter().zip(appended)
    {
        if let Some(session) = refreshed(event) {
            changes |= runs.judged(&session, verdict, reason.as_deref());
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
