//! The stored verdict on an event.
//!
//! ```text
//! event type (1, 0 is undecodable) | verdict (1) | reason (1) | subject kind (1)
//! subject number (8) | agent number (4) | other position (8) | recorded_at (8) | body hash (16)
//! what the event replaced, if it changed a session: see `projection::before`
//! ```
//!
//! Verdicts: 1 applied, 2 duplicate, 3 rejected, 4 parked. The other position is that of the first
//! copy of a duplicate, or of the event that ended the waiting of a parked one; 0 is none. Subject
//! kinds: 0 none, 1 session, 2 agent. The body hash is the first half of SHA-256.

use sha2::{Digest as _, Sha256};

use crate::domain::{EventType, Position, Reason, Timestamp, Verdict};
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::Entity;
use crate::projection::numbers::{AgentNumber, Ordinal};

/// The size of a row without what the event replaced, in bytes.
const BYTES: usize = 48;

/// First half of SHA-256 over a body.
pub(crate) type BodyHash = [u8; 16];

/// The first half of a hash.
pub(crate) fn first_half(
    [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32],
) -> BodyHash {
    half
}

/// The verdict on an event, and what the event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerdictRow {
    /// Its type; `None` if the record could not be decoded.
    pub event_type: Option<EventType>,
    /// The verdict.
    pub verdict: Verdict,
    /// For an event that had been parked: the position of the record that settled its verdict.
    pub settled_at: Option<Position>,
    /// The log's time stamp.
    pub recorded_at: Timestamp,
    /// The session or agent that the event is about, if it is known.
    pub(crate) subject: Option<Entity>,
    /// The agent that the event is about or whose session it is about, if it is known.
    pub(crate) agent: Option<AgentNumber>,
    pub(crate) body_hash: BodyHash,
}

impl VerdictRow {
    /// Whether the event is about this session.
    pub fn is_about_session(&self, ordinal: Ordinal) -> bool {
        self.subject == Some(Entity::Session(ordinal))
    }

    /// Whether the event is about this agent or one of its sessions.
    pub fn concerns_agent(&self, number: AgentNumber) -> bool {
        self.agent == Some(number)
    }

    /// The verdict as of a position: an event that was decided later is still parked.
    #[must_use]
    pub fn as_of(self, position: Position) -> Self {
        if self.settled_at.is_none_or(|settled| settled <= position) {
            return self;
        }
        Self {
            verdict: Verdict::Parked,
            settled_at: None,
            ..self
        }
    }

    /// Whether this is the verdict on an event with this body.
    pub fn is_on(&self, body: &[u8]) -> bool {
        self.body_hash == first_half(Sha256::digest(body).into())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (verdict, reason, first) = match self.verdict {
            Verdict::Applied => (1, 0, None),
            Verdict::Duplicate(first) => (2, 0, Some(first)),
            Verdict::Rejected(reason) => (3, reason as u8, None),
            Verdict::Parked => (4, 0, None),
        };
        let (kind, number) = self.subject.map_or((0, 0), Entity::parts);
        let mut out = Writer::with_capacity(BYTES);
        out.u8(self.event_type.map_or(0, |event_type| event_type as u8));
        out.u8(verdict);
        out.u8(reason);
        out.u8(kind);
        out.u64(number);
        out.optional_u32(self.agent.map(AgentNumber::get));
        out.u64(first.or(self.settled_at).map_or(0, Position::get));
        out.i64(self.recorded_at.micros());
        out.raw(&self.body_hash);
        out.finish()
    }

    /// What the event of a stored row replaced of its session.
    pub(crate) fn replaced(bytes: &[u8]) -> Result<&[u8], StoreError> {
        let replaced = bytes.get(BYTES..).filter(|state| !state.is_empty());
        replaced.ok_or(StoreError::Damaged("replaced states"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "verdict");
        let (event_type, verdict, reason, kind) = (from.u8()?, from.u8()?, from.u8()?, from.u8()?);
        let (number, agent, other) = (from.u64()?, from.optional_u32()?, from.u64()?);
        let recorded_at = Timestamp::from_micros_clamped(from.i64()?);
        let body_hash = from.array()?;
        let other = (other != 0).then(|| Position::new(other));
        let damaged = from.damaged();
        // Only an event that has just been applied can have replaced something.
        if (verdict, other) != (1, None) {
            from.end()?;
        }
        let (verdict, settled_at) = match (verdict, other, Reason::from_number(reason)) {
            (1, settled_at, _) => (Verdict::Applied, settled_at),
            (2, Some(first), _) => (Verdict::Duplicate(first), None),
            (3, settled_at, Some(reason)) => (Verdict::Rejected(reason), settled_at),
            (4, _, _) => (Verdict::Parked, None),
            _ => return Err(damaged),
        };
        let subject = match kind {
            1 => Some(Entity::Session(Ordinal::new(number))),
            2 => {
                let number = u32::try_from(number).map_err(|_too_large| damaged)?;
                Some(Entity::Agent(AgentNumber::new(number)))
            }
            _ => None,
        };
        let event_type = EventType::from_repr(event_type);
        let agent = agent.map(AgentNumber::new);
        Ok(Self {
            event_type,
            verdict,
            settled_at,
            recorded_at,
            subject,
            agent,
            body_hash,
        })
    }
}
