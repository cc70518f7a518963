//! What clients ask the ledger to do, as values. Each command becomes one event.

use std::fmt;

use crate::domain::agent::AgentProfile;
use crate::domain::event::{Created, Deadline, Refreshed};
use crate::domain::ids::{AgentId, SessionId};
use crate::domain::limits::TOKEN_CHARS_MAX;
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

/// Keeps a session open and replaces both of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// The refresh token that the client presents. Must be the latest of the session.
    pub presented: PresentedToken,
    /// The fields that change.
    pub refreshed: Refreshed,
}

/// Keeps a session open for a client that has no tokens. The fold checks no token, and the tokens
/// of the session stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepOpen {
    /// What changes.
    pub refreshed: Refreshed,
}

/// A text that a client presents as a token. It may be a live token, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedToken(String);

/// The text is too long for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most {TOKEN_CHARS_MAX} characters")]
pub struct TokenTooLong;

impl PresentedToken {
    /// Checks only the length of the text: whether it is the token, the fold decides.
    pub fn new(text: impl Into<String>) -> Result<Self, TokenTooLong> {
        let text = text.into();
        if TOKEN_CHARS_MAX < text.len() {
            return Err(TokenTooLong);
        }
        Ok(Self(text))
    }

    /// The text, to hash it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(..)")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presented_token_is_bounded_and_hidden() {
        let token = PresentedToken::new("slrt_secret").unwrap();
        assert_eq!(token.reveal(), "slrt_secret");
        let refreshed = Refreshed::default();
        let refresh = Refresh {
            presented: token,
            refreshed,
        };
        assert!(!format!("{refresh:?}").contains("secret"));
        assert!(PresentedToken::new("x".repeat(TOKEN_CHARS_MAX)).is_ok());
        let long = "x".repeat(TOKEN_CHARS_MAX + 1);
        assert_eq!(PresentedToken::new(long), Err(TokenTooLong));
    }
}
