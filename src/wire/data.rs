//! The `data` of events, to be filled and serialized. Fields that are `None` are left out.
//!
//! The order of fields is the order of members. It must not change: reactors on several nodes must
//! write the same bytes.
#![expect(
    clippy::ref_option_ref,
    reason = "serde hands over a reference to the field"
)]

use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::agent::{AgentProfile, AgentTexts};
use crate::domain::event::{Created, Deadline, HandedOff, Refreshed, Renewal, Terminated};
use crate::domain::session::{Outcome, Phase, Profile};
use crate::domain::{AgentId, Metadata, ProjectId, Scopes, SessionId, Timestamp};

const SECOND_US: i64 = 1_000_000;

/// Data of `session.created`.
#[derive(Debug, Clone, Serialize)]
pub struct SessionCreatedData<'a> {
    /// The agent of the session.
    pub agent_id: &'a AgentId,
    /// Its deadline.
    #[serde(flatten, serialize_with = "deadline")]
    pub deadline: Option<Deadline>,
    /// Its scopes.
    #[serde(serialize_with = "scopes", skip_serializing_if = "Option::is_none")]
    pub scopes: Option<&'a Scopes>,
    /// The caller's own data.
    #[serde(serialize_with = "metadata", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Metadata>,
    /// Its parent session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<&'a SessionId>,
    /// The project that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<&'a ProjectId>,
    /// Its first phase.
    #[serde(serialize_with = "phase", skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Descriptive texts.
    #[serde(flatten)]
    pub profile: Option<&'a Profile>,
}

/// Data of `session.refreshed`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionRefreshedData<'a> {
    /// How the deadline moves.
    #[serde(flatten, serialize_with = "renewal")]
    pub renewal: Option<Renewal>,
    /// The new phase.
    #[serde(serialize_with = "phase", skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// A merge patch for the metadata.
    #[serde(serialize_with = "metadata", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Metadata>,
}

/// Data of `session.handed_off`.
#[derive(Debug, Clone, Serialize)]
pub struct SessionHandedOffData<'a> {
    /// The agent that takes over.
    pub to_agent_id: &'a AgentId,
    /// The session that opens for it.
    pub session_id: &'a SessionId,
    /// The child's scopes; those of its parent if left out.
    #[serde(serialize_with = "scopes", skip_serializing_if = "Option::is_none")]
    pub scopes: Option<&'a Scopes>,
    /// The child's metadata.
    #[serde(serialize_with = "metadata", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Metadata>,
    /// The child's deadline.
    #[serde(flatten, serialize_with = "deadline")]
    pub deadline: Option<Deadline>,
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// Data of `session.terminated`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionTerminatedData<'a> {
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The outcome.
    #[serde(serialize_with = "outcome", skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Data of `session.expired`.
#[derive(Debug, Clone, Serialize)]
pub struct SessionExpiredData {
    /// The deadline that passed.
    pub expires_at: Timestamp,
}

/// Data of `agent.registered` and `agent.updated`.
#[derive(Debug, Clone, Serialize)]
pub struct AgentProfileData<'a> {
    /// Descriptive texts.
    #[serde(flatten)]
    pub texts: &'a AgentTexts,
    /// What it may do.
    #[serde(serialize_with = "scopes", skip_serializing_if = "Option::is_none")]
    pub scopes: Option<&'a Scopes>,
    /// The caller's own data.
    #[serde(serialize_with = "metadata", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a Metadata>,
    /// How far it is trusted, in thousandths.
    #[serde(
        rename = "trust_score",
        serialize_with = "share",
        skip_serializing_if = "Option::is_none"
    )]
    pub trust_score_milli: Option<u16>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Data of `agent.suspended`, `agent.reinstated` and `agent.revoked`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AgentReasonData<'a> {
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// Data of `ledger.rules`.
#[derive(Debug, Clone, Serialize)]
pub struct RulesData {
    /// The version of the rules for all later records.
    pub version: u32,
}

impl<'a> SessionCreatedData<'a> {
    /// Data with only the required fields.
    pub fn new(agent_id: &'a AgentId) -> Self {
        Self {
            agent_id,
            deadline: None,
            scopes: None,
            metadata: None,
            parent_session_id: None,
            project_id: None,
            phase: None,
            profile: None,
        }
    }
}

