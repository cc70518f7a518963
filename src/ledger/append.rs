//! Appends events: checks each event, appends it, waits for the fold, and returns its verdict.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::SemaphorePermit;
use tracing::Instrument as _;

use crate::domain::event::Writer;
use crate::domain::limits::{FOLD_LAG_MS_MAX, VERDICT_WAIT_MS, VERDICTS_INLINE_MAX};
use crate::domain::{Clock, Event, EventType, Position, Private, Rules, TenantId};
use crate::ledger::turns::{Turns, Writes};
use crate::log::{EventLog, LogError, NewRecord};
use crate::metrics::trace;
use crate::projection::{Projection, Snapshot, StoreError, VerdictRow, Waited};
use crate::wire::{self, Notes, Opened, Subject, Undecodable};

/// The write side of a ledger.
#[derive(Clone)]
pub struct Ledger {
    log: Arc<dyn EventLog>,
    projection: Arc<Projection>,
    clock: Arc<dyn Clock>,
    turns: Arc<Turns>,
}

/// The right to append events to a ledger and to wait for their verdicts. It ends when it is dropped.
#[must_use]
pub struct Turn<'a> {
    ledger: &'a Ledger,
    _permit: SemaphorePermit<'a>,
}

/// An event that was checked and can be appended.
#[derive(Debug, Clone)]
pub struct Submission {
    record: NewRecord,
    event_type: EventType,
    ignored: Vec<String>,
}

/// The caller that sends an event to a ledger.
#[derive(Debug, Clone, Copy)]
pub struct Emitter<'a> {
    /// The tenant of the event.
    pub tenant: &'a TenantId,
    /// The id of the credential; `None` if the server requires no credentials.
    pub credential: Option<&'a str>,
}

/// Why an event cannot be appended. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// The event is not valid: the fold would reject it.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// Only the ledger itself writes events of this type.
    #[error("only the ledger writes events of type {}", .0.as_str())]
    Reserved(EventType),
}

/// The result of appending an event.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The position of the event.
    pub position: Position,
    /// The verdict; `None` if the fold has not reached the event yet.
    pub verdict: Option<VerdictRow>,
}

/// Why an append failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The fold is too far behind for a verdict in time. Nothing was written.
    #[error("the fold is {} ms behind the log", .0.as_millis())]
    Behind(Duration),
    /// The fold has not reached the head that the log had when the ledger started, or when it began to
    /// mend its read model. Nothing was written.
    #[error("the ledger is still reading its log")]
    Starting,
    /// Too many requests wait for a verdict. Nothing was written.
    #[error("too many requests wait for a verdict")]
    Busy,
    /// The fold has stopped. Nothing was written.
    #[error("the fold has stopped; the server's log says why")]
    Stopped,
    /// The read model failed after the events were appended.
    #[error("the events are on the log, but their verdicts or effects cannot be read")]
    Verdict(#[source] StoreError),
    /// Reading the verdicts panicked, after the events were appended.
    #[error("the events are on the log, but reading their verdicts failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Submission {
    /// Checks an event of a runtime, for a log with these rules.
    ///
    /// The event must be valid by the newest rules too, whatever the rules of the log are.
    pub fn check(rules: Rules, emitter: Emitter<'_>, body: Bytes) -> Result<Self, SubmissionError> {
        let (event_type, event) = Opened::of(&body)?;
        let subject = |writer| {
            let subject = Subject::new(writer, emitter.tenant.clone(), event_type);
            subject.ok_or(SubmissionError::Reserved(event_type))
        };
        let (by_runtime, by_ledger) = (subject(Writer::Runtime)?, subject(Writer::Ledger)?);
        let as_written = Private::of_emitted(emitter.credential);
        let by_first_rules = (rules < Rules::V2).then(|| event.clone());
        let decoded = event.decode(Rules::LATEST, &by_ledger, as_written.clone())?;
        let (subject, private) = match by_first_rules {
            Some(event) => {
                event.decode(rules, &by_runtime, Private::default())?;
                (by_runtime, Private::default())
            }
            None => (by_ledger, as_written),
        };
        let record = record(&subject, &private, body);
        Ok(Self {
            record,
            event_type,
            ignored: decoded.ignored,
        })
    }

    /// The unknown members of `data`, as paths.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Returns an error if `data` has unknown members.
    pub fn strictly(self) -> Result<Self, SubmissionError> {
        if self.ignored.is_empty() {
            return Ok(self);
        }
        Err(wire::command::unknown_members(self.event_type, self.ignored).into())
    }

    /// Checks the values of a tenant's event that the ledger itself writes, and writes them as
    /// JSON. From the second rules on, the private part names the credential as well.
    pub(super) fn of_values(
        rules: Rules,
        tenant: &TenantId,
        event: &Event,
        notes: Notes<'_>,
    ) -> Result<Self, SubmissionError> {
        wire::check(&event.payload, notes.reason)?;
        let event_type = event.event_type();
        let subject = Subject::new(event.writer, tenant.clone(), event_type);
        let subject = subject.ok_or(SubmissionError::Reserved(event_type))?;
        let private = Private {
            written_by: notes.actor.filter(|_| Rules::V2 <= rules).map(Into::into),
            ..event.private.clone()
        };
        let body = wire::encode(Some(tenant), event, notes);
        let record = record(&subject, &private, body.into());
        if !record.fits() {
            return Err(Undecodable::too_large().into());
        }
        debug_assert!(
            wire::decode(rules, &record.subject, &record.private, &record.body).is_ok(),
            "a checked event can be decoded"
        );
        Ok(Self {
            record,
            event_type,
            ignored: Vec::new(),
        })
    }
}

