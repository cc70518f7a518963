//! Whether the server takes what is appended: told by its answers, and, while it takes nothing, by a
//! probe, because nobody sends events to a ledger that is not ready.

use std::future;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use async_nats::jetstream::{self, ErrorCode};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::link::Link;
use crate::domain::limits::{LOG_PROBE_MS, LOG_PROBE_WAIT_MS};
use crate::log::LogError;

/// What the server last said of appends.
#[derive(Debug)]
pub(super) struct Taking(watch::Sender<Option<Refusal>>);

/// Why nothing is taken, and since when.
#[derive(Debug)]
struct Refusal {
    why: String,
    since: Instant,
}

impl Default for Taking {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Taking {
    /// Why nothing is taken; `None` as far as is known.
    pub(super) fn refusal(&self) -> Option<String> {
        self.0.borrow().as_ref().map(|refusal| refusal.why.clone())
    }

    /// Notes that the server took an append.
    pub(super) fn note_taken(&self) {
        if self.0.borrow().is_none() {
            return;
        }
        self.0.send_if_modified(|state| match state.take() {
            Some(refusal) => {
                let seconds = refusal.since.elapsed().as_secs();
                tracing::info!("the log takes writes again, after {seconds} s");
                true
            }
            None => false,
        });
    }

    /// Notes that the server refused an append for a reason that is not the append's.
    pub(super) fn note_refused(&self, why: &str) {
        self.0.send_if_modified(|state| {
            if state.is_some() {
                return false;
            }
            tracing::warn!("the log refuses writes: {why}");
            *state = Some(Refusal {
                why: why.to_owned(),
                since: Instant::now(),
            });
            true
        });
    }
}

/// Whether the stream itself refuses everything, and not this message.
pub(super) fn is_refusal(error: &jetstream::Error) -> bool {
    500 <= error.code() || error.error_code() == ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
}

/// Asks a log that refuses writes whether it takes them again, until dropped.
pub(super) async fn watch(link: &Link, stream_subject: &str) {
    let mut refusals = link.taking.0.subscribe();
    loop {
        if refusals.wait_for(Option::is_some).await.is_err() {
            return future::pending().await;
        }
        sleep(Duration::from_millis(LOG_PROBE_MS)).await;
        if link.taking.refusal().is_some() && probe(link, stream_subject).await.is_ok() {
            link.taking.note_taken();
        }
    }
}

/// Whether the stream would take a message, without giving it one: the server checks the first message
/// of an atomic batch as any other, and stores none of a batch that is not committed.
pub(super) async fn probe(link: &Link, stream_subject: &str) -> Result<(), LogError> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<jetstream::Error>,
    }
    let refuses = |why: String| LogError::Refusing(why);
    let id = Uuid::new_v4().simple().to_string();
    let headers = |sequence: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_BATCH_ID, id.as_str());
        headers.insert(NATS_BATCH_SEQUENCE, sequence);
        headers
    };
    let subject = stream_subject.to_owned();
    let first = link
        .client
        .request_with_headers(subject.clone(), headers("1"), "".into());
    let wait = Duration::from_millis(LOG_PROBE_WAIT_MS);
    let answer = timeout(wait, first)
        .await
        .map_err(|_elapsed| refuses("it does not answer".to_owned()))?
        .map_err(|error| refuses(error.to_string()))?;
    // A number that does not follow makes the server forget the batch at once.
    drop(
        link.client
            .publish_with_headers(subject, headers("3"), "".into())
            .await,
    );
    match serde_json::from_slice(&answer.payload) {
        Ok(Answer { error: Some(error) }) if is_refusal(&error) => Err(refuses(error.to_string())),
        // It is taken, or something is wrong with the probe alone.
        Ok(Answer { .. }) | Err(_) => Ok(()),
    }
}
