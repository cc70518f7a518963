//! Commands: each becomes one event on the ledger's own subject, and its answer is the fold's
//! verdict.
//!
//! A command may require something of the state that it finds: the session is open, the refresh
//! token is the latest, the agent is the credential's. This condition is in the private part of
//! its record, and only the fold decides. So each of two racing commands gets the verdict that counts.
//!
//! A revocation is answered once the sessions of the agent have ended too.
//!
//! Events of commands carry no time: the time of the log counts. A retry then makes the same bytes,
//! and the fold recognizes the duplicate.

mod agents;
mod endings;
mod give;
mod identity;
mod sessions;

use std::sync::Arc;

use crate::domain::{AgentId, Position, SessionId, TenantId};
use crate::ledger::append::{AppendError, Ledger, Receipt, SubmissionError};
use crate::ledger::tokens::{TokenSecret, Tokens};
use crate::log::LogError;
use crate::projection::StoreError;
use crate::query;
use crate::wire::Undecodable;

pub use identity::{IdempotencyKey, NotAKey};

/// The commands of a ledger.
#[derive(Clone)]
pub struct Commands {
    ledger: Ledger,
    secret: Arc<TokenSecret>,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Whose sessions and agents it is about.
    pub tenant: &'a TenantId,
    /// Names the credential; the event says it.
    pub actor: Option<&'a str>,
    /// The only agent that the credential speaks for.
    pub agent: Option<&'a AgentId>,
    /// Makes a retry of the command safe.
    pub retry: Option<&'a IdempotencyKey>,
}

/// What the client that opens a session can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// Registers its agents, keeps tokens and retries. So the agent must be known, the session gets
    /// tokens, and the ledger appends the event once.
    Full,
    /// Does none of these. So an unknown agent becomes known by the session, the session gets no
    /// tokens, and the ledger itself repeats an append that the log did not confirm.
    Simple,
}

/// The result of a command about a session.
#[derive(Debug, Clone)]
pub struct SessionDone {
    /// The session that the answer is about: for a hand-off, the child.
    pub session: SessionId,
    /// The position and verdict of the command's event.
    pub receipt: Receipt,
    /// The tokens that the command gave out; they count if it was applied.
    pub tokens: Option<Tokens>,
}

/// The result of a command about an agent.
#[derive(Debug, Clone)]
pub struct AgentDone {
    /// The agent.
    pub agent: AgentId,
    /// The position and verdict of the command's event.
    pub receipt: Receipt,
    /// How the sessions of the agent ended, if the command revoked it or found it revoked.
    pub revocation: Option<Revocation>,
}

/// How the sessions of a revoked agent ended. After all of them have, this never changes, so a retry of
/// the revocation returns it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The number of sessions that the revocation has ended.
    pub ended_sessions: u64,
    /// The position from which on no session of the agent is active: that of the last event that ended
    /// one, or of the revocation. `None` while a session is active.
    pub settled_position: Option<Position>,
}

impl Revocation {
    /// Nothing is known yet of the sessions.
    const PENDING: Self = Self {
        ended_sessions: 0,
        settled_position: None,
    };
}

/// Why a command has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Its values are out of bounds. Nothing was written.
    #[error(transparent)]
    Submission(#[from] SubmissionError),
    /// The credential is bound to an agent, and may change no agent. Nothing was written.
    #[error("the credential is bound to an agent, and may change only that agent's sessions")]
    AgentBound,
    /// The session or agent of the command cannot be looked up. Nothing was written.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The ledger accepts no commands now. Nothing was written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log rejected the event, or did not confirm it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The idempotency key came with another command about the same session before.
    #[error("the idempotency key was used for the command at position {0}")]
    Reused(Position),
    /// A node with another token secret took the command before, so this node cannot make its
    /// tokens again.
    #[error("the command was applied at position {0} with tokens of another secret")]
    OtherSecret(Position),
}

impl From<Undecodable> for CommandError {
    fn from(undecodable: Undecodable) -> Self {
        Self::Submission(SubmissionError::Undecodable(undecodable))
    }
}

impl Commands {
    /// Commands that append to a ledger and make tokens with a secret.
    pub fn new(ledger: Ledger, secret: TokenSecret) -> Self {
        let secret = Arc::new(secret);
        Self { ledger, secret }
    }

    /// A secret for another purpose than tokens. Nodes that share the token secret make the same
    /// one.
    pub fn secret_for(&self, purpose: &str) -> [u8; TokenSecret::BYTES] {
        self.secret.derive(purpose)
    }

    /// The session that a caller means, as events name it.
    fn known_session(&self, by: &By<'_>, id: &SessionId) -> Result<SessionId, StoreError> {
        match id.as_made() {
            Some(_) => query::known_session(&*self.ledger.snapshot()?, by.tenant, id),
            None => Ok(id.clone()),
        }
    }

    /// The agent that a caller means, as events name it.
    fn known_agent(&self, by: &By<'_>, id: &AgentId) -> Result<AgentId, StoreError> {
        match id.as_made() {
            Some(_) => query::known_agent(&*self.ledger.snapshot()?, by.tenant, id),
            None => Ok(id.clone()),
        }
    }
}