fn record(subject: &Subject, private: &Private, body: Bytes) -> NewRecord {
    NewRecord {
        subject: subject.to_string().into(),
        private: wire::private::encode(private).into(),
        body,
    }
}

impl Ledger {
    /// A ledger that appends to a log and waits for the read model of that log.
    pub fn new(log: Arc<dyn EventLog>, projection: Arc<Projection>, clock: Arc<dyn Clock>) -> Self {
        // Until the fold reaches the head, the rules for the next record are unknown, and readers would see
        // an older state than before a restart.
        projection.owe(log.known_head());
        Self {
            log,
            projection,
            clock,
            turns: Arc::new(Turns::new()),
        }
    }

    /// The log to which the ledger appends.
    pub(super) fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// The rules for the next record, as of the last record that the fold has applied.
    pub fn rules(&self) -> Rules {
        self.projection.progress().rules.current()
    }

    /// The read model that the ledger waits for.
    pub(super) fn projection(&self) -> &Arc<Projection> {
        &self.projection
    }

    /// Whether [`turn`](Self::turn) would fail at once.
    pub fn is_busy(&self) -> bool {
        self.turns.are_taken()
    }

    /// Waits for a turn to append events and to wait for their verdicts. Fails as [`AppendError::Busy`] if
    /// the ledger has too many writes.
    pub async fn turn(&self) -> Result<Turn<'_>, AppendError> {
        self.check_fold()?;
        let turn = self.turns.next().await.ok_or(AppendError::Busy)?;
        Ok(Turn {
            ledger: self,
            _permit: turn,
        })
    }

    /// How many writes are under way.
    pub fn writes(&self) -> Writes {
        self.turns.writes()
    }

    /// A snapshot of the current read model.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.projection.snapshot()
    }

    /// Appends events, and returns their positions once the log has stored them.
    pub async fn append(
        &self,
        events: Vec<Submission>,
    ) -> Result<Vec<Result<Position, LogError>>, AppendError> {
        self.check_rules_are_known()?;
        Ok(self.append_now(events).await)
    }

    async fn append_now(&self, events: Vec<Submission>) -> Vec<Result<Position, LogError>> {
        let span = tracing::trace_span!(target: trace::TARGET, "append", records = events.len());
        self.log
            .append(events.into_iter().map(|event| event.record).collect())
            .instrument(span)
            .await
    }

    /// Returns an error if the fold lags too far behind for verdicts in time.
    fn check_fold(&self) -> Result<(), AppendError> {
        self.check_rules_are_known()?;
        let lag = self.projection.lag(self.clock.now(), self.log.known_head());
        if Duration::from_millis(FOLD_LAG_MS_MAX) < lag {
            return Err(AppendError::Behind(lag));
        }
        Ok(())
    }

    /// Returns an error if the rules for the next record are unknown.
    fn check_rules_are_known(&self) -> Result<(), AppendError> {
        if self.projection.has_stopped() {
            return Err(AppendError::Stopped);
        }
        if self.projection.check_started().is_err() {
            return Err(AppendError::Starting);
        }
        Ok(())
    }
}

