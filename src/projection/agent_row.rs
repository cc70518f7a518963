//! The stored form of an agent: first the public part, then what only the fold reads.
//!
//! ```text
//! version 3 (1) | length of the public part (4) | status (1) | registered (1) | tenant number (4)
//! groups by type | by trust level | by both (4 each, 0 is none)
//! created_at | recorded_at | updated_at (8 each)
//! suspended_at | revoked_at | expires_at (8 each, the smallest number is none)
//! trust score in thousandths (2, 0xffff is none)
//! texts, each as length (2, 0xffff is none) and UTF-8:
//!     agent_id, and those of `domain::profile::AgentTexts` in their order, with scopes and metadata
//!     before trust_level
//! -- end of the public part --
//! position at which it became known (8)
//! history: see `projection::history`
//! ```

use crate::domain::agent::{AgentProfile, AgentTexts};
use crate::domain::{Agent, AgentId, AgentStatus, Metadata, Position, Scopes, Timestamp};
use crate::projection::bytes::{NO_TIME, Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::{self, AgentOwner, Partition};
use crate::projection::numbers::{GroupNumber, TenantNumber};

const VERSION: u8 = 3;
const PUBLIC_LENGTH_AT: usize = 1;
/// The text before which rows have scopes and metadata.
const AFTER_JSON: &str = "trust_level";
const NO_SCORE: u16 = u16::MAX;

/// An agent with the numbers that the read model assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAgent {
    pub(crate) id: AgentId,
    pub(crate) tenant: TenantNumber,
    pub(crate) groups: AgentGroups,
    /// The position of the record that made it known.
    pub(crate) opened: Position,
    pub(crate) agent: Agent,
    pub(crate) history: History,
}

/// The groups that contain an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AgentGroups {
    pub(crate) agent_type: Option<GroupNumber>,
    pub(crate) trust_level: Option<GroupNumber>,
    pub(crate) both: Option<GroupNumber>,
}

impl AgentGroups {
    fn partitions(&self, tenant: TenantNumber, status: AgentStatus) -> AgentPartitions {
        let owners = [
            Some(AgentOwner::Tenant(tenant)),
            self.agent_type.map(AgentOwner::Group),
            self.trust_level.map(AgentOwner::Group),
            self.both.map(AgentOwner::Group),
        ];
        owners.map(|owner| owner.map(|owner| keys::agent_partition(owner, status)))
    }
}

/// The listings that have an agent: the tenant's, and those of its groups.
pub(crate) type AgentPartitions = [Option<Partition>; 4];

/// A stored agent, read without copying. Texts of JSON are `scopes` and `metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of an agent")]
pub struct AgentRow<'a> {
    pub tenant: TenantNumber,
    pub agent_id: &'a str,
    pub status: AgentStatus,
    pub registered: bool,
    pub created_at: Timestamp,
    pub recorded_at: Timestamp,
    pub updated_at: Timestamp,
    pub suspended_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub trust_score_milli: Option<u16>,
    pub scopes: Option<&'a str>,
    pub metadata: Option<&'a str>,
    pub texts: AgentTexts<&'a str>,
}

impl StoredAgent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (agent, profile) = (&self.agent, &self.agent.profile);
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u32(0);
        out.u8(agent.status as u8);
        out.u8(u8::from(agent.registered));
        out.u32(self.tenant.get());
        let groups = &self.groups;
        for group in [groups.agent_type, groups.trust_level, groups.both] {
            out.optional_u32(group.map(GroupNumber::get));
        }
        for time in [agent.created_at, agent.recorded_at, agent.updated_at] {
            out.i64(time.micros());
        }
        for time in [agent.suspended_at, agent.revoked_at, profile.expires_at] {
            out.i64(time.map_or(NO_TIME, Timestamp::micros));
        }
        out.u16(profile.trust_score_milli.unwrap_or(NO_SCORE));
        out.text(Some(self.id.as_str()));
        for (field, text) in profile.texts.each() {
            if field.name == AFTER_JSON {
                out.text(profile.scopes.as_ref().map(Scopes::json));
                out.text(profile.metadata.as_ref().map(Metadata::json));
            }
            out.text(text.map(|text| &**text));
        }
        out.set_u32(PUBLIC_LENGTH_AT, out.len());
        out.u64(self.opened.get());
        self.history.encode(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let (row, groups, mut rest) = AgentRow::split(bytes)?;
        let opened = Position::new(rest.u64()?);
        let history = History::decode(&mut rest)?;
        rest.end()?;
        Ok(Self {
            id: AgentId::parse(row.agent_id).map_err(|_not_an_id| rest.damaged())?,
            tenant: row.tenant,
            groups,
            opened,
            agent: row.agent(),
            history,
        })
    }
}

