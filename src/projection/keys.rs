//! Keys of the read model. They are big-endian, so the order of their bytes is the order of a query.
//!
//! ```text
//! listing   partition (6) | sort key (16)
//! partition owner (5) | class (1)                       class: status, or 3 and the number of the outcome
//!                                                        of a terminated session; and 8 more for a
//!                                                        session with a parent
//! sort key  !created_at (8) | !number (8)                ascending, so a page reads newest first
//! owner     kind (1) | number (4)                        sessions of 1 tenant, 2 agent, 3 project,
//!                                                        6 parent, 7 user; agents of 4 tenant, 5 group
//! named     tenant (4) | id (1..)                        ids of sessions, agents, projects and users
//! group     tenant (4) | by (1) | type (0..) | 0x00 | trust level (0..)
//!                                                        by 1 type, 2 trust level, 3 both
//! verdict   tenant (4) | position (8)
//! rejection tenant (4) | code (1) | position (8)
//! waiting   tenant (4) | session id (1..) | 0x00 | position (8)
//! entity    kind (1) | ordinal (8)                       1 session, 2 agent
//! agent     agent (4) | position (8)
//! metadata  entity (9) | position (8)
//! deadline  expires_at (8) | ordinal (8)
//! ```
//!
//! Times have their sign bit inverted, so that bytes sort by time also before 1970. 0x00 is a control
//! character, which no id, type or trust level may hold. So the range of a session contains no entry
//! of another session, and no two groups have the same key.

use crate::domain::filter::ListedStatus;
use crate::domain::session::{Outcome, Status};
use crate::domain::{AgentStatus, OutcomeSet, Position, SessionId, SessionStatus, Timestamp};
use crate::projection::numbers::{
    AgentNumber, GroupNumber, Ordinal, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};

/// A listing's key.
pub(crate) type ListingKey = [u8; 22];
/// The place of a session or agent within a partition: newest first.
pub(crate) type SortKey = [u8; 16];
/// The part of a listing that belongs to one owner and one class.
pub(crate) type Partition = [u8; 6];

/// How many classes a listing has: the states of roots, and those of children.
pub(in crate::projection) const CLASSES: usize = 16;
/// In the class of a session that has a parent.
const CHILD: u8 = 8;
/// Before the states of sessions that were terminated with an outcome.
const BEFORE_OUTCOMES: u8 = Status::HandedOff as u8;

/// The owner of a listing, and the classes by which the listing is partitioned.
pub trait ListingOwner: Copy {
    /// The status of what the listing contains.
    type Status: ListedStatus;

    /// Whether the listing contains sessions, which can have a parent and an outcome.
    const OF_SESSIONS: bool;

    /// The kind of the owner, and its number among the owners of this kind.
    fn key(self) -> (u8, u32);
}

/// The owner of a listing of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOwner {
    /// A tenant's.
    Tenant(TenantNumber),
    /// An agent's.
    Agent(AgentNumber),
    /// A project's.
    Project(ProjectNumber),
    /// Those that a session opened.
    Parent(ParentNumber),
    /// A user's.
    User(UserNumber),
}

/// The owner of a listing of agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentOwner {
    /// A tenant's.
    Tenant(TenantNumber),
    /// Those of a tenant that have a type, a trust level, or both.
    Group(GroupNumber),
}

impl ListingOwner for SessionOwner {
    type Status = Status;
    const OF_SESSIONS: bool = true;

    fn key(self) -> (u8, u32) {
        match self {
            Self::Tenant(number) => (1, number.get()),
            Self::Agent(number) => (2, number.get()),
            Self::Project(number) => (3, number.get()),
            Self::Parent(number) => (6, number.get()),
            Self::User(number) => (7, number.get()),
        }
    }
}

impl ListingOwner for AgentOwner {
    type Status = AgentStatus;
    const OF_SESSIONS: bool = false;

    fn key(self) -> (u8, u32) {
        match self {
            Self::Tenant(number) => (4, number.get()),
            Self::Group(number) => (5, number.get()),
        }
    }
}

/// What an event is about, and what has a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entity {
    Session(Ordinal),
    Agent(AgentNumber),
}

impl Entity {
    /// The kind, 1 or 2, and the number.
    pub(crate) fn parts(self) -> (u8, u64) {
        match self {
            Self::Session(ordinal) => (1, ordinal.get()),
            Self::Agent(number) => (2, u64::from(number.get())),
        }
    }
}

/// By what the sessions of an owner are divided, besides roots and children: their status and, of those
/// that were terminated, their outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(u8);

impl State {
    pub(crate) const ACTIVE: Self = Self(Status::Active as u8);
    pub(crate) const HANDED_OFF: Self = Self(Status::HandedOff as u8);

