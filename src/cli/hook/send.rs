//! Sends the spool, in its order.

use anyhow::{Context as _, bail};

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting};
use crate::cli::hook::spool::Spool;
use crate::cli::output;
use crate::domain::limits::HOOK_BATCH_EVENTS_MAX;
use crate::http::dto::BatchResult;

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

/// The agent does not wait for verdicts.
const HOW: Emitting = Emitting {
    wait: false,
    strict: false,
};

/// How a request of events ended.
enum Posted {
    /// So many of the first events are on the log.
    Taken(usize),
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
    loop {
        let batch = spool.lock().await?.first(most)?;
        if batch.is_empty() {
            return Ok(());
        }
        let sent = match post(api, &batch.events).await? {
            Posted::Taken(0) if !batch.events.is_empty() => {
                bail!("the log of the ledger takes no events now; the next call sends them");
            }
            Posted::Taken(sent) => sent,
            Posted::Unfit(error) if batch.events.len() == 1 => {
                output::note(format_args!("an event was dropped: {error}"));
                1
            }
            Posted::Unfit(_) => {
                most = batch.events.len() / 2;
                continue;
            }
        };
        spool.lock().await?.remove(batch.end_of(sent))?;
        most = HOOK_BATCH_EVENTS_MAX.min(2 * most);
    }
}

async fn post(api: &Api, events: &[String]) -> anyhow::Result<Posted> {
    if events.is_empty() {
        return Ok(Posted::Taken(0));
    }
    let body = format!("[{}]", events.join(","));
    match api.post_events(EVENT_BATCH, body, HOW).await {
        Ok(answer) => {
            // The page of a hotel's network, for example, has the status 200 as well.
            let result: BatchResult = client::read(&answer).context(
                "the events stay in the spool: there was an answer, but not of a ledger",
            )?;
            let items = result.results.iter();
            let on_the_log = items.take_while(|item| item.appended.is_some());
            Ok(Posted::Taken(on_the_log.count()))
        }
        Err(ApiError::Problem(problem)) if FAULTS_OF_EVENTS.contains(&problem.code.as_str()) => {
            Ok(Posted::Unfit(ApiError::Problem(problem)))
        }
        Err(error) => Err(error.into()),
    }
}
