//! Sends the spool, in its order, and learns from the verdicts.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting};
use crate::cli::hook::spool::Spool;
use crate::cli::output;
use crate::domain::limits::HOOK_BATCH_EVENTS_MAX;
use crate::domain::{EventType, Reason, SessionId};
use crate::http::dto::{Appended, BatchResult};

/// Most events of the first request. A slow connection must take them in the time of one call, or the spool
/// would never shrink.
const FIRST_BATCH_EVENTS: usize = 32;

/// How long the command waits for the verdicts of a request, in milliseconds. If the fold is slower, it sends
/// the events again and does not wait.
const VERDICTS_WAIT_MS: u64 = 400;

/// Problems of a batch that its events cause. A smaller one may be taken.
const FAULTS_OF_EVENTS: [&str; 4] = [
    "invalid_batch",
    "batch_too_large",
    "request_too_large",
    "reserved_type",
];

/// How a request of events ended.
enum Posted {
    /// So many of the first events are on the log.
    Taken {
        count: usize,
        /// The sessions whose refresh was rejected because they are over.
        over: Vec<SessionId>,
    },
    /// Nothing was written, because of one of the events.
    Unfit(ApiError),
}

/// Sends all events of the spool, one process after another. A process that is killed after the ledger has
/// taken events leaves them in the spool: the next one sends them again, and copies change nothing.
///
/// The requests grow while the ledger takes them. If it can never take one of the events, such as an event
/// of another version of this program, they shrink until that event is alone, and it is dropped.
pub(super) async fn send(spool: &Spool, api: &Api) -> anyhow::Result<()> {
    let _turn = spool.turn().await?;
    let mut most = FIRST_BATCH_EVENTS;
    let mut waits = true;
    loop {
        let batch = spool.lock().await?.first(most)?;
        if batch.is_empty() {
            return Ok(());
        }
        let Some(posted) = post(api, &batch.events, waits).await? else {
            waits = false;
            continue;
        };
        let (count, over) = match posted {
            Posted::Taken { count: 0, .. } if !batch.events.is_empty() => {
                bail!("the log of the ledger takes no events now; the next call sends them");
            }
            Posted::Taken { count, over } => (count, over),
            Posted::Unfit(error) if batch.events.len() == 1 => {
                output::note(format_args!("an event was dropped: {error}"));
                (1, Vec::new())
            }
            Posted::Unfit(_) => {
                most = batch.events.len() / 2;
                continue;
            }
        };
        let locked = spool.lock().await?;
        locked.remove(batch.end_of(count))?;
        let mut runs = locked.runs();
        let learned = over.iter().filter(|session| runs.over(session)).count();
        if 0 < learned {
            locked.save(&runs)?;
        }
        most = HOOK_BATCH_EVENTS_MAX.min(2 * most);
    }
}

/// Sends events. Returns `None` if their verdicts take too long.
async fn post(api: &Api, events: &[String], waits: bool) -> anyhow::Result<Option<Posted>> {
    if events.is_empty() {
        let (count, over) = (0, Vec::new());
        return Ok(Some(Posted::Taken { count, over }));
    }
    let body = format!("[{}]", events.join(","));
    let how = Emitting {
        wait: waits,
        strict: false,
    };
    let posted = api.post_events(EVENT_BATCH, body, how);
    let posted = if waits {
        match timeout(Duration::from_millis(VERDICTS_WAIT_MS), posted).await {
            Ok(posted) => posted,
            Err(_elapsed) => return Ok(None),
        }
    } else {
        posted.await
    };
    match posted {
        Ok(answer) => {
            // The page of a hotel's network, for example, has the status 200 as well.
            let result: BatchResult = client::read(&answer).context(
                "the events stay in the spool: there was an answer, but not of a ledger",
            )?;
            Ok(Some(taken(events, &result)))
        }
        Err(ApiError::Problem(problem)) if FAULTS_OF_EVENTS.contains(&problem.code.as_str()) => {
            Ok(Some(Posted::Unfit(ApiError::Problem(problem))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Which events are on the log, and what their verdicts say.
fn taken(events: &[String], result: &BatchResult) -> Posted {
    let appended = result
        .results
        .iter()
        .map_while(|item| item.appended.as_ref());
    let appended: Vec<(&String, &Appended)> = events.iter().zip(appended).collect();
    let over = appended
        .iter()
        .filter(|(_, appended)| shows_the_end(appended));
    Posted::Taken {
        count: appended.len(),
        over: over.filter_map(|(event, _)| refreshed(event)).collect(),
    }
}

/// Whether an event was rejected because its session is over.
fn shows_the_end(appended: &Appended) -> bool {
    let ends = [Reason::NotActive, Reason::SessionExpired];
    let reason = appended.reason.as_deref();
    ends.iter().any(|end| reason == Some(end.code()))
}

/// The session that an event refreshes.
fn refreshed(event: &str) -> Option<SessionId> {
    let event: Value = serde_json::from_str(event).ok()?;
    let is_refresh = event["type"] == EventType::SessionRefreshed.as_str();
    let session = event["subject"].as_str().filter(|_| is_refresh)?;
    SessionId::parse(session).ok()
}