impl StoredAgent {
    /// The partitions that must contain this agent.
    pub(crate) fn partitions(&self) -> AgentPartitions {
        self.groups.partitions(self.tenant, self.agent.status)
    }
}

impl<'a> AgentRow<'a> {
    /// Reads a stored agent.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, StoreError> {
        Self::split(bytes).map(|(row, _, _)| row)
    }

    /// The public part of a stored agent.
    pub(crate) fn public_part(bytes: &[u8]) -> Result<&[u8], StoreError> {
        Reader::new(bytes, "agent row").public_part()
    }

    /// The position at which a stored agent became known.
    pub(crate) fn opened(bytes: &[u8]) -> Result<Position, StoreError> {
        let public = Self::public_part(bytes)?.len();
        let (_public, hidden) = bytes.split_at(public);
        Reader::new(hidden, "agent row").u64().map(Position::new)
    }

    /// The history of a stored agent.
    pub(crate) fn history(bytes: &[u8]) -> Result<History, StoreError> {
        let (_row, _groups, mut rest) = AgentRow::split(bytes)?;
        let _opened = rest.u64()?;
        History::decode(&mut rest)
    }

    /// The partitions that must contain an agent while this is the public part of its row.
    pub(crate) fn partitions(public: &[u8]) -> Result<AgentPartitions, StoreError> {
        let (row, groups, _) = AgentRow::split(public)?;
        Ok(groups.partitions(row.tenant, row.status))
    }

    fn split(bytes: &'a [u8]) -> Result<(Self, AgentGroups, Reader<'a>), StoreError> {
        let mut from = Reader::new(bytes, "agent row");
        if from.u8()? != VERSION {
            return Err(from.damaged());
        }
        let _public_length = from.u32()?;
        let (status, registered, tenant) = (from.u8()?, from.u8()?, from.u32()?);
        let status = AgentStatus::from_repr(status).ok_or_else(|| from.damaged())?;
        let mut group = || Ok::<_, StoreError>(from.optional_u32()?.map(GroupNumber::new));
        let groups = AgentGroups {
            agent_type: group()?,
            trust_level: group()?,
            both: group()?,
        };
        let mut time = || Ok::<_, StoreError>(Timestamp::from_micros_clamped(from.i64()?));
        let (created_at, recorded_at, updated_at) = (time()?, time()?, time()?);
        let mut maybe = || {
            let micros = from.i64()?;
            let time = (micros != NO_TIME).then(|| Timestamp::from_micros_clamped(micros));
            Ok::<_, StoreError>(time)
        };
        let (suspended_at, revoked_at, expires_at) = (maybe()?, maybe()?, maybe()?);
        let score = from.u16()?;
        let agent_id = from.required()?;
        let (mut scopes, mut metadata) = (None, None);
        let texts = AgentTexts::read(|field| {
            if field.name == AFTER_JSON {
                (scopes, metadata) = (from.text()?, from.text()?);
            }
            from.text()
        })?;
        let row = Self {
            tenant: TenantNumber::new(tenant),
            status,
            registered: registered != 0,
            created_at,
            recorded_at,
            updated_at,
            suspended_at,
            revoked_at,
            expires_at,
            trust_score_milli: (score != NO_SCORE).then_some(score),
            agent_id,
            scopes,
            metadata,
            texts,
        };
        Ok((row, groups, from))
    }

    /// Converts the row to an agent.
    fn agent(&self) -> Agent {
        Agent {
            status: self.status,
            registered: self.registered,
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            updated_at: self.updated_at,
            suspended_at: self.suspended_at,
            revoked_at: self.revoked_at,
            profile: AgentProfile {
                texts: self.texts.map(Box::from),
                scopes: self.scopes.map(Scopes::from_checked),
                metadata: self.metadata.map(Metadata::from_checked),
                trust_score_milli: self.trust_score_milli,
                expires_at: self.expires_at,
            },
        }
    }
}
