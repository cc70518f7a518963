//! The stored form of a session: first the public part, then what only the fold reads.
//!
//! ```text
//! version 4 (1) | length of the public part (4) | status (1) | flags (1) | phase (1) | outcome (1)
//! tenant number (4) | agent number (4) | project number (4, 0 is none)
//! created_at | recorded_at | updated_at | last_activity_at (8 each)
//! refreshed_at | expires_at | terminated_at | deleted_at | ttl (8 each, the smallest number is none)
//! texts, each as length (2, 0xffff is none) and UTF-8:
//!     session_id, agent_id, scopes, metadata, parent_session_id, project_id,
//!     handed_off_to, handed_off_session_id, and those of `domain::profile` in their order
//! -- end of the public part --
//! position at which it opened (8) | parent number | user number (4 each, 0 is none)
//! tokens: access, refresh (32 each), if flag 2 is set
//! history: see `projection::history`
//! ```
//!
//! Flags: 1 the time of its opening was adjusted, 2 it has tokens.

use crate::domain::session::{Outcome, Phase, Profile, Status};
use crate::domain::{
    AgentId, Metadata, Position, ProjectId, Scopes, Session, SessionId, SessionStatus, Timestamp,
    TokenHash, TokenHashes,
};
use crate::projection::bytes::{NO_TIME, Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, Partition, SessionOwner, State};
use crate::projection::numbers::{
    AgentNumber, ParentNumber, ProjectNumber, TenantNumber, UserNumber,
};

const VERSION: u8 = 4;
const PUBLIC_LENGTH_AT: usize = 1;
const FLAG_ADJUSTED: u8 = 1;
const FLAG_TOKENS: u8 = 2;

/// The partitions that contain a session, by the kind of their owner.
pub(crate) type SessionPartitions = [Option<Partition>; 5];

/// A session with the numbers that the read model assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    pub(crate) id: SessionId,
    pub(crate) tenant: TenantNumber,
    pub(crate) agent: AgentNumber,
    pub(crate) project: Option<ProjectNumber>,
    /// Its parent, as the owner of a listing.
    pub(crate) parent: Option<ParentNumber>,
    pub(crate) user: Option<UserNumber>,
    /// The position of the record that opened it. A hand-off that was parked opens its session later
    /// than its own position.
    pub(crate) opened: Position,
    pub(crate) session: Session,
    pub(crate) history: History,
}

/// A stored session, read without copying. Texts of JSON are `scopes` and `metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of a session")]
pub struct SessionRow<'a> {
    pub tenant: TenantNumber,
    pub session_id: &'a str,
    pub agent_id: &'a str,
    pub status: Status,
    pub phase: Option<Phase>,
    pub outcome: Option<Outcome>,
    pub created_at: Timestamp,
    pub recorded_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_activity_at: Timestamp,
    pub refreshed_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub terminated_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub ttl_us: Option<i64>,
    pub time_adjusted: bool,
    pub scopes: &'a str,
    pub metadata: &'a str,
    pub parent_session_id: Option<&'a str>,
    pub project_id: Option<&'a str>,
    pub handed_off_to: Option<&'a str>,
    pub handed_off_session_id: Option<&'a str>,
    pub profile: Profile<&'a str>,
}

/// The part of a row that stays inside the projection.
struct Hidden<'a> {
    agent: AgentNumber,
    project: Option<ProjectNumber>,
    flags: u8,
    rest: Reader<'a>,
}

impl Hidden<'_> {
    /// Reads the position of the opening, which comes first.
    fn opened(&mut self) -> Result<Position, StoreError> {
        self.rest.u64().map(Position::new)
    }

    /// Reads the numbers of the parent and of the user, which come next.
    fn owners(&mut self) -> Result<(Option<ParentNumber>, Option<UserNumber>), StoreError> {
        let (parent, user) = (self.rest.optional_u32()?, self.rest.optional_u32()?);
        Ok((parent.map(ParentNumber::new), user.map(UserNumber::new)))
    }

    /// Reads the hashes of the tokens, which come next.
    fn tokens(&mut self) -> Result<Option<TokenHashes>, StoreError> {
        if self.flags & FLAG_TOKENS == 0 {
            return Ok(None);
        }
        let access = TokenHash::new(self.rest.array()?);
        let refresh = TokenHash::new(self.rest.array()?);
        Ok(Some(TokenHashes { access, refresh }))
    }
}