    pub(crate) fn of(status: &SessionStatus) -> Self {
        match status {
            SessionStatus::Terminated {
                outcome: Some(outcome),
                ..
            } => Self(BEFORE_OUTCOMES + *outcome as u8),
            other => Self(other.kind() as u8),
        }
    }
}

/// The partition of the roots, or of the children, that have a state.
pub(crate) fn session_partition(owner: SessionOwner, state: State, child: bool) -> Partition {
    partition_of_class(owner, state.0 | if child { CHILD } else { 0 })
}

/// The partition of the agents that have a status.
pub(crate) fn agent_partition(owner: AgentOwner, status: AgentStatus) -> Partition {
    partition_of_class(owner, status.number())
}

/// The partition of an owner that has a class.
pub(crate) fn partition_of_class(owner: impl ListingOwner, class: u8) -> Partition {
    let (kind, number) = owner.key();
    let [a, b, c, d] = number.to_be_bytes();
    [kind, a, b, c, d, class]
}

/// The class of a partition, which is less than [`CLASSES`].
pub(crate) fn class([.., class]: Partition) -> u8 {
    class
}

/// Every class that a listing can have.
pub(crate) fn classes() -> impl Iterator<Item = u8> {
    0..2 * CHILD
}

/// Whether a class is one of sessions or agents with this status.
pub(crate) fn has_status(class: u8, status: impl ListedStatus) -> bool {
    let number = match class & !CHILD {
        state if BEFORE_OUTCOMES < state => Status::Terminated as u8,
        state => state,
    };
    number == status.number()
}

/// Whether a class of sessions is one whose outcome is in a set. Only that of terminated ones matters.
pub(crate) fn has_outcome(class: u8, outcomes: OutcomeSet) -> bool {
    if !has_status(class, Status::Terminated) {
        return true;
    }
    let number = (class & !CHILD).saturating_sub(BEFORE_OUTCOMES);
    outcomes.has(Outcome::from_repr(number))
}

/// Whether a class is one of sessions with a parent.
pub(crate) fn is_of_children(class: u8) -> bool {
    class & CHILD != 0
}

/// The partitions of an agent's active sessions.
pub(crate) fn active_of(agent: AgentNumber) -> [Partition; 2] {
    [false, true].map(|child| session_partition(SessionOwner::Agent(agent), State::ACTIVE, child))
}

/// The agent whose active sessions a partition contains; `None` for any other partition.
pub(crate) fn agent_of_active(partition: Partition) -> Option<AgentNumber> {
    let [_, a, b, c, d, _] = partition;
    let number = AgentNumber::new(u32::from_be_bytes([a, b, c, d]));
    active_of(number).contains(&partition).then_some(number)
}

/// The first and the last partition that an owner can have.
pub(crate) fn partitions<O: ListingOwner>(owner: O) -> (Partition, Partition) {
    [0, u8::MAX]
        .map(|class| partition_of_class(owner, class))
        .into()
}

pub(crate) fn session_sort_key(created_at: Timestamp, ordinal: Ordinal) -> SortKey {
    sort_key(created_at, ordinal.get())
}

pub(crate) fn agent_sort_key(created_at: Timestamp, number: AgentNumber) -> SortKey {
    sort_key(created_at, u64::from(number.get()))
}

fn sort_key(created_at: Timestamp, number: u64) -> SortKey {
    let created_at = !sortable(created_at.micros());
    (u128::from(created_at) << 64 | u128::from(!number)).to_be_bytes()
}

/// The first sort key of what was created before `time`: all keys before it were created at `time`
/// or later.
pub(crate) fn sort_key_before(time: Timestamp) -> SortKey {
    let created_at = !sortable(time.micros() - 1);
    (u128::from(created_at) << 64).to_be_bytes()
}

/// The sort key right after this one; `None` after the last.
pub(crate) fn sort_key_after(sort_key: SortKey) -> Option<SortKey> {
    u128::from_be_bytes(sort_key)
        .checked_add(1)
        .map(u128::to_be_bytes)
}

pub(crate) fn ordinal_of(sort_key: &SortKey) -> Ordinal {
    Ordinal::new(!last_number(sort_key))
}

/// The agent of a sort key in a listing of agents; `None` if no agent can have it.
pub(crate) fn agent_of(sort_key: &SortKey) -> Option<AgentNumber> {
    let number = u32::try_from(!last_number(sort_key));
    number.ok().map(AgentNumber::new)
}

pub(crate) fn listing(partition: Partition, sort_key: SortKey) -> ListingKey {
    let mut key = [0; 22];
    let (head, tail) = key.split_at_mut(partition.len());
    head.copy_from_slice(&partition);
    tail.copy_from_slice(&sort_key);
    key
}