impl Turn<'_> {
    /// Appends events, and returns the fold's verdict on each. An event that the fold has not
    /// reached in time has no verdict: read it later by its position.
    pub async fn append_and_wait(
        &self,
        tenant: &TenantId,
        events: Vec<Submission>,
    ) -> Result<Vec<Result<Receipt, LogError>>, AppendError> {
        let ledger = self.ledger;
        // It may have changed while the caller waited for its turn.
        ledger.check_fold()?;
        let bodies: Vec<_> = events
            .iter()
            .map(|event| event.record.body.clone())
            .collect();
        let appended = ledger.append_now(events).await;
        let Some(last) = appended
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .max()
            .copied()
        else {
            return Ok(appended
                .into_iter()
                .map(|one| one.map(Receipt::pending))
                .collect());
        };
        let wait = Duration::from_millis(VERDICT_WAIT_MS);
        let _reached: Waited = ledger.projection.wait_for(last, wait).await;
        let (projection, tenant) = (Arc::clone(&ledger.projection), tenant.clone());
        let count = appended.len();
        let read = move || {
            let ask = |snapshot: &Snapshot| read_verdicts(snapshot, &tenant, &appended, &bodies);
            match projection.read(ask) {
                // The verdicts can be read later.
                Err(error) if error.is_temporary() => {
                    let pending = appended.into_iter().map(|one| one.map(Receipt::pending));
                    Ok(pending.collect())
                }
                verdicts => verdicts.map_err(AppendError::Verdict),
            }
        };
        if count <= VERDICTS_INLINE_MAX {
            return read();
        }
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|panicked| Err(AppendError::Panicked(panicked)))
    }
}

impl Receipt {
    fn pending(position: Position) -> Self {
        Self {
            position,
            verdict: None,
        }
    }
}

/// Reads the verdicts on events that were appended.
///
/// A log that was replaced by an older copy gives a new event a position that this ledger has folded
/// before. The verdict there belongs to another event, so the append counts as unconfirmed.
fn read_verdicts(
    snapshot: &Snapshot,
    tenant: &TenantId,
    appended: &[Result<Position, LogError>],
    bodies: &[Bytes],
) -> Result<Vec<Result<Receipt, LogError>>, StoreError> {
    let folded = snapshot.progress().position;
    let tenant = snapshot.of_tenant(tenant)?;
    let mut receipts = Vec::with_capacity(appended.len());
    for (one, body) in appended.iter().zip(bodies) {
        let position = match one {
            Ok(position) => *position,
            Err(error) => {
                receipts.push(Err(error.clone()));
                continue;
            }
        };
        let verdict = match tenant {
            Some(tenant) => tenant.verdict(position)?,
            None => None,
        };
        receipts.push(match verdict {
            Some(row) if row.is_on(body) => Ok(Receipt {
                position,
                verdict: Some(row),
            }),
            None if folded < position => Ok(Receipt::pending(position)),
            Some(_) | None => Err(LogError::unconfirmed(format!(
                "the log gave the event position {position}, where another event was folded"
            ))),
        });
    }
    Ok(receipts)
}
