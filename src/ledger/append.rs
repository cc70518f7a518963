//! Appending: check what can be checked alone, append, wait for the fold, answer with its verdict.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::domain::event::Writer;
use crate::domain::limits::{FOLD_LAG_MS_MAX, VERDICT_WAIT_MS, WAITERS_MAX};
use crate::domain::{Clock, EventType, Position, Private, Reason, TenantId};
use crate::log::{EventLog, LogError, NewRecord};
use crate::projection::{Projection, StoreError, VerdictRow, Waited};
use crate::wire::{self, FieldError, Subject, Undecodable};

/// The write side of a ledger.
#[derive(Clone)]
pub struct Ledger {
    log: Arc<dyn EventLog>,
    projection: Arc<Projection>,
    clock: Arc<dyn Clock>,
    waiters: Arc<Semaphore>,
}

/// An event that is fit for the log.
#[derive(Debug, Clone)]
pub struct Submission {
    record: NewRecord,
}

/// Why an event is not fit for the log. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would be rejected by whoever reads it.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// Only the ledger itself writes events of this type.
    #[error("events of type {} are written by the ledger alone", .0.as_str())]
    Reserved(EventType),
}

/// What became of an appended event.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Where it stands on the log.
    pub position: Position,
    /// What the fold decided; `None` if it is not there yet.
    pub verdict: Option<VerdictRow>,
}

/// Why no answer can be given for a request as a whole.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The fold is too far behind for a verdict in time. Nothing was written.
    #[error("the fold is {} ms behind the log", .0.as_millis())]
    Behind(Duration),
    /// Too many requests wait for a verdict. Nothing was written.
    #[error("too many requests wait for a verdict")]
    Busy,
    /// The fold has stopped. Nothing was written.
    #[error("the fold has stopped; the server's log says why")]
    Stopped,
    /// The read model failed after the events were written.
    #[error("the events are on the log, but their verdicts cannot be read")]
    Verdict(#[source] StoreError),
}

impl Submission {
    /// Checks an event that a runtime of this tenant sends.
    pub fn check(tenant: &TenantId, body: Bytes) -> Result<Self, Refused> {
        let event_type = wire::event_type(&body)?;
        let subject = Subject::new(Writer::Runtime, tenant.clone(), event_type)
            .ok_or(Refused::Reserved(event_type))?
            .to_string();
        wire::decode(&subject, &[], &body)?;
        Ok(Self {
            record: NewRecord {
                subject: subject.into(),
                private: Bytes::new(),
                body,
            },
        })
    }
}

impl Submission {
    /// Checks an event that the ledger itself writes.
    pub(super) fn of_ledger(
        subject: &Subject,
        private: &Private,
        body: Bytes,
    ) -> Result<Self, Refused> {
        let subject = subject.to_string();
        let private = wire::private::encode(private);
        wire::decode(&subject, &private, &body)?;
        Ok(Self {
            record: NewRecord {
                subject: subject.into(),
                private: private.into(),
                body,
            },
        })
    }
}

impl Refused {
    /// The reason code, and what is wrong field by field.
    pub fn details(&self) -> (Option<Reason>, &[FieldError]) {
        match self {
            Self::Undecodable(undecodable) => (Some(undecodable.reason), &undecodable.errors),
            Self::Reserved(_) => (None, &[]),
        }
    }
}

impl Ledger {
    /// A write side over a log and the read model that is folded from it.
    pub fn new(log: Arc<dyn EventLog>, projection: Arc<Projection>, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            projection,
            clock,
            waiters: Arc::new(Semaphore::new(WAITERS_MAX)),
        }
    }

    /// The log that it writes to.
    pub(super) fn log(&self) -> &dyn EventLog {
        &*self.log
    }

    /// Appends events and answers once the log keeps them.
    pub async fn append(&self, events: Vec<Submission>) -> Vec<Result<Position, LogError>> {
        self.log
            .append(events.into_iter().map(|event| event.record).collect())
            .await
    }

    /// Appends events and answers with the fold's verdict on each. What the fold has not reached in
    /// time has none yet: ask for it later by its position.
    pub async fn append_and_wait(
        &self,
        tenant: &TenantId,
        events: Vec<Submission>,
    ) -> Result<Vec<Result<Outcome, LogError>>, AppendError> {
        let _waiting = self
            .waiters
            .try_acquire()
            .map_err(|_full| AppendError::Busy)?;
        self.check_fold()?;
        let appended = self.append(events).await;
        let Some(last) = appended
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .max()
            .copied()
        else {
            return Ok(appended
                .into_iter()
                .map(|one| one.map(Outcome::pending))
                .collect());
        };
        let wait = Duration::from_millis(VERDICT_WAIT_MS);
        let _reached: Waited = self.projection.wait_for(last, wait).await;
        let (projection, tenant) = (Arc::clone(&self.projection), tenant.clone());
        let read = move || read_verdicts(&projection, &tenant, appended);
        let verdicts = tokio::task::spawn_blocking(read).await;
        verdicts
            .unwrap_or(Err(StoreError::Damaged("verdicts")))
            .map_err(AppendError::Verdict)
    }

    /// Whether the fold keeps up well enough to promise verdicts.
    fn check_fold(&self) -> Result<(), AppendError> {
        if self.projection.has_stopped() {
            return Err(AppendError::Stopped);
        }
        let lag = self.projection.lag(self.clock.now(), self.log.known_head());
        if Duration::from_millis(FOLD_LAG_MS_MAX) < lag {
            return Err(AppendError::Behind(lag));
        }
        Ok(())
    }
}

impl Outcome {
    fn pending(position: Position) -> Self {
        Self {
            position,
            verdict: None,
        }
    }
}

fn read_verdicts(
    projection: &Projection,
    tenant: &TenantId,
    appended: Vec<Result<Position, LogError>>,
) -> Result<Vec<Result<Outcome, LogError>>, StoreError> {
    let snapshot = projection.snapshot()?;
    let tenant = snapshot.tenant(tenant)?;
    let mut outcomes = Vec::with_capacity(appended.len());
    for one in appended {
        outcomes.push(match (one, tenant) {
            (Ok(position), Some(tenant)) => Ok(Outcome {
                position,
                verdict: snapshot.verdict(tenant, position)?,
            }),
            (Ok(position), None) => Ok(Outcome::pending(position)),
            (Err(error), _) => Err(error),
        });
    }
    Ok(outcomes)
}
