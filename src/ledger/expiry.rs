//! The expiry reactor: writes `session.expired` for sessions whose deadline has passed.
//!
//! It sleeps until the next deadline, so a ledger with nothing due does nothing. What it writes
//! depends on the session and its deadline alone, so copies from several nodes, or from before and
//! after a restart, are copies to the fold as well. Whether a deadline still holds is for the fold to
//! say: a refresh that came first wins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::event::Writer;
use crate::domain::limits::{EXPIRY_BATCH_MAX, EXPIRY_RETRY_MS, FOLD_LAG_MS_MAX, VERDICT_WAIT_MS};
use crate::domain::{Clock, EventId, EventType, Source, TenantId, Timestamp};
use crate::log::{EventLog, NewRecord};
use crate::projection::{Ordinal, Projection, Snapshot, StoreError};
use crate::wire::data::SessionExpiredData;
use crate::wire::{Envelope, Subject};

const SOURCE: &str = "urn:session-ledger:expiry";
/// First and longest pause before a deadline that did not take effect is written again.
const PAUSE_MIN: Duration = Duration::from_millis(EXPIRY_RETRY_MS.0);
const PAUSE_MAX: Duration = Duration::from_millis(EXPIRY_RETRY_MS.1);
/// Longest sleep: a clock that is set forward, or a machine that wakes up, is noticed by then.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// What the reactor works with.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Expiry {
    /// Where it writes.
    pub log: Arc<dyn EventLog>,
    /// Where it learns of deadlines.
    pub projection: Arc<Projection>,
    /// By which clock.
    pub clock: Arc<dyn Clock>,
}

/// What there is to do now.
#[derive(Default)]
struct Due {
    records: Vec<NewRecord>,
    /// The earliest deadline that has passed.
    first: Option<(Timestamp, Ordinal)>,
    /// The earliest deadline that has not passed.
    next: Option<Timestamp>,
}

impl Expiry {
    /// Runs until told to stop, or until the fold has stopped.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.react() => {}
        }
    }

    async fn react(&self) {
        // After a long absence, others may have moved the deadlines that we remember.
        if let Ok(head) = self.log.head().await {
            self.projection.wait_for(head, Duration::MAX).await;
        }
        let mut folded = self.projection.watch();
        let (mut tried, mut pause) = (None, PAUSE_MIN);
        loop {
            folded.mark_unchanged();
            let due = self.due().await;
            if due.records.is_empty() {
                let wait = due.next.map_or(SLEEP_MAX, |next| self.until(next));
                tokio::select! {
                    changed = folded.changed() => {
                        if changed.is_err() || self.projection.has_stopped() {
                            return;
                        }
                    }
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            let mut records = due.records;
            if due.first == tried {
                // The log's clock is behind ours, or the log is away: ask with one, ever less often.
                tokio::time::sleep(pause).await;
                pause = PAUSE_MAX.min(pause * 2);
                records.truncate(1);
            } else {
                pause = PAUSE_MIN;
            }
            tried = due.first;
            self.write(records).await;
        }
    }

    /// Appends and waits until that is folded; then the deadlines are gone, or moved.
    async fn write(&self, records: Vec<NewRecord>) {
        let appended = self.log.append(records).await;
        let last = appended
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .max()
            .copied();
        if let Some(error) = appended.iter().find_map(|one| one.as_ref().err()) {
            tracing::warn!(error = %error, "a deadline was not written; trying again");
        }
        if let Some(last) = last {
            let wait = Duration::from_millis(VERDICT_WAIT_MS);
            self.projection.wait_for(last, wait).await;
        }
    }

    async fn due(&self) -> Due {
        let now = self.clock.now();
        // A fold that catches up shows deadlines that later records have moved.
        if Duration::from_millis(FOLD_LAG_MS_MAX) < self.projection.lag(now, self.log.known_head())
        {
            return Due::default();
        }
        self.read(move |snapshot| due(snapshot, now))
            .await
            .unwrap_or_default()
    }

    async fn read<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&Snapshot) -> Result<R, StoreError> + Send + 'static,
    ) -> Option<R> {
        let projection = Arc::clone(&self.projection);
        let asked = tokio::task::spawn_blocking(move || ask(&projection.snapshot()?)).await;
        match asked {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::error!(error = %error, "deadlines cannot be read");
                None
            }
            Err(_panicked) => None,
        }
    }

    fn until(&self, deadline: Timestamp) -> Duration {
        let micros = deadline.micros_since(self.clock.now());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(SLEEP_MAX)
    }
}

fn due(snapshot: &Snapshot, now: Timestamp) -> Result<Due, StoreError> {
    let deadlines = snapshot.deadlines(EXPIRY_BATCH_MAX)?;
    let mut due = Due {
        first: deadlines.first().copied(),
        ..Due::default()
    };
    for (deadline, ordinal) in deadlines {
        if now < deadline {
            due.next = Some(deadline);
            break;
        }
        let stored = snapshot.session(ordinal)?;
        let row = stored.row()?;
        let tenant = snapshot.tenant_id(row.tenant)?;
        due.records.push(expired(tenant, row.session_id, deadline));
    }
    Ok(due)
}

/// The same session and deadline give the same bytes on every node.
fn expired(tenant: TenantId, session: &str, deadline: Timestamp) -> NewRecord {
    let id = EventId::parse(&format!("expired-{}", deadline.micros()));
    let body = Envelope {
        id: &id.expect("a word and a number are an id"),
        source: &Source::parse(SOURCE).expect("a constant that is a source"),
        event_type: EventType::SessionExpired,
        subject: session,
        time: Some(deadline),
        tenant: Some(&tenant),
        actor: None,
        data: SessionExpiredData {
            expires_at: deadline,
        },
    }
    .to_json();
    let subject = Subject::new(Writer::Ledger, tenant, EventType::SessionExpired);
    let subject = subject.expect("the ledger may write that a session expired");
    NewRecord {
        subject: subject.to_string().into(),
        private: Bytes::new(),
        body: body.into(),
    }
}