pub(crate) fn partition_of(key: &ListingKey) -> Partition {
    let [kind, a, b, c, d, class, ..] = *key;
    [kind, a, b, c, d, class]
}

pub(crate) fn sort_key_of(key: &ListingKey) -> SortKey {
    let mut sort_key = [0; 16];
    sort_key.copy_from_slice(key.split_at(6).1);
    sort_key
}

pub(crate) fn named(tenant: TenantNumber, id: &str) -> Vec<u8> {
    [&tenant.get().to_be_bytes()[..], id.as_bytes()].concat()
}

/// The key of a group: the agents of a tenant that have this type, this trust level, or both.
pub(crate) fn group(
    tenant: TenantNumber,
    agent_type: Option<&str>,
    trust_level: Option<&str>,
) -> Vec<u8> {
    let by = u8::from(agent_type.is_some()) | u8::from(trust_level.is_some()) << 1;
    [
        &tenant.get().to_be_bytes()[..],
        &[by],
        agent_type.unwrap_or_default().as_bytes(),
        &[0],
        trust_level.unwrap_or_default().as_bytes(),
    ]
    .concat()
}

pub(crate) fn verdict(tenant: TenantNumber, position: Position) -> [u8; 12] {
    (u128::from(tenant.get()) << 64 | u128::from(position.get())).to_be_bytes()[4..]
        .try_into()
        .expect("sixteen bytes less four are twelve")
}

/// The tenant and the position in the key of a verdict.
pub(crate) fn verdict_parts(key: [u8; 12]) -> (TenantNumber, Position) {
    let [a, b, c, d, position @ ..] = key;
    (
        TenantNumber::new(u32::from_be_bytes([a, b, c, d])),
        Position::new(u64::from_be_bytes(position)),
    )
}

