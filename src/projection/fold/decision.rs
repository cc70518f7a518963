//! One step of the fold: the event and the decision on it.

use crate::domain::{EventKey, Moment, Position, Private, Reason, Verdict};
use crate::projection::error::{Rejection, StoreError};
use crate::projection::keys::Entity;
use crate::projection::numbers::{AgentNumber, TenantNumber};
use crate::projection::prepare::Prepared;
use crate::projection::working::Working;

/// The verdict on an event, and what the event is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) subject: Option<Entity>,
    pub(crate) agent: Option<AgentNumber>,
}

/// An event with everything that its verdict depends on besides the read model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) tenant: TenantNumber,
    pub(crate) at: Moment,
    pub(crate) key: EventKey,
    pub(crate) private: &'a Private,
    pub(crate) prepared: &'a Prepared,
}

impl Decision {
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            subject: None,
            agent: None,
        }
    }

    pub(crate) fn rejected(reason: Reason) -> Self {
        Self::new(Verdict::Rejected(reason))
    }

    /// The decision on an event that was applied or refused; fails if the read model failed.
    pub(crate) fn of(changed: Result<(), Rejection>) -> Result<Self, StoreError> {
        Ok(match changed {
            Ok(()) => Self::new(Verdict::Applied),
            Err(refused) => Self::rejected(refused.reason()?),
        })
    }

    pub(crate) fn about(self, subject: Entity, agent: AgentNumber) -> Self {
        Self {
            subject: Some(subject),
            agent: Some(agent),
            ..self
        }
    }
}

/// The verdict on an event whose key was used before: a duplicate if its body is the same.
pub(crate) fn copy_or_reuse(
    working: &Working<'_>,
    step: &Step<'_>,
    first: Position,
) -> Result<Verdict, StoreError> {
    let same = working.verdict(step.tenant, first)?.body_hash == step.prepared.body_hash();
    Ok(if same {
        Verdict::Duplicate(first)
    } else {
        Verdict::Rejected(Reason::IdReused)
    })
}
