//! The private part of a record, which the fold reads and no caller may see.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::domain::ids::AgentId;
use crate::domain::verdict::Reason;

/// SHA-256 of a token. Not printable: neither a token nor its hash belongs in a log line.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl PartialEq for TokenHash {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl TokenHash {
    /// Wraps a hash.
    pub fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Hashes of the two tokens that a command gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHashes {
    /// Of the access token.
    pub access: TokenHash,
    /// Of the refresh token.
    pub refresh: TokenHash,
}

/// The private part of a record. Only the ledger writes one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Private {
    /// Precondition: the session is open. If it is missing, the event is rejected as `not_found`
    /// and not parked.
    pub existing: bool,
    /// Precondition: the agent is already known, even if only a session has named it.
    pub agent_registered: bool,
    /// Precondition: the session belongs to this agent.
    pub agent: Option<AgentId>,
    /// Precondition: the session's refresh token has this hash.
    pub refresh_token: Option<TokenHash>,
    /// Tokens of the session that this event opens or refreshes.
    pub tokens: Option<TokenHashes>,
    /// A runtime emitted the event through a ledger, which wrote it for the runtime.
    pub emitted: bool,
    /// The credential that sent the event or command to a ledger.
    pub written_by: Option<Box<str>>,
}

impl Private {
    /// The private part of an event that a runtime emits through a ledger.
    pub fn of_emitted(written_by: Option<&str>) -> Self {
        Self {
            emitted: true,
            written_by: written_by.map(Into::into),
            ..Self::default()
        }
    }

    /// Its preconditions and tokens, without the sender of the event.
    #[must_use]
    pub fn without_writer(&self) -> Self {
        Self {
            emitted: false,
            written_by: None,
            ..self.clone()
        }
    }

    /// The precondition of a command about an existing session. With an agent, the session must
    /// belong to that agent.
    pub fn of_existing(agent: Option<&AgentId>) -> Self {
        Self {
            existing: true,
            agent: agent.cloned(),
            ..Self::default()
        }
    }

    /// Checks that an agent is the one that the precondition names, if it names one.
    pub fn check_agent(&self, agent: &AgentId) -> Result<(), Reason> {
        match &self.agent {
            Some(only) if only != agent => Err(Reason::OtherAgent),
            Some(_) | None => Ok(()),
        }
    }
}
