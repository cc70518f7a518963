//! What clients ask the ledger to do, as values. Each command becomes one event.

use crate::domain::agent::AgentProfile;
use crate::domain::event::{Created, Deadline, Refreshed};
use crate::domain::ids::{AgentId, SessionId};
use crate::domain::metadata::Metadata;
use crate::domain::scopes::Scopes;
use crate::domain::session::Outcome;

/// Opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The session's id; the ledger makes one if it is `None`.
    pub id: Option<SessionId>,
    /// The fields of the session.
    pub created: Created,
}

/// Keeps a session open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// The refresh token that the client presents. With it the command replaces both tokens of the
    /// session; without it the tokens stay.
    pub presented: Option<String>,
    /// The fields that change.
    pub refreshed: Refreshed,
}

/// Ends a session and opens its child for another agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOff {
    /// The agent that takes over.
    pub to: AgentId,
    /// The child's id; the ledger makes one if it is `None`.
    pub child: Option<SessionId>,
    /// The child's scopes; `None` means those of its parent.
    pub scopes: Option<Scopes>,
    /// The child's metadata.
    pub metadata: Metadata,
    /// The child's deadline.
    pub deadline: Option<Deadline>,
    /// The reason, for people.
    pub reason: Option<Box<str>>,
}

/// Ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terminate {
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// The reason, for people.
    pub reason: Option<Box<str>>,
}

/// Registers an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewAgent {
    /// The agent's id; the ledger makes one if it is `None`.
    pub id: Option<AgentId>,
    /// The fields of the agent.
    pub profile: AgentProfile,
}

/// Changes an agent. A reason is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentChange {
    /// Changes the fields that the profile has.
    Update(Box<AgentProfile>),
    /// Keeps the agent from acting until it is reinstated.
    Suspend {
        /// The reason.
        reason: Option<Box<str>>,
    },
    /// Lets the agent act again.
    Reinstate {
        /// The reason.
        reason: Option<Box<str>>,
    },
    /// Revokes the agent.
    Revoke {
        /// The reason.
        reason: Option<Box<str>>,
    },
}
