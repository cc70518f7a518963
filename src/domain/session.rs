//! The session state machine.
//!
//! | event | active | terminated | expired | handed off |
//! |---|---|---|---|---|
//! | refreshed | active | `not_active` | `not_active` | `not_active` |
//! | `handed_off` | handed off, and its child opens | `not_active` | `not_active` | `not_active` |
//! | terminated | terminated | `already_ended` | terminated if it happened before the deadline, else `not_active` | `not_active` |
//! | expired | expired if the deadline is the session's and has passed | `not_active` | `not_active` | `not_active` |
//!
//! A session that has ended in any way may be deleted once. The deletion keeps its status and
//! outcome. A rejected transition changes nothing.

use crate::domain::event::{Created, Deadline, HandedOff, Refreshed, Renewal, Terminated};
use crate::domain::ids::{AgentId, ProjectId, SessionId};
use crate::domain::metadata::Metadata;
use crate::domain::private::{Private, TokenHashes};
pub use crate::domain::profile::Profile;
use crate::domain::rules::Rules;
use crate::domain::scopes::Scopes;
use crate::domain::time::{Moment, Timestamp};
use crate::domain::verdict::Reason;
use strum::VariantArray as _;

/// A session: the facts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its agent.
    pub agent_id: AgentId,
    /// Its status.
    pub status: SessionStatus,
    /// When it opened, by its emitter's clock.
    pub created_at: Timestamp,
    /// The log's time of its opening.
    pub recorded_at: Timestamp,
    /// Time of the latest event that changed it. (By the first rules a deletion after its end did not
    /// count.)
    pub updated_at: Timestamp,
    /// Time of the latest sign of life.
    pub last_activity_at: Timestamp,
    /// Time of the latest refresh.
    pub refreshed_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Its deadline.
    pub expires_at: Option<Timestamp>,
    /// Its time to live when it opened, in microseconds.
    pub ttl_us: Option<i64>,
    /// Whether the ledger corrected an impossible time of one of its events.
    pub time_adjusted: bool,
    /// Its scopes.
    pub scopes: Scopes,
    /// The caller's own data.
    pub metadata: Metadata,
    /// Its parent session.
    pub parent: Option<SessionId>,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// Its phase.
    pub phase: Option<Phase>,
    /// Descriptive fields.
    pub profile: Profile,
    /// Hashes of its tokens, if a command gave some out.
    pub tokens: Option<TokenHashes>,
}

/// A session's status, with the details of that status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionStatus {
    /// It is open.
    Active,
    /// It was ended.
    Terminated {
        /// When it ended.
        at: Timestamp,
        /// Its outcome.
        outcome: Option<Outcome>,
    },
    /// Its deadline passed.
    Expired,
    /// Another agent took over.
    HandedOff {
        /// The agent that took over.
        to: AgentId,
        /// The session of that agent.
        child: SessionId,
    },
}

impl SessionStatus {
    /// The status without its details.
    pub fn kind(&self) -> Status {
        match self {
            Self::Active => Status::Active,
            Self::Terminated { .. } => Status::Terminated,
            Self::Expired => Status::Expired,
            Self::HandedOff { .. } => Status::HandedOff,
        }
    }
}

/// A session's status. The numbers are stored and never reused.
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
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// It is open.
    Active = 0,
    /// It was ended.
    Terminated = 1,
    /// Its deadline passed.
    Expired = 2,
    /// Another agent took over.
    HandedOff = 3,
}

impl Status {
    /// Every value, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What an open session is doing. The numbers are stored and never reused.
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
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// It is being set up.
    Initializing = 1,
    /// It waits for work.
    Ready = 2,
    /// It works.
    Running = 3,
    /// It pauses.
    Paused = 4,
}

impl Phase {
    /// Every value, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The outcome of an ended session. The numbers are stored and never reused.
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
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// It completed its task.
    Completed = 1,
    /// It failed.
    Error = 2,
    /// It was deleted.
    Deleted = 3,
    /// Its agent was revoked.
    Revoked = 4,
}

