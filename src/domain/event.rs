//! Lifecycle events, as the fold sees them: checked, typed, and free of their envelope.

use sha2::{Digest, Sha256};
use strum::VariantArray as _;

use crate::domain::agent::AgentProfile;
use crate::domain::ids::{AgentId, EventId, ProjectId, SessionId, Source};
use crate::domain::metadata::Metadata;
use crate::domain::private::Private;
use crate::domain::scopes::Scopes;
use crate::domain::session::{Outcome, Phase, Profile};
use crate::domain::time::Timestamp;

const SECOND_US: i64 = 1_000_000;

/// One event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The writer, from the record's subject.
    pub writer: Writer,
    /// Unique together with the source.
    pub id: EventId,
    /// The source that emitted it.
    pub source: Source,
    /// When it happened, by the emitter's clock.
    pub time: Option<Timestamp>,
    /// What happened, and to which session or agent.
    pub payload: Payload,
    /// The private part, which no caller may see.
    pub private: Private,
}

impl Event {
    /// The idempotency key within the event's session or agent.
    pub fn key(&self) -> EventKey {
        EventKey::of(self.writer, &self.source, &self.id)
    }

    /// The event's type.
    pub fn event_type(&self) -> EventType {
        match &self.payload {
            Payload::Session(_, event) => event.event_type(),
            Payload::Agent(_, event) => event.event_type(),
            Payload::Rules { .. } => EventType::Rules,
        }
    }
}

/// What happened, and to which session or agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Something happened to a session.
    Session(SessionId, SessionEvent),
    /// Something happened to an agent.
    Agent(AgentId, AgentEvent),
    /// These rules hold for all later records.
    Rules {
        /// The rules version.
        version: u32,
    },
}

/// What can happen to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// It opens.
    Created(Box<Created>),
    /// It shows a sign of life.
    Refreshed(Refreshed),
    /// It ends, and its child opens for another agent.
    HandedOff(HandedOff),
    /// It ends.
    Terminated(Terminated),
    /// Its deadline passed. Written by the ledger only.
    Expired {
        /// The deadline that passed.
        expires_at: Timestamp,
    },
}

impl SessionEvent {
    /// The event's type.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Created(_) => EventType::SessionCreated,
            Self::Refreshed(_) => EventType::SessionRefreshed,
            Self::HandedOff(_) => EventType::SessionHandedOff,
            Self::Terminated(_) => EventType::SessionTerminated,
            Self::Expired { .. } => EventType::SessionExpired,
        }
    }
}

/// When a session ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// At this time.
    At(Timestamp),
    /// This many microseconds after the event's time.
    After(i64),
}

impl Deadline {
    /// The deadline this many seconds after the event's time.
    pub fn after_seconds(seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        Self::After(seconds.saturating_mul(SECOND_US))
    }

    /// The deadline of an event that happened at `time`.
    pub fn from(self, time: Timestamp) -> Timestamp {
        match self {
            Self::At(deadline) => deadline,
            Self::After(micros) => time.plus_micros(micros),
        }
    }
}

/// How a refresh moves the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// To this deadline.
    To(Deadline),
    /// By the session's time to live, counted from the refresh.
    ByTtl,
}

/// Data of `session.created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The agent of the session.
    pub agent_id: AgentId,
    /// Its deadline; `None` means that it has none.
    pub deadline: Option<Deadline>,
    /// Its scopes; `None` means those of its agent.
    pub scopes: Option<Scopes>,
    /// The caller's own data.
    pub metadata: Metadata,
    /// Its parent session.
    pub parent: Option<SessionId>,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// Its first phase.
    pub phase: Option<Phase>,
    /// Descriptive fields.
    pub profile: Profile,
}

impl Created {
    /// A session of an agent, without other fields.
    pub fn new(agent_id: AgentId) -> Self {
        Self {
            agent_id,
            deadline: None,
            scopes: None,
            metadata: Metadata::default(),
            parent: None,
            project: None,
            phase: None,
            profile: Profile::default(),
        }
    }
}

/// Data of `session.refreshed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// How the deadline moves; `None` keeps it.
    pub renewal: Option<Renewal>,
    /// The new phase; `None` keeps it.
    pub phase: Option<Phase>,
    /// A merge patch for the metadata.
    pub metadata: Option<Metadata>,
}

