//! The agent state machine.
//!
//! | event | unknown | implicit | active | suspended | revoked |
//! |---|---|---|---|---|---|
//! | registered | active | active | `already_exists` | `already_exists` | `already_exists` |
//! | updated | `not_found` | changed | changed | changed | `agent_revoked` |
//! | suspended | `not_found` | suspended | suspended | `already_suspended` | `agent_revoked` |
//! | reinstated | `not_found` | `not_suspended` | `not_suspended` | active | `agent_revoked` |
//! | revoked | `not_found` | revoked | revoked | revoked | `already_revoked` |
//!
//! An agent is implicit while only sessions name it. It is active, and the first `agent.registered`
//! fills in its fields.

use crate::domain::metadata::Metadata;
pub use crate::domain::profile::AgentTexts;
use crate::domain::profile::replace;
use crate::domain::rules::Rules;
use crate::domain::scopes::Scopes;
use crate::domain::time::{Moment, Timestamp};
use crate::domain::verdict::Reason;
use strum::VariantArray as _;

/// An agent: the facts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its status.
    pub status: AgentStatus,
    /// Whether there was an `agent.registered`. Otherwise only a session named the agent.
    pub registered: bool,
    /// When it became known, by its emitter's clock.
    pub created_at: Timestamp,
    /// The log's time of that event.
    pub recorded_at: Timestamp,
    /// Time of the latest event that changed it.
    pub updated_at: Timestamp,
    /// When it was suspended, if it still is or was at its revocation.
    pub suspended_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Its fields.
    pub profile: AgentProfile,
}

/// An agent's status. The numbers are stored and never reused.
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
pub enum AgentStatus {
    /// It may act.
    Active = 0,
    /// It may not act until it is reinstated.
    Suspended = 1,
    /// It may never act again.
    Revoked = 2,
}

impl AgentStatus {
    /// Every status, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Fields of an agent; in an update, those that change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentProfile {
    /// What describes it.
    pub texts: AgentTexts,
    /// What it may do; `None` sets no bound.
    pub scopes: Option<Scopes>,
    /// The caller's own data.
    pub metadata: Option<Metadata>,
    /// How far it is trusted, in thousandths from 0 to 1000.
    pub trust_score_milli: Option<u16>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Agent {
    /// An agent that was first named by a session.
    pub fn implicit(at: &Moment) -> Self {
        let texts = AgentTexts {
            agent_type: Some("unknown".into()),
            ..AgentTexts::default()
        };
        let profile = AgentProfile {
            texts,
            ..AgentProfile::default()
        };
        Self::new(at, profile, false)
    }

    /// A registered agent.
    pub fn register(at: &Moment, profile: AgentProfile) -> Result<Self, Reason> {
        profile.check_deadline(at)?;
        Ok(Self::new(at, profile, true))
    }

    fn new(at: &Moment, profile: AgentProfile, registered: bool) -> Self {
        Self {
            status: AgentStatus::Active,
            registered,
            created_at: at.time,
            recorded_at: at.recorded_at,
            updated_at: at.time,
            suspended_at: None,
            revoked_at: None,
            profile,
        }
    }

    /// Registers an implicit agent. It keeps its times of creation and its status.
    pub fn adopt(&mut self, at: &Moment, profile: &AgentProfile) -> Result<(), Reason> {
        if self.registered || self.status != AgentStatus::Active {
            return Err(Reason::AlreadyExists);
        }
        profile.check_deadline(at)?;
        self.registered = true;
        self.profile = profile.clone();
        self.touch(at);
        Ok(())
    }

    /// Changes the fields that the update names.
    pub fn update(&mut self, at: &Moment, changes: &AgentProfile) -> Result<(), Reason> {
        self.check_not_revoked()?;
        changes.check_deadline(at)?;
        self.profile.take(changes);
        self.touch(at);
        Ok(())
    }

    /// Suspends it.
    pub fn suspend(&mut self, at: &Moment) -> Result<(), Reason> {
        self.check_not_revoked()?;
        if self.status == AgentStatus::Suspended {
            return Err(Reason::AlreadySuspended);
        }
        self.status = AgentStatus::Suspended;
        self.suspended_at = Some(self.not_before_creation(at));
        self.touch(at);
        Ok(())
    }

    /// Lets it act again.
    pub fn reinstate(&mut self, at: &Moment) -> Result<(), Reason> {
        self.check_not_revoked()?;
        if self.status != AgentStatus::Suspended {
            return Err(Reason::NotSuspended);
        }
        self.status = AgentStatus::Active;
        self.suspended_at = None;
        self.touch(at);
        Ok(())
    }

    /// Revokes it.
    pub fn revoke(&mut self, at: &Moment) -> Result<(), Reason> {
        if self.status == AgentStatus::Revoked {
            return Err(Reason::AlreadyRevoked);
        }
        self.status = AgentStatus::Revoked;
        self.revoked_at = Some(self.not_before_creation(at));
        self.touch(at);
        Ok(())
    }

    /// Whether it may open sessions at this time.
    pub fn check_may_act(&self, time: Timestamp) -> Result<(), Reason> {
        match self.status {
            AgentStatus::Active if self.profile.expires_at.is_some_and(|end| end <= time) => {
                Err(Reason::AgentExpired)
            }
            AgentStatus::Active => Ok(()),
            AgentStatus::Suspended => Err(Reason::AgentSuspended),
            AgentStatus::Revoked => Err(Reason::AgentRevoked),
        }
    }

    /// Whether a session of it may have these scopes.
    pub fn allows(&self, scopes: &Scopes) -> bool {
        self.profile
            .scopes
            .as_ref()
            .is_none_or(|bound| bound.covers(scopes))
    }

    fn check_not_revoked(&self) -> Result<(), Reason> {
        if self.status == AgentStatus::Revoked {
            return Err(Reason::AgentRevoked);
        }
        Ok(())
    }

    /// The time of a change. It is not before the time at which the agent became known.
    fn not_before_creation(&self, at: &Moment) -> Timestamp {
        if at.rules < Rules::V2 {
            return at.time;
        }
        at.time.max(self.created_at)
    }

    fn touch(&mut self, at: &Moment) {
        self.updated_at = self.updated_at.max(at.time);
    }
}

impl AgentProfile {
    /// Rejects a deadline that is not after the time of the event.
    fn check_deadline(&self, at: &Moment) -> Result<(), Reason> {
        let passed = self.expires_at.is_some_and(|end| end <= at.time);
        if passed && Rules::V2 <= at.rules {
            return Err(Reason::DeadlineNotAfterTime);
        }
        Ok(())
    }

    fn take(&mut self, changes: &Self) {
        self.texts.take(&changes.texts);
        replace(&mut self.scopes, changes.scopes.as_ref());
        replace(&mut self.metadata, changes.metadata.as_ref());
        let score = changes.trust_score_milli.as_ref();
        replace(&mut self.trust_score_milli, score);
        replace(&mut self.expires_at, changes.expires_at.as_ref());
    }
}