pub(crate) fn rejection(tenant: TenantNumber, code: u8, position: u64) -> [u8; 13] {
    let mut key = [0; 13];
    key[..4].copy_from_slice(&tenant.get().to_be_bytes());
    key[4] = code;
    key[5..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The position in the key of a rejection.
pub(crate) fn rejection_position(key: [u8; 13]) -> u64 {
    last_number(&key)
}

pub(crate) fn rejection_count(tenant: TenantNumber, code: u8) -> [u8; 5] {
    let [a, b, c, d] = tenant.get().to_be_bytes();
    [a, b, c, d, code]
}

/// The start of the keys of all events that wait for a session.
pub(crate) fn waiting_prefix(tenant: TenantNumber, id: &SessionId) -> Vec<u8> {
    [
        &tenant.get().to_be_bytes()[..],
        id.as_str().as_bytes(),
        &[0],
    ]
    .concat()
}

pub(crate) fn waiting(tenant: TenantNumber, id: &SessionId, position: Position) -> Vec<u8> {
    [
        &waiting_prefix(tenant, id)[..],
        &position.get().to_be_bytes(),
    ]
    .concat()
}

/// The position in the key of a waiting event.
pub(crate) fn waiting_position(key: &[u8]) -> Option<Position> {
    key.last_chunk()
        .map(|bytes| Position::new(u64::from_be_bytes(*bytes)))
}

pub(crate) fn entity(entity: Entity) -> [u8; 9] {
    let (kind, number) = entity.parts();
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of what a change of an agent at a position replaced.
pub(crate) fn agent_change(agent: AgentNumber, at: Position) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(4);
    head.copy_from_slice(&agent.get().to_be_bytes());
    tail.copy_from_slice(&at.get().to_be_bytes());
    key
}

/// The key of the metadata that a change at a position replaced.
pub(crate) fn metadata(entity: Entity, at: Position) -> [u8; 17] {
    let mut key = [0; 17];
    let (head, tail) = key.split_at_mut(9);
    head.copy_from_slice(&self::entity(entity));
    tail.copy_from_slice(&at.get().to_be_bytes());
    key
}

pub(crate) fn deadline(expires_at: Timestamp, ordinal: Ordinal) -> [u8; 16] {
    (u128::from(sortable(expires_at.micros())) << 64 | u128::from(ordinal.get())).to_be_bytes()
}

/// The time and the session in the key of a deadline.
pub(crate) fn deadline_parts(key: [u8; 16]) -> (Timestamp, Ordinal) {
    let time = last_number(&key[..8]) ^ SIGN;
    (
        Timestamp::from_micros_clamped(time.cast_signed()),
        Ordinal::new(last_number(&key)),
    )
}

/// The key of a pair of sessions, a parent and its child.
pub(crate) fn pair(parent: Ordinal, child: Ordinal) -> [u8; 16] {
    (u128::from(parent.get()) << 64 | u128::from(child.get())).to_be_bytes()
}

/// The child in the key of a pair.
pub(crate) fn child_of_pair(pair: [u8; 16]) -> Ordinal {
    Ordinal::new(last_number(&pair))
}

/// The number in the last eight bytes.
pub(in crate::projection) fn last_number(bytes: &[u8]) -> u64 {
    let chunk = bytes.last_chunk();
    u64::from_be_bytes(*chunk.expect("a key that ends in a number has eight bytes or more"))
}

const SIGN: u64 = 1 << 63;

fn sortable(micros: i64) -> u64 {
    micros.cast_unsigned() ^ SIGN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::AgentId;

    fn outcomes() -> impl Iterator<Item = Option<Outcome>> {
        let some = Outcome::ALL.iter().copied().map(Some);
        std::iter::once(None).chain(some)
    }

    /// Every status, and a terminated one with each outcome.
    fn statuses() -> impl Iterator<Item = SessionStatus> {
        let at = Timestamp::MIN;
        let ended = outcomes().map(move |outcome| SessionStatus::Terminated { at, outcome });
        let handed_off = SessionStatus::HandedOff {
            to: AgentId::parse("a").unwrap(),
            child: SessionId::parse("s").unwrap(),
        };
        [SessionStatus::Active, SessionStatus::Expired, handed_off]
            .into_iter()
            .chain(ended)
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (Timestamp::MIN.micros()..=Timestamp::MAX.micros()).prop_map(Timestamp::from_micros_clamped)
    }

    proptest! {
        #[test]
        fn newer_and_then_later_sessions_sort_first(
            a in (time(), any::<u64>()),
            b in (time(), any::<u64>()),
        ) {
            prop_assert_eq!(sort_key(a.0, a.1).cmp(&sort_key(b.0, b.1)), b.cmp(&a));
            prop_assert_eq!(ordinal_of(&sort_key(a.0, a.1)), Ordinal::new(a.1));
        }

        #[test]
        fn a_boundary_parts_sessions_by_time(a in (time(), any::<u64>()), boundary in time()) {
            prop_assert_eq!(sort_key(a.0, a.1) < sort_key_before(boundary), boundary <= a.0);
        }

        #[test]
        fn deadlines_sort_by_time_and_lead_back(
            a in (time(), any::<u64>().prop_map(Ordinal::new)),
            b in (time(), any::<u64>().prop_map(Ordinal::new)),
        ) {
            prop_assert_eq!(deadline(a.0, a.1).cmp(&deadline(b.0, b.1)), a.cmp(&b));
            prop_assert_eq!(deadline_parts(deadline(a.0, a.1)), a);
        }

        #[test]
        fn only_the_active_sessions_of_an_agent_name_it(number: u32, child: bool) {
            let agent = AgentNumber::new(number);
            for status in statuses() {
                let state = State::of(&status);
                let of_agent = session_partition(SessionOwner::Agent(agent), state, child);
                let expected = (status == SessionStatus::Active).then_some(agent);
                prop_assert_eq!(agent_of_active(of_agent), expected);
                let tenant = SessionOwner::Tenant(TenantNumber::new(number));
                prop_assert_eq!(agent_of_active(session_partition(tenant, state, child)), None);
            }
            let group = AgentOwner::Group(GroupNumber::new(number));
            prop_assert_eq!(agent_of_active(agent_partition(group, AgentStatus::Active)), None);
        }

        #[test]
        fn a_class_names_one_status_one_outcome_and_whether_there_is_a_parent(
            number: u32,
            child: bool,
        ) {
            let owner = SessionOwner::Project(ProjectNumber::new(number));
            let mut classes = std::collections::BTreeSet::new();
            for status in statuses() {
                let class = class(session_partition(owner, State::of(&status), child));
                prop_assert!(super::classes().any(|one| one == class) && classes.insert(class));
                prop_assert_eq!(is_of_children(class), child);
                for other in Status::ALL {
                    prop_assert_eq!(has_status(class, *other), status.kind() == *other);
                }
                for other in outcomes() {
                    let fits = match status {
                        SessionStatus::Terminated { outcome, .. } => outcome == other,
                        _ => true,
                    };
                    let set = OutcomeSet::of(&[other]).unwrap();
                    prop_assert_eq!(has_outcome(class, set), fits);
                }
            }
        }

        #[test]
        fn a_class_is_less_than_the_number_of_classes(class in 0..2 * CHILD) {
            prop_assert_eq!(classes().count(), CLASSES);
            prop_assert!(usize::from(class) < CLASSES);
        }

        #[test]
        fn verdict_keys_lead_back(tenant: u32, position: u64) {
            let (tenant, position) = (TenantNumber::new(tenant), Position::new(position));
            prop_assert_eq!(verdict_parts(verdict(tenant, position)), (tenant, position));
        }
    }
}