impl Outcome {
    /// Every value, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Session {
    /// Opens a session with these scopes. The caller has checked the agent and the parent.
    pub fn open(
        at: &Moment,
        created: &Created,
        scopes: Scopes,
        private: &Private,
    ) -> Result<Self, Reason> {
        let expires_at = deadline(at.time, created.deadline)?;
        Ok(Self {
            agent_id: created.agent_id.clone(),
            status: SessionStatus::Active,
            created_at: at.time,
            recorded_at: at.recorded_at,
            updated_at: at.time,
            last_activity_at: at.time,
            refreshed_at: None,
            deleted_at: None,
            expires_at,
            ttl_us: expires_at.map(|deadline| deadline.micros_since(at.time)),
            time_adjusted: at.adjusted,
            scopes,
            metadata: created.metadata.clone(),
            parent: created.parent.clone(),
            project: created.project.clone(),
            phase: created.phase,
            profile: created.profile.clone(),
            tokens: private.tokens,
        })
    }

    /// Applies a sign of life.
    pub fn refresh(
        &mut self,
        at: &Moment,
        refreshed: &Refreshed,
        private: &Private,
    ) -> Result<(), Reason> {
        self.check_step(at, private)?;
        if private
            .refresh_token
            .is_some_and(|hash| self.tokens.is_none_or(|tokens| tokens.refresh != hash))
        {
            return Err(Reason::TokenStale);
        }
        // A refresh with the latest token, or of a session that is known to exist, is the latest
        // one, even if its time is earlier.
        let ordered = private.refresh_token.is_some() || private.existing;
        let time = self.not_before_opening(at);
        if !ordered && self.refreshed_at.is_some_and(|latest| time < latest) {
            return Err(Reason::Superseded);
        }
        let renewed = match refreshed.renewal {
            Some(Renewal::To(wanted)) => deadline(time, Some(wanted))?,
            Some(Renewal::ByTtl) => self.ttl_us.map(|ttl| time.plus_micros(ttl)),
            None => None,
        };
        let kept = renewed.filter(|renewed| !self.ends_too_soon(at, *renewed));
        let corrected = time != at.time || kept != renewed || at.is_corrected();
        let expires_at = kept.or(self.expires_at);
        if let Some(patch) = &refreshed.metadata {
            let merged = self.metadata.merge(patch);
            self.metadata = merged.map_err(|_too_large| Reason::MetadataTooLarge)?;
        }
        self.expires_at = expires_at;
        self.phase = refreshed.phase.or(self.phase);
        self.tokens = private.tokens.or(self.tokens);
        self.refreshed_at = self.refreshed_at.max(Some(time));
        self.last_activity_at = self.last_activity_at.max(time);
        self.updated_at = self.updated_at.max(time);
        self.time_adjusted |= corrected;
        Ok(())
    }

    /// Ends this session and opens its child. The caller has checked the agent and the child's id, and
    /// gives this session's own id.
    pub fn hand_off(
        &mut self,
        at: &Moment,
        id: &SessionId,
        handed_off: &HandedOff,
        private: &Private,
    ) -> Result<Self, Reason> {
        self.check_step(at, private)?;
        let scopes = handed_off.scopes.as_ref().unwrap_or(&self.scopes);
        if !self.scopes.covers(scopes) {
            return Err(Reason::ScopeExceeded);
        }
        let time = self.not_before_opening(at);
        let expires_at = deadline(time, handed_off.deadline)?;
        let mut child = Self {
            agent_id: handed_off.to.clone(),
            status: SessionStatus::Active,
            created_at: time,
            recorded_at: at.recorded_at,
            updated_at: time,
            last_activity_at: time,
            refreshed_at: None,
            deleted_at: None,
            expires_at,
            ttl_us: expires_at.map(|deadline| deadline.micros_since(time)),
            time_adjusted: at.adjusted || time != at.time,
            scopes: scopes.clone(),
            metadata: handed_off.metadata.clone(),
            parent: Some(id.clone()),
            project: self.project.clone(),
            phase: None,
            // The user stays the same. Machine, address and key differ for the new agent.
            profile: Profile {
                user_id: self.profile.user_id.clone(),
                ..Profile::default()
            },
            tokens: private.tokens,
        };
        child.cap_deadline(self.expires_at)?;
        self.status = SessionStatus::HandedOff {
            to: handed_off.to.clone(),
            child: handed_off.child.clone(),
        };
        self.updated_at = self.updated_at.max(time);
        self.time_adjusted |= time != at.time || at.is_corrected();
        Ok(child)
    }

