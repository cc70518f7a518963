//! The expiry reactor: writes `session.expired` for sessions whose deadline has passed.
//!
//! It sleeps until the next deadline, so a ledger with nothing due does nothing. It writes under a
//! guard: only if no expiry is on the log that the read model, from which it took the deadlines, does
//! not know of. So of several ledgers on one log one writes each expiry, and the others leave the
//! next deadlines to it for as long as it is in time.
//!
//! Whether a deadline still holds is for the fold to say: a refresh that came first wins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::event::Writer;
use crate::domain::limits::{EXPIRY_BATCH_MAX, EXPIRY_RETRY_MS, EXPIRY_YIELD_MS, FOLD_LAG_MS_MAX};
use crate::domain::{Clock, EventId, EventType, Position, Source, TenantId, Timestamp};
use crate::log::{EventLog, Guard, LogError, NewRecord};
use crate::projection::{Ordinal, Progress, Projection, Snapshot, StoreError, Waited};
use crate::wire::data::SessionExpiredData;
use crate::wire::{EXPIRIES, Envelope, Subject};

const SOURCE: &str = "urn:session-ledger:expiry";
/// First and longest pause before a deadline that did not take effect is written again.
const PAUSE_MIN: Duration = Duration::from_millis(EXPIRY_RETRY_MS.0);
const PAUSE_MAX: Duration = Duration::from_millis(EXPIRY_RETRY_MS.1);
/// How long a deadline is left to a ledger that was faster the last time.
const YIELD: Duration = Duration::from_millis(EXPIRY_YIELD_MS);
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
    /// The last expiry that was known when these were found.
    known: Position,
    /// The earliest deadline that has passed.
    first: Option<(Timestamp, Ordinal)>,
    /// The earliest deadline that has not passed.
    next: Option<Timestamp>,
}

/// What the reactor has learned by trying.
struct Pace {
    /// The earliest deadline of the last attempt.
    tried: Option<(Timestamp, Ordinal)>,
    /// Before that one is tried again.
    pause: Duration,
    /// How long deadlines are left to another ledger.
    patience: Duration,
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// What was written is folded: the deadlines are gone, or moved.
    Folded,
    /// Another ledger has written what we do not know yet.
    Overtaken,
    /// The log did not take it.
    Failed,
    /// The fold has stopped.
    Stopped,
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
        let mut pace = Pace {
            tried: None,
            pause: PAUSE_MIN,
            patience: Duration::ZERO,
        };
        while !self.projection.has_stopped() {
            folded.mark_unchanged();
            let due = self.due(pace.patience).await;
            if due.records.is_empty() {
                let until = |next| self.until(next, pace.patience);
                changed(&mut folded, due.next.map_or(SLEEP_MAX, until)).await;
                continue;
            }
            match self.attempt(due, &mut pace).await {
                Attempt::Folded => pace.patience = Duration::ZERO,
                Attempt::Overtaken => {
                    pace.patience = YIELD;
                    changed(&mut folded, PAUSE_MAX).await;
                }
                Attempt::Failed => {}
                Attempt::Stopped => return,
            }
        }
    }

    async fn attempt(&self, due: Due, pace: &mut Pace) -> Attempt {
        let mut records = due.records;
        if due.first == pace.tried {
            // The log's clock is behind ours, or the log is away: ask with one, ever less often.
            tokio::time::sleep(pace.pause).await;
            pace.pause = PAUSE_MAX.min(pace.pause * 2);
            records.truncate(1);
        } else {
            pace.pause = PAUSE_MIN;
        }
        let attempt = self.write(records, due.known).await;
        if attempt != Attempt::Overtaken {
            pace.tried = due.first;
        }
        attempt
    }

    /// Appends, and waits until that is folded: what is written must not be found due again.
    async fn write(&self, records: Vec<NewRecord>, known: Position) -> Attempt {
        let guard = Guard {
            subject: EXPIRIES,
            after: known,
        };
        let appended = self.log.append_after(records, guard).await;
        let (written, failed): (Vec<_>, Vec<_>) = appended.into_iter().partition(Result::is_ok);
        if let Some(last) = written.into_iter().flatten().max()
            && self.projection.wait_for(last, Duration::MAX).await == Waited::Stopped
        {
            return Attempt::Stopped;
        }
        match failed.into_iter().find_map(Result::err) {
            None => Attempt::Folded,
            Some(LogError::Overtaken) => Attempt::Overtaken,
            Some(error) => {
                tracing::warn!(error = %error, "a deadline was not written; trying again");
                Attempt::Failed
            }
        }
    }

    /// Deadlines that have passed so long ago.
    async fn due(&self, patience: Duration) -> Due {
        let now = self.clock.now();
        // A fold that catches up shows deadlines that later records have moved.
        if Duration::from_millis(FOLD_LAG_MS_MAX) < self.projection.lag(now, self.log.known_head())
        {
            return Due::default();
        }
        let by = now.plus_micros(-micros(patience));
        self.read(move |snapshot| due(snapshot, by))
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

    fn until(&self, deadline: Timestamp, patience: Duration) -> Duration {
        let by = self.clock.now().plus_micros(-micros(patience));
        let micros = deadline.micros_since(by);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(SLEEP_MAX)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Waits until more is folded, or for so long.
async fn changed(folded: &mut watch::Receiver<Progress>, at_most: Duration) {
    // The projection is ours, so it cannot be gone.
    drop(tokio::time::timeout(at_most, folded.changed()).await);
}

fn due(snapshot: &Snapshot, by: Timestamp) -> Result<Due, StoreError> {
    let mut due = Due {
        known: snapshot.progress().last_expiry,
        ..Due::default()
    };
    // Most of the time there is none, and one is enough to know that.
    due.next = snapshot.deadlines(1)?.first().map(|(next, _)| *next);
    if due.next.is_none_or(|next| by < next) {
        return Ok(due);
    }
    let deadlines = snapshot.deadlines(EXPIRY_BATCH_MAX)?;
    due.first = deadlines.first().copied();
    for (deadline, ordinal) in deadlines {
        due.next = Some(deadline);
        if by < deadline {
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
