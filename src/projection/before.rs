//! What a change replaced: the states of sessions and agents before their present one.
//!
//! Each event that changes a session after its opening stores the part that it can replace, behind its
//! verdict. So the state at an earlier position is the present row, with the part that the first later
//! change replaced. The history of the row says where that change is. Metadata can be long and seldom
//! changes, so it has a table of its own, and so has what changes of agents replace.
//!
//! A change counts from the position at which it took effect. For a parked event, that is the position of
//! the record that opened its session. All changes at that position belong to the opening, and nothing
//! needs what was before them. So a record replaces at most one state: that of its own subject.
//!
//! ```text
//! behind a verdict
//!     status (1) | flags (1) | phase (1) | outcome (1)
//!     updated_at | last_activity_at (8 each)
//!     refreshed_at | expires_at | terminated_at | deleted_at (8 each, the smallest number is none)
//!     handed_off_to, handed_off_session_id (texts)
//!     Flags: 1 a time was adjusted, 2 it had tokens.
//! before_agents    agent (4) | position (8)   ->  the public part of its row
//! before_metadata  entity (9) | position (8)  ->  JSON
//! ```

use redb::ReadableTable;

use crate::domain::session::{Outcome, Phase, Status};
use crate::domain::{AgentId, Metadata, Position, Session, SessionId, SessionStatus, Timestamp};
use crate::projection::bytes::{NO_TIME, Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::keys::{self, Entity};

const FLAG_ADJUSTED: u8 = 1;
const FLAG_TOKENS: u8 = 2;
/// The bytes of the part of a session that was not handed off.
const BYTES: usize = 56;

/// The part of a session that events can change, without its metadata and the hashes of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionBefore {
    pub(crate) status: SessionStatus,
    phase: Option<Phase>,
    time_adjusted: bool,
    has_tokens: bool,
    updated_at: Timestamp,
    last_activity_at: Timestamp,
    refreshed_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
}

impl SessionBefore {
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            status: session.status.clone(),
            phase: session.phase,
            time_adjusted: session.time_adjusted,
            has_tokens: session.tokens.is_some(),
            updated_at: session.updated_at,
            last_activity_at: session.last_activity_at,
            refreshed_at: session.refreshed_at,
            expires_at: session.expires_at,
            deleted_at: session.deleted_at,
        }
    }

    /// Puts this part back into the session. Tokens that it had keep their latest hashes.
    pub(crate) fn restore(self, session: &mut Session) {
        session.status = self.status;
        session.phase = self.phase;
        session.time_adjusted = self.time_adjusted;
        session.updated_at = self.updated_at;
        session.last_activity_at = self.last_activity_at;
        session.refreshed_at = self.refreshed_at;
        session.expires_at = self.expires_at;
        session.deleted_at = self.deleted_at;
        session.tokens = session.tokens.filter(|_| self.has_tokens);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut terminated_at, mut outcome, mut heir) = (None, None, None);
        match &self.status {
            SessionStatus::Active | SessionStatus::Expired => {}
            SessionStatus::Terminated { at, outcome: how } => {
                (terminated_at, outcome) = (Some(*at), *how);
            }
            SessionStatus::HandedOff { to, child } => heir = Some((to.as_str(), child.as_str())),
        }
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let mut out = Writer::with_capacity(BYTES);
        out.u8(self.status.kind() as u8);
        out.u8(flag(self.time_adjusted, FLAG_ADJUSTED) | flag(self.has_tokens, FLAG_TOKENS));
        out.u8(self.phase.map_or(0, |phase| phase as u8));
        out.u8(outcome.map_or(0, |outcome| outcome as u8));
        out.i64(self.updated_at.micros());
        out.i64(self.last_activity_at.micros());
        for time in [
            self.refreshed_at,
            self.expires_at,
            terminated_at,
            self.deleted_at,
        ] {
            out.i64(time.map_or(NO_TIME, Timestamp::micros));
        }
        out.text(heir.map(|(to, _)| to));
        out.text(heir.map(|(_, child)| child));
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "replaced states");
        let (status, flags, phase, outcome) = (from.u8()?, from.u8()?, from.u8()?, from.u8()?);
        let mut time = || Ok::<_, StoreError>(Timestamp::from_micros_clamped(from.i64()?));
        let (updated_at, last_activity_at) = (time()?, time()?);
        let mut maybe = || {
            let micros = from.i64()?;
            let time = (micros != NO_TIME).then(|| Timestamp::from_micros_clamped(micros));
            Ok::<_, StoreError>(time)
        };
        let (refreshed_at, expires_at, terminated_at, deleted_at) =
            (maybe()?, maybe()?, maybe()?, maybe()?);
        let (to, child) = (from.text()?, from.text()?);
        let damaged = || from.damaged();
        let status = match Status::from_repr(status).ok_or_else(damaged)? {
            Status::Active => SessionStatus::Active,
            Status::Expired => SessionStatus::Expired,
            Status::Terminated => SessionStatus::Terminated {
                at: terminated_at.ok_or_else(damaged)?,
                outcome: Outcome::from_repr(outcome),
            },
            Status::HandedOff => SessionStatus::HandedOff {
                to: to
                    .and_then(|to| AgentId::parse(to).ok())
                    .ok_or_else(damaged)?,
                child: child
                    .and_then(|child| SessionId::parse(child).ok())
                    .ok_or_else(damaged)?,
            },
        };
        from.end()?;
        Ok(Self {
            status,
            phase: Phase::from_repr(phase),
            time_adjusted: flags & FLAG_ADJUSTED != 0,
            has_tokens: flags & FLAG_TOKENS != 0,
            updated_at,
            last_activity_at,
            refreshed_at,
            expires_at,
            deleted_at,
        })
    }
}

/// Puts back the metadata that a session had at a position: those that the first later change of them
/// replaced, if there is one.
pub(crate) fn restore_metadata(
    table: &impl ReadableTable<&'static [u8; 17], &'static str>,
    entity: Entity,
    at: Position,
    metadata: &mut Metadata,
) -> Result<(), StoreError> {
    let low = keys::metadata(entity, at.next());
    let high = keys::metadata(entity, Position::new(u64::MAX));
    let mut found = table.range::<&[u8; 17]>(&low..=&high)?;
    if let Some((_key, json)) = found.next().transpose()? {
        *metadata = Metadata::from_checked(json.value());
    }
    Ok(())
}
