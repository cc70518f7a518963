//! Whether the stream accepts messages. The answers to appends show it. While the stream refuses them, a
//! probe asks again, because callers send no events to a ledger that is not ready.

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

/// Whether the stream accepted the last append.
#[derive(Debug)]
pub(super) struct Writable(watch::Sender<Option<Refusal>>);

/// Why the stream refuses messages, and since when.
#[derive(Debug)]
struct Refusal {
    why: String,
    since: Instant,
}

impl Default for Writable {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Writable {
    /// Why the stream refuses messages; `None` if it accepted the last one.
    pub(super) fn refusal(&self) -> Option<String> {
        self.0.borrow().as_ref().map(|refusal| refusal.why.clone())
    }

    /// Sets that the stream accepts messages.
    pub(super) fn accept(&self) {
        if self.0.borrow().is_none() {
            return;
        }
        self.0.send_if_modified(|state| match state.take() {
            Some(refusal) => {
                let seconds = refusal.since.elapsed().as_secs();
                tracing::info!("the log accepts writes again, after {seconds} s");
                true
            }
            None => false,
        });
    }

    /// Sets that the stream refuses all messages, and why.
    pub(super) fn refuse(&self, why: &str) {
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

/// Whether an error says that the stream refuses all messages, and not only this one.
pub(super) fn is_refusal(error: &jetstream::Error) -> bool {
    500 <= error.code() || error.error_code() == ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
}

/// Probes a stream that refuses messages, until the future is dropped.
pub(super) async fn watch(link: &Link, stream_subject: &str) -> LogError {
    let mut refusals = link.writable.0.subscribe();
    loop {
        if refusals.wait_for(Option::is_some).await.is_err() {
            return future::pending().await;
        }
        sleep(Duration::from_millis(LOG_PROBE_MS)).await;
        if link.writable.refusal().is_some() && probe(link, stream_subject).await.is_ok() {
            link.writable.accept();
        }
    }
}

/// Checks whether the stream would accept a message, without storing one. The server checks the first
/// message of an atomic batch like any other, and stores nothing if the batch is not committed.
pub(super) async fn probe(link: &Link, stream_subject: &str) -> Result<(), LogError> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<jetstream::Error>,
    }
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
        .map_err(|_elapsed| LogError::refusing("NATS does not answer"))?
        .map_err(LogError::refusing)?;
    // The server drops the batch because message 2 is missing.
    drop(
        link.client
            .publish_with_headers(subject, headers("3"), "".into())
            .await,
    );
    match serde_json::from_slice(&answer.payload) {
        Ok(Answer { error: Some(error) }) if is_refusal(&error) => Err(LogError::refusing(error)),
        // The stream accepts the message, or refuses only the probe.
        Ok(Answer { .. }) | Err(_) => Ok(()),
    }
}