    /// Ends this session, or deletes it after its end.
    pub fn terminate(
        &mut self,
        at: &Moment,
        terminated: Terminated,
        private: &Private,
    ) -> Result<(), Reason> {
        private.check_agent(&self.agent_id)?;
        let outcome = terminated.outcome;
        let is_deletion = outcome == Some(Outcome::Deleted);
        let refused = match self.status {
            SessionStatus::Active => None,
            // The runtime ended the session before its deadline.
            SessionStatus::Expired if !is_deletion && self.is_before_deadline(at.time) => None,
            SessionStatus::Terminated { .. } => Some(Reason::AlreadyEnded),
            SessionStatus::Expired | SessionStatus::HandedOff { .. } => Some(Reason::NotActive),
        };
        let deletes = is_deletion && self.deleted_at.is_none();
        let time = self.not_before_opening(at);
        match refused {
            None => {
                self.status = SessionStatus::Terminated { at: time, outcome };
                self.updated_at = self.updated_at.max(time);
            }
            // The deletion hides the session and keeps its status and outcome.
            Some(_) if deletes && at.rules < Rules::V2 => {}
            Some(_) if deletes => self.updated_at = self.updated_at.max(time),
            Some(reason) => return Err(reason),
        }
        if deletes {
            self.deleted_at = Some(time);
        }
        self.time_adjusted |= time != at.time || at.is_corrected();
        Ok(())
    }

    /// Ends the session because its deadline passed.
    pub fn expire(&mut self, at: &Moment, passed: Timestamp) -> Result<(), Reason> {
        if self.status != SessionStatus::Active {
            return Err(Reason::NotActive);
        }
        if self.expires_at != Some(passed) {
            return Err(Reason::RefreshedSince);
        }
        if at.recorded_at < passed {
            return Err(Reason::NotDue);
        }
        self.status = SessionStatus::Expired;
        self.updated_at = self.updated_at.max(at.time);
        Ok(())
    }

    /// Keeps a child from outliving its parent: the earlier of both deadlines holds.
    pub fn cap_deadline(&mut self, parents: Option<Timestamp>) -> Result<(), Reason> {
        let Some(parents) = parents else {
            return Ok(());
        };
        if parents <= self.created_at {
            return Err(Reason::SessionExpired);
        }
        let capped = self.expires_at.map_or(parents, |own| own.min(parents));
        self.expires_at = Some(capped);
        self.ttl_us = Some(capped.micros_since(self.created_at));
        Ok(())
    }

    /// The time of a step. The clocks of two machines differ, so a step that claims a time before the
    /// opening of the session counts as made at the opening.
    fn not_before_opening(&self, at: &Moment) -> Timestamp {
        if at.rules < Rules::V2 {
            return at.time;
        }
        at.time.max(self.created_at)
    }

    /// Whether a refresh came so late that its deadline would end the session at once. A refresh is
    /// meant to keep the session alive, so it must not shorten the time that the session still has.
    fn ends_too_soon(&self, at: &Moment, renewed: Timestamp) -> bool {
        let shortens = self.expires_at.is_none_or(|current| renewed < current);
        Rules::V2 <= at.rules && shortens && renewed <= at.recorded_at
    }

    fn is_before_deadline(&self, time: Timestamp) -> bool {
        self.expires_at.is_some_and(|due| time < due)
    }

    /// Checks that the session can change at this moment, and that the caller may change it.
    pub fn check_step(&self, at: &Moment, private: &Private) -> Result<(), Reason> {
        if self.status != SessionStatus::Active {
            return Err(Reason::NotActive);
        }
        if self.expires_at.is_some_and(|due| due <= at.time) {
            return Err(Reason::SessionExpired);
        }
        private.check_agent(&self.agent_id)
    }
}

fn deadline(time: Timestamp, wanted: Option<Deadline>) -> Result<Option<Timestamp>, Reason> {
    let Some(deadline) = wanted.map(|wanted| wanted.from(time)) else {
        return Ok(None);
    };
    if deadline <= time {
        return Err(Reason::DeadlineNotAfterTime);
    }
    Ok(Some(deadline))
}
