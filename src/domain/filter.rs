//! Filters of listings.

use std::marker::PhantomData;

use strum::VariantArray;

use crate::domain::agent::AgentStatus;
use crate::domain::ids::{AgentId, ProjectId, SessionId};
use crate::domain::session::{Outcome, Status};
use crate::domain::time::Timestamp;

/// A status by which listings can be filtered.
pub trait ListedStatus: Copy + VariantArray {
    /// Its number. The numbers begin with 0 and have no gaps.
    fn number(self) -> u8;
}

impl ListedStatus for Status {
    fn number(self) -> u8 {
        self as u8
    }
}

impl ListedStatus for AgentStatus {
    fn number(self) -> u8 {
        self as u8
    }
}

/// A set of statuses, by default of sessions. It is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusSet<S = Status> {
    bits: u8,
    of: PhantomData<S>,
}

impl<S: ListedStatus> StatusSet<S> {
    /// Every status.
    pub const ALL: Self = Self::from_bits((1 << S::VARIANTS.len()) - 1);

    /// The set with only this status.
    pub fn only(status: S) -> Self {
        Self::from_bits(1 << status.number())
    }

    /// The set with only these statuses; `None` if there are none.
    pub fn of(statuses: &[S]) -> Option<Self> {
        let bits = statuses
            .iter()
            .fold(0, |bits, status| bits | 1 << status.number());
        (bits != 0).then_some(Self::from_bits(bits))
    }

    /// Whether the set has this status.
    pub fn has(self, status: S) -> bool {
        self.bits & 1 << status.number() != 0
    }

    /// Its statuses in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = S> {
        S::VARIANTS
            .iter()
            .copied()
            .filter(move |status| self.has(*status))
    }

    /// One bit per status.
    pub fn bits(self) -> u8 {
        self.bits
    }

    const fn from_bits(bits: u8) -> Self {
        let of = PhantomData;
        Self { bits, of }
    }
}

/// A set of outcomes of terminated sessions, and of having no outcome. It is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutcomeSet {
    /// One bit for each number of an outcome, and the bit 0 for none.
    bits: u8,
}

impl OutcomeSet {
    /// Every outcome, and none.
    pub const ALL: Self = Self {
        bits: (1 << (Outcome::ALL.len() + 1)) - 1,
    };

    /// The set with only these; `None` if there are none.
    pub fn of(outcomes: &[Option<Outcome>]) -> Option<Self> {
        let bits = outcomes
            .iter()
            .fold(0, |bits, outcome| bits | Self::bit(*outcome));
        (bits != 0).then_some(Self { bits })
    }

    /// Whether the set has this outcome, or having none.
    pub fn has(self, outcome: Option<Outcome>) -> bool {
        self.bits & Self::bit(outcome) != 0
    }

    /// One bit per outcome.
    pub fn bits(self) -> u8 {
        self.bits
    }

    fn bit(outcome: Option<Outcome>) -> u8 {
        1 << outcome.map_or(0, |outcome| outcome as u8)
    }
}

/// Half-open range of creation times: `after <= created_at < before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TimeRange {
    /// The earliest time in the range.
    pub after: Option<Timestamp>,
    /// The earliest time after the range.
    pub before: Option<Timestamp>,
}

/// The owner of the sessions of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// All sessions of the tenant.
    Tenant,
    /// The sessions of some agents.
    Agents(AgentIds),
    /// The sessions of one project.
    Project(ProjectId),
    /// The sessions that one session opened, by creation or by a hand-off.
    Parent(SessionId),
    /// The sessions that run for one user.
    User(Box<str>),
}

impl Owner {
    /// The sessions of one agent.
    pub fn agent(id: AgentId) -> Self {
        Self::Agents(AgentIds(Box::new([id])))
    }
}

/// Some agents: at least one, and each once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentIds(Box<[AgentId]>);

impl AgentIds {
    /// These agents; `None` if there are none.
    pub fn of(mut ids: Vec<AgentId>) -> Option<Self> {
        ids.sort_unstable();
        ids.dedup();
        (!ids.is_empty()).then(|| Self(ids.into()))
    }

    /// The agents, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &AgentId> {
        self.0.iter()
    }
}

/// The sessions of a tenant that a listing contains.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionFilter {
    /// Their owner.
    pub owner: Owner,
    /// Whether they are roots: true for only those without a parent, false for only those with one.
    pub root: Option<bool>,
    /// Their statuses.
    pub statuses: StatusSet,
    /// The outcomes of those that were terminated. Sessions with another status have none, and are not
    /// asked.
    pub outcomes: OutcomeSet,
    /// The range of their times of creation.
    pub created: TimeRange,
}

impl Default for SessionFilter {
    fn default() -> Self {
        Self {
            owner: Owner::Tenant,
            root: None,
            statuses: StatusSet::ALL,
            outcomes: OutcomeSet::ALL,
            created: TimeRange::default(),
        }
    }
}

/// The agents of a tenant that a listing contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFilter {
    /// Their type.
    pub agent_type: Option<Box<str>>,
    /// Their trust level.
    pub trust_level: Option<Box<str>>,
    /// Their statuses.
    pub statuses: StatusSet<AgentStatus>,
}

impl Default for AgentFilter {
    fn default() -> Self {
        Self {
            agent_type: None,
            trust_level: None,
            statuses: StatusSet::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: ListedStatus + std::fmt::Debug + PartialEq>() {
        assert_eq!(StatusSet::of(S::VARIANTS), Some(StatusSet::<S>::ALL));
        assert!(StatusSet::<S>::ALL.iter().eq(S::VARIANTS.iter().copied()));
        assert_eq!(StatusSet::<S>::of(&[]), None);
        for status in S::VARIANTS {
            let one = StatusSet::only(*status);
            assert_eq!(StatusSet::of(&[*status]), Some(one));
            assert_eq!(one.iter().collect::<Vec<_>>(), [*status]);
        }
    }

    #[test]
    fn a_set_has_the_outcomes_that_it_was_made_of() {
        let every: Vec<_> = Outcome::ALL.iter().copied().map(Some).collect();
        let every = [vec![None], every].concat();
        assert_eq!(OutcomeSet::of(&every), Some(OutcomeSet::ALL));
        assert_eq!(OutcomeSet::of(&[]), None);
        for one in &every {
            let set = OutcomeSet::of(&[*one]).unwrap();
            assert!(every.iter().all(|other| set.has(*other) == (one == other)));
        }
    }

    #[test]
    fn a_set_has_the_statuses_that_it_was_made_of() {
        check::<Status>();
        check::<AgentStatus>();
    }
}
