//! Sends the spool, in its order.

use anyhow::ensure;

use crate::cli::client::{self, Api, ApiError, EVENT_BATCH, Emitting, ONE_EVENT};
use crate::cli::hook::spool::{Batch, Spool};
use crate::cli::output;
use crate::domain::Reason;
use crate::http::dto::BatchResult;

/// The agent does not wait for verdicts.
const HOW: Emitting = Emitting {
    wait: false,
    strict: false,
};

/// Sends all events of the spool, one process after another. A process that is killed after the ledger has
/// taken events leaves them in the spool: the next one sends them again, and copies change nothing.
pub(super) async fn send(spool: &Spool, api: &Api) -> anyhow::Result<()> {
    let _turn = spool.turn().await?;
    loop {
        let batch = spool.lock().await?.first()?;
        if batch.is_empty() {
            return Ok(());
        }
        let (sent, failed) = send_batch(api, &batch).await;
        if batch.events.is_empty() || 0 < sent {
            spool.lock().await?.remove(batch.end_of(sent))?;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        ensure!(
            0 < sent || batch.events.is_empty(),
            "the log of the ledger takes no events now; the next call sends them"
        );
    }
}

/// Sends a batch. Returns how many of its first events need not be sent again.
async fn send_batch(api: &Api, batch: &Batch) -> (usize, Option<ApiError>) {
    if batch.events.is_empty() {
        return (0, None);
    }
    let body = format!("[{}]", batch.events.join(","));
    match api.post_events(EVENT_BATCH, body, HOW).await {
        Ok(answer) => match client::read::<BatchResult>(&answer) {
            Ok(result) => {
                let unsent = |status: u16| status == 503;
                let taken = result.results.iter();
                let first = taken.take_while(|item| !unsent(item.status)).count();
                (first, None)
            }
            Err(_unreadable) => (batch.events.len(), None),
        },
        Err(ApiError::Problem(problem)) if problem.code == "invalid_batch" => {
            send_singly(api, batch).await
        }
        Err(error) => (0, Some(error)),
    }
}

/// Sends each event by itself, and drops those that the ledger can never take, such as events of another
/// version of this program.
async fn send_singly(api: &Api, batch: &Batch) -> (usize, Option<ApiError>) {
    for (sent, event) in batch.events.iter().enumerate() {
        match api.post_events(ONE_EVENT, event.clone(), HOW).await {
            Ok(_taken) => {}
            Err(ApiError::Problem(problem)) if is_final(&problem.code) => {
                output::note(format_args!("an event was dropped: {}", problem.detail));
            }
            Err(error) => return (sent, Some(error)),
        }
    }
    (batch.events.len(), None)
}

/// Whether a problem is a fault of the event, so that sending it again does not help.
fn is_final(code: &str) -> bool {
    Reason::ALL.iter().any(|reason| reason.code() == code)
}