impl StoredSession {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let session = &self.session;
        let (terminated_at, outcome) = match &session.status {
            SessionStatus::Terminated { at, outcome } => (Some(*at), *outcome),
            SessionStatus::Active | SessionStatus::Expired | SessionStatus::HandedOff { .. } => {
                (None, None)
            }
        };
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u32(0);
        out.u8(session.status.kind() as u8);
        let adjusted = if session.time_adjusted {
            FLAG_ADJUSTED
        } else {
            0
        };
        out.u8(adjusted
            | if session.tokens.is_some() {
                FLAG_TOKENS
            } else {
                0
            });
        out.u8(session.phase.map_or(0, |phase| phase as u8));
        out.u8(outcome.map_or(0, |outcome| outcome as u8));
        out.u32(self.tenant.get());
        out.u32(self.agent.get());
        out.optional_u32(self.project.map(ProjectNumber::get));
        for time in [
            session.created_at,
            session.recorded_at,
            session.updated_at,
            session.last_activity_at,
        ] {
            out.i64(time.micros());
        }
        for time in [
            session.refreshed_at,
            session.expires_at,
            terminated_at,
            session.deleted_at,
        ] {
            out.i64(time.map_or(NO_TIME, Timestamp::micros));
        }
        out.i64(session.ttl_us.unwrap_or(NO_TIME));
        self.encode_texts(&mut out);
        out.set_u32(PUBLIC_LENGTH_AT, out.len());
        out.u64(self.opened.get());
        out.optional_u32(self.parent.map(ParentNumber::get));
        out.optional_u32(self.user.map(UserNumber::get));
        if let Some(tokens) = &session.tokens {
            out.raw(tokens.access.bytes());
            out.raw(tokens.refresh.bytes());
        }
        self.history.encode(&mut out);
        out.finish()
    }

    fn encode_texts(&self, out: &mut Writer) {
        let session = &self.session;
        let (to, child) = match &session.status {
            SessionStatus::HandedOff { to, child } => (Some(to.as_str()), Some(child.as_str())),
            SessionStatus::Active | SessionStatus::Expired | SessionStatus::Terminated { .. } => {
                (None, None)
            }
        };
        out.text(Some(self.id.as_str()));
        out.text(Some(session.agent_id.as_str()));
        out.text(Some(session.scopes.json()));
        out.text(Some(session.metadata.json()));
        out.text(session.parent.as_ref().map(SessionId::as_str));
        out.text(session.project.as_ref().map(ProjectId::as_str));
        out.text(to);
        out.text(child);
        for (_field, text) in session.profile.each() {
            out.text(text.map(|text| &**text));
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let (row, mut hidden) = SessionRow::split(bytes)?;
        let opened = hidden.opened()?;
        let (parent, user) = hidden.owners()?;
        let tokens = hidden.tokens()?;
        let history = History::decode(&mut hidden.rest)?;
        hidden.rest.end()?;
        let damaged = || hidden.rest.damaged();
        Ok(Self {
            id: SessionId::parse(row.session_id).map_err(|_not_an_id| damaged())?,
            tenant: row.tenant,
            agent: hidden.agent,
            project: hidden.project,
            parent,
            user,
            opened,
            session: row.session(tokens).ok_or_else(damaged)?,
            history,
        })
    }
}

impl StoredSession {
    /// The partitions that contain this session while it has this status.
    pub(crate) fn partitions(&self, status: &SessionStatus) -> SessionPartitions {
        self.partitions_of(State::of(status))
    }

    /// The partitions that contain this session while it has this state.
    pub(crate) fn partitions_of(&self, state: State) -> SessionPartitions {
        let owners = [
            Some(SessionOwner::Tenant(self.tenant)),
            Some(SessionOwner::Agent(self.agent)),
            self.project.map(SessionOwner::Project),
            self.parent.map(SessionOwner::Parent),
            self.user.map(SessionOwner::User),
        ];
        let is_child = self.parent.is_some();
        owners.map(|owner| owner.map(|owner| keys::session_partition(owner, state, is_child)))
    }
}

