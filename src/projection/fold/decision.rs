//! What one step of the fold is about, and what it decided.

use crate::domain::{EventKey, Moment, Position, Private, Reason, Verdict};
use crate::projection::error::StoreError;
use crate::projection::keys::Entity;
use crate::projection::numbers::{AgentNumber, TenantNumber};
use crate::projection::prepare::Prepared;
use crate::projection::working::Working;

/// What a fold step decided, and about whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) subject: Option<Entity>,
    pub(crate) agent: Option<AgentNumber>,
}

/// An event in its place.
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

    pub(crate) fn about(self, subject: Entity, agent: AgentNumber) -> Self {
        Self {
            subject: Some(subject),
            agent: Some(agent),
            ..self
        }
    }
}

impl From<Result<(), Reason>> for Decision {
    fn from(result: Result<(), Reason>) -> Self {
        result.map_or_else(Self::rejected, |()| Self::new(Verdict::Applied))
    }
}

/// An event whose key was used before: a copy if its body is the same.
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