impl<'a> From<&'a Created> for SessionCreatedData<'a> {
    fn from(created: &'a Created) -> Self {
        Self {
            agent_id: &created.agent_id,
            deadline: created.deadline,
            scopes: created.scopes.as_ref(),
            metadata: unless_empty(&created.metadata),
            parent_session_id: created.parent.as_ref(),
            project_id: created.project.as_ref(),
            phase: created.phase,
            profile: Some(&created.profile),
        }
    }
}

impl<'a> From<&'a Refreshed> for SessionRefreshedData<'a> {
    fn from(refreshed: &'a Refreshed) -> Self {
        Self {
            renewal: refreshed.renewal,
            phase: refreshed.phase,
            metadata: refreshed.metadata.as_ref(),
        }
    }
}

impl<'a> From<&'a HandedOff> for SessionHandedOffData<'a> {
    fn from(handed_off: &'a HandedOff) -> Self {
        Self {
            to_agent_id: &handed_off.to,
            session_id: &handed_off.child,
            scopes: handed_off.scopes.as_ref(),
            metadata: unless_empty(&handed_off.metadata),
            deadline: handed_off.deadline,
            reason: None,
        }
    }
}

impl From<Terminated> for SessionTerminatedData<'_> {
    fn from(terminated: Terminated) -> Self {
        Self {
            reason: None,
            outcome: terminated.outcome,
        }
    }
}

impl<'a> From<&'a AgentProfile> for AgentProfileData<'a> {
    fn from(agent: &'a AgentProfile) -> Self {
        Self {
            texts: &agent.texts,
            scopes: agent.scopes.as_ref(),
            metadata: agent.metadata.as_ref(),
            trust_score_milli: agent.trust_score_milli,
            expires_at: agent.expires_at,
        }
    }
}

/// Leaves out metadata without members: an event without metadata means the same.
fn unless_empty(metadata: &Metadata) -> Option<&Metadata> {
    Some(metadata).filter(|metadata| **metadata != Metadata::default())
}

type Field<'f, T> = &'f Option<T>;

fn renewal<S: Serializer>(renewal: Field<'_, Renewal>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Members {
        extend: bool,
    }
    match *renewal {
        Some(Renewal::To(to)) => deadline(&Some(to), serializer),
        Some(Renewal::ByTtl) => Members { extend: true }.serialize(serializer),
        None => deadline(&None, serializer),
    }
}

fn deadline<S: Serializer>(
    deadline: Field<'_, Deadline>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Members {
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_seconds: Option<i64>,
    }
    let (expires_at, ttl_seconds) = match *deadline {
        Some(Deadline::At(time)) => (Some(time), None),
        // Rounded up, so that no session gets less time than its client wanted.
        Some(Deadline::After(micros)) => {
            (None, Some(micros.saturating_add(SECOND_US - 1) / SECOND_US))
        }
        None => (None, None),
    };
    Members {
        expires_at,
        ttl_seconds,
    }
    .serialize(serializer)
}

fn scopes<S: Serializer>(scopes: Field<'_, &Scopes>, serializer: S) -> Result<S::Ok, S::Error> {
    raw(scopes.map(Scopes::json), serializer)
}

fn metadata<S: Serializer>(
    metadata: Field<'_, &Metadata>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    raw(metadata.map(Metadata::json), serializer)
}

fn raw<S: Serializer>(json: Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    let json: &RawValue = serde_json::from_str(json.unwrap_or("null")).map_err(S::Error::custom)?;
    json.serialize(serializer)
}

fn phase<S: Serializer>(phase: Field<'_, Phase>, serializer: S) -> Result<S::Ok, S::Error> {
    phase.map(Phase::as_str).serialize(serializer)
}

fn outcome<S: Serializer>(outcome: Field<'_, Outcome>, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.map(Outcome::as_str).serialize(serializer)
}

fn share<S: Serializer>(milli: Field<'_, u16>, serializer: S) -> Result<S::Ok, S::Error> {
    milli
        .map(|milli| f64::from(milli) / 1000.0)
        .serialize(serializer)
}
