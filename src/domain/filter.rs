//! What a listing asks for.

use crate::domain::ids::{AgentId, ProjectId};
use crate::domain::session::Status;
use crate::domain::time::Timestamp;

/// A set of session statuses; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusSet(u8);

impl StatusSet {
    /// Every status.
    pub const ALL: Self = Self(0b1111);

    /// Just these; `None` if there are none.
    pub fn of(statuses: &[Status]) -> Option<Self> {
        let bits = statuses
            .iter()
            .fold(0, |bits, status| bits | 1 << (*status as u8));
        (bits != 0).then_some(Self(bits))
    }

    /// Whether the set has this status.
    pub fn has(self, status: Status) -> bool {
        self.0 & 1 << (status as u8) != 0
    }

    /// Its statuses in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Status> {
        Status::ALL
            .into_iter()
            .filter(move |status| self.has(*status))
    }

    /// One bit per status.
    pub fn bits(self) -> u8 {
        self.0
    }
}

/// Half-open range of creation times: `after <= created_at < before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// Earliest time inside.
    pub after: Option<Timestamp>,
    /// Earliest time outside again.
    pub before: Option<Timestamp>,
}

/// Whose sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// All of the tenant.
    Tenant,
    /// Those of one agent.
    Agent(AgentId),
    /// Those of one project.
    Project(ProjectId),
}

/// Which sessions of a tenant a listing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFilter {
    /// Whose.
    pub owner: Owner,
    /// In which statuses.
    pub statuses: StatusSet,
    /// Created when.
    pub created: TimeRange,
}

impl Default for SessionFilter {
    fn default() -> Self {
        Self {
            owner: Owner::Tenant,
            statuses: StatusSet::ALL,
            created: TimeRange::default(),
        }
    }
}
