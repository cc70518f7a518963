//! An agent as it is stored.
//!
//! ```text
//! version 1 (1) | status (1) | registered (1) | tenant number (4)
//! created_at | recorded_at | updated_at (8 each) | expires_at (8, the smallest number is none)
//! trust score in thousandths (2, 0xffff is none)
//! texts, each as length (2, 0xffff is none) and UTF-8:
//!     agent_id, agent_type, display_name, description, scopes, metadata, trust_level,
//!     public_key, key_id, parent_agent_id, created_by_user_id
//! history: see `projection::history`
//! ```

use crate::domain::agent::AgentProfile;
use crate::domain::{Agent, AgentId, AgentStatus, Metadata, Scopes, Timestamp};
use crate::projection::bytes::{Reader, Writer};
use crate::projection::error::StoreError;
use crate::projection::history::History;
use crate::projection::keys::TenantNumber;

const VERSION: u8 = 1;
const NO_TIME: i64 = i64::MIN;
const NO_SCORE: u16 = u16::MAX;

/// An agent with what the read model keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAgent {
    pub(crate) id: AgentId,
    pub(crate) tenant: TenantNumber,
    pub(crate) agent: Agent,
    pub(crate) history: History,
}

impl StoredAgent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (agent, profile) = (&self.agent, &self.agent.profile);
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u8(agent.status as u8);
        out.u8(u8::from(agent.registered));
        out.u32(self.tenant);
        for time in [agent.created_at, agent.recorded_at, agent.updated_at] {
            out.i64(time.micros());
        }
        out.i64(profile.expires_at.map_or(NO_TIME, Timestamp::micros));
        out.u16(profile.trust_score_milli.unwrap_or(NO_SCORE));
        out.text(Some(self.id.as_str()));
        out.text(profile.agent_type.as_deref());
        out.text(profile.display_name.as_deref());
        out.text(profile.description.as_deref());
        out.text(profile.scopes.as_ref().map(Scopes::json));
        out.text(profile.metadata.as_ref().map(Metadata::json));
        out.text(profile.trust_level.as_deref());
        out.text(profile.public_key.as_deref());
        out.text(profile.key_id.as_deref());
        out.text(profile.parent_agent_id.as_deref());
        out.text(profile.created_by_user_id.as_deref());
        self.history.encode(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut from = Reader::new(bytes, "agent row");
        if from.u8()? != VERSION {
            return Err(from.damaged());
        }
        let (status, registered, tenant) = (from.u8()?, from.u8()?, from.u32()?);
        let status = AgentStatus::from_number(status).ok_or_else(|| from.damaged())?;
        let mut time = || Ok::<_, StoreError>(Timestamp::from_micros_clamped(from.i64()?));
        let (created_at, recorded_at, updated_at) = (time()?, time()?, time()?);
        let expires_at = from.i64()?;
        let score = from.u16()?;
        let id = AgentId::parse(from.required()?).map_err(|_not_an_id| from.damaged())?;
        let mut owned = || Ok::<_, StoreError>(from.text()?.map(Box::<str>::from));
        let (agent_type, display_name, description) = (owned()?, owned()?, owned()?);
        let (scopes, metadata) = (owned()?, owned()?);
        let profile = AgentProfile {
            agent_type,
            display_name,
            description,
            scopes: scopes.map(|json| Scopes::from_checked(&json)),
            metadata: metadata.map(|json| Metadata::from_checked(&json)),
            trust_level: owned()?,
            trust_score_milli: (score != NO_SCORE).then_some(score),
            public_key: owned()?,
            key_id: owned()?,
            parent_agent_id: owned()?,
            created_by_user_id: owned()?,
            expires_at: (expires_at != NO_TIME).then(|| Timestamp::from_micros_clamped(expires_at)),
        };
        let history = History::decode(&mut from)?;
        from.end()?;
        let registered = registered != 0;
        let agent = Agent {
            status,
            registered,
            created_at,
            recorded_at,
            updated_at,
            profile,
        };
        Ok(Self {
            id,
            tenant,
            agent,
            history,
        })
    }
}