/// Data of `session.handed_off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOff {
    /// The agent that takes over.
    pub to: AgentId,
    /// The session that opens for it.
    pub child: SessionId,
    /// The child's scopes; `None` means those of its parent.
    pub scopes: Option<Scopes>,
    /// The child's metadata.
    pub metadata: Metadata,
    /// The child's deadline; never later than its parent's.
    pub deadline: Option<Deadline>,
}

/// Data of `session.terminated`. The reason stays in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terminated {
    /// The outcome.
    pub outcome: Option<Outcome>,
}

/// What can happen to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// It becomes known.
    Registered(Box<AgentProfile>),
    /// Some of its fields change.
    Updated(Box<AgentProfile>),
    /// It may not act until it is reinstated.
    Suspended,
    /// It may act again.
    Reinstated,
    /// It may never act again.
    Revoked,
}

impl AgentEvent {
    /// The event's type.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Registered(_) => EventType::AgentRegistered,
            Self::Updated(_) => EventType::AgentUpdated,
            Self::Suspended => EventType::AgentSuspended,
            Self::Reinstated => EventType::AgentReinstated,
            Self::Revoked => EventType::AgentRevoked,
        }
    }
}

/// The type of an event. The numbers are stored and never reused.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::EnumString,
    strum::FromRepr,
    strum::IntoStaticStr,
    strum::VariantNames,
    strum::VariantArray,
)]
#[repr(u8)]
pub enum EventType {
    /// A session opened.
    #[strum(serialize = "session.created")]
    SessionCreated = 1,
    /// A session showed a sign of life.
    #[strum(serialize = "session.refreshed")]
    SessionRefreshed = 2,
    /// A session was handed off to another agent.
    #[strum(serialize = "session.handed_off")]
    SessionHandedOff = 3,
    /// A session was ended.
    #[strum(serialize = "session.terminated")]
    SessionTerminated = 4,
    /// A session's deadline passed.
    #[strum(serialize = "session.expired")]
    SessionExpired = 5,
    /// An agent became known.
    #[strum(serialize = "agent.registered")]
    AgentRegistered = 6,
    /// An agent's fields changed.
    #[strum(serialize = "agent.updated")]
    AgentUpdated = 7,
    /// An agent was suspended.
    #[strum(serialize = "agent.suspended")]
    AgentSuspended = 8,
    /// An agent was reinstated.
    #[strum(serialize = "agent.reinstated")]
    AgentReinstated = 9,
    /// An agent was revoked.
    #[strum(serialize = "agent.revoked")]
    AgentRevoked = 10,
    /// The rules changed.
    #[strum(serialize = "ledger.rules")]
    Rules = 11,
}

/// The writer of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Writer {
    /// Runtimes, on `ledger.v1.<tenant>`.
    Runtime,
    /// Only the ledger, on `ledger.sys.v1.<tenant>`: events from its API, and its own events.
    Ledger,
}

impl Writer {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl EventType {
    /// Every type, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The `type` attribute.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether this writer may write events of this type.
    pub fn allows(self, writer: Writer) -> bool {
        match writer {
            Writer::Ledger => true,
            Writer::Runtime => !matches!(self, Self::SessionExpired | Self::Rules),
        }
    }
}

/// Idempotency key within a session or agent: the first half of SHA-256 over writer, source and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 16]);

impl EventKey {
    /// Stands in a child's history for the hand-off that opened it. The key of the hand-off is in
    /// the history of the parent.
    pub const OPENING: Self = Self([0; 16]);

    /// The key of an event.
    pub fn of(writer: Writer, source: &Source, id: &EventId) -> Self {
        let mut hasher = Sha256::new();
        // A runtime must not be able to take the key of an event that the ledger will write.
        hasher.update([match writer {
            Writer::Runtime => 1,
            Writer::Ledger => 2,
        }]);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update((source.as_str().len() as u64).to_be_bytes());
        hasher.update(source.as_str());
        hasher.update(id.as_str());
        let hash: [u8; 32] = hasher.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        Self(key)
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