impl<'a> SessionRow<'a> {
    /// Reads a stored session.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, StoreError> {
        Self::split(bytes).map(|(row, _)| row)
    }

    /// The status at a time. A session past its deadline is expired, even before its expiry is on the
    /// log.
    pub fn status_at(&self, now: Timestamp) -> Status {
        match self.status {
            Status::Active if self.expires_at.is_some_and(|due| due <= now) => Status::Expired,
            status => status,
        }
    }

    /// Since when it has its status, or has had this one by the clock: its opening, its end, its deadline
    /// or its hand-off. A session that was handed off and then deleted has the time of the deletion.
    pub fn in_status_since(&self, status: Status) -> Timestamp {
        let since = match status {
            Status::Active => Some(self.created_at),
            Status::Terminated => self.terminated_at,
            Status::Expired => self.expires_at,
            Status::HandedOff => None,
        };
        since.unwrap_or(self.updated_at)
    }

    /// The public part of a stored session. It contains no hash of a token.
    pub(crate) fn public_part(bytes: &[u8]) -> Result<&[u8], StoreError> {
        Reader::new(bytes, "session row").public_part()
    }

    /// The hashes of a stored session's tokens.
    pub(crate) fn tokens(bytes: &'a [u8]) -> Result<Option<TokenHashes>, StoreError> {
        let (_row, mut hidden) = Self::split(bytes)?;
        hidden.opened()?;
        hidden.owners()?;
        hidden.tokens()
    }

    /// The position at which a stored session opened.
    pub(crate) fn opened(bytes: &'a [u8]) -> Result<Position, StoreError> {
        let public = Self::public_part(bytes)?.len();
        let (_public, hidden) = bytes.split_at(public);
        Reader::new(hidden, "session row").u64().map(Position::new)
    }

    /// The tenant and the history of a stored session.
    pub(crate) fn tenant_and_history(
        bytes: &'a [u8],
    ) -> Result<(TenantNumber, History), StoreError> {
        let (row, mut hidden) = Self::split(bytes)?;
        hidden.opened()?;
        hidden.owners()?;
        hidden.tokens()?;
        Ok((row.tenant, History::decode(&mut hidden.rest)?))
    }

    /// The history of a stored session.
    pub(crate) fn history(bytes: &'a [u8]) -> Result<History, StoreError> {
        Self::tenant_and_history(bytes).map(|(_tenant, history)| history)
    }

    fn split(bytes: &'a [u8]) -> Result<(Self, Hidden<'a>), StoreError> {
        let mut from = Reader::new(bytes, "session row");
        if from.u8()? != VERSION {
            return Err(from.damaged());
        }
        let _public_length = from.u32()?;
        let (status, flags, phase, outcome) = (from.u8()?, from.u8()?, from.u8()?, from.u8()?);
        let (tenant, agent, project) = (from.u32()?, from.u32()?, from.optional_u32()?);
        let status = Status::from_repr(status).ok_or_else(|| from.damaged())?;
        let mut time = || Ok::<_, StoreError>(Timestamp::from_micros_clamped(from.i64()?));
        let (created_at, recorded_at, updated_at, last_activity_at) =
            (time()?, time()?, time()?, time()?);
        let mut maybe = || {
            from.i64()
                .map(|micros| (micros != NO_TIME).then_some(micros))
        };
        let (refreshed_at, expires_at, terminated_at, deleted_at, ttl_us) =
            (maybe()?, maybe()?, maybe()?, maybe()?, maybe()?);
        let row = Self {
            tenant: TenantNumber::new(tenant),
            status,
            phase: Phase::from_repr(phase),
            outcome: Outcome::from_repr(outcome),
            created_at,
            recorded_at,
            updated_at,
            last_activity_at,
            refreshed_at: refreshed_at.map(Timestamp::from_micros_clamped),
            expires_at: expires_at.map(Timestamp::from_micros_clamped),
            terminated_at: terminated_at.map(Timestamp::from_micros_clamped),
            deleted_at: deleted_at.map(Timestamp::from_micros_clamped),
            ttl_us,
            time_adjusted: flags & FLAG_ADJUSTED != 0,
            session_id: from.required()?,
            agent_id: from.required()?,
            scopes: from.required()?,
            metadata: from.required()?,
            parent_session_id: from.text()?,
            project_id: from.text()?,
            handed_off_to: from.text()?,
            handed_off_session_id: from.text()?,
            profile: Profile::read(|_field| from.text())?,
        };
        Ok((
            row,
            Hidden {
                agent: AgentNumber::new(agent),
                project: project.map(ProjectNumber::new),
                flags,
                rest: from,
            },
        ))
    }

    /// Converts the row to a session; `None` if a text is invalid.
    fn session(&self, tokens: Option<TokenHashes>) -> Option<Session> {
        let status = match self.status {
            Status::Active => SessionStatus::Active,
            Status::Expired => SessionStatus::Expired,
            Status::Terminated => SessionStatus::Terminated {
                at: self.terminated_at?,
                outcome: self.outcome,
            },
            Status::HandedOff => SessionStatus::HandedOff {
                to: AgentId::parse(self.handed_off_to?).ok()?,
                child: SessionId::parse(self.handed_off_session_id?).ok()?,
            },
        };
        Some(Session {
            agent_id: AgentId::parse(self.agent_id).ok()?,
            status,
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            updated_at: self.updated_at,
            last_activity_at: self.last_activity_at,
            refreshed_at: self.refreshed_at,
            deleted_at: self.deleted_at,
            expires_at: self.expires_at,
            ttl_us: self.ttl_us,
            time_adjusted: self.time_adjusted,
            scopes: Scopes::from_checked(self.scopes),
            metadata: Metadata::from_checked(self.metadata),
            parent: self
                .parent_session_id
                .map(SessionId::parse)
                .transpose()
                .ok()?,
            project: self.project_id.map(ProjectId::parse).transpose().ok()?,
            phase: self.phase,
            profile: self.profile.map(Box::from),
            tokens,
        })
    }
}
