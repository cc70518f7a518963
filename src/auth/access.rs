//! Access: whom a server serves, and how it tells them.

use std::sync::Arc;

use crate::auth::jwt::{ClaimError, TokenError, Tokens};
use crate::auth::{ApiKey, Identity, KeyError, KeyId, Keys, RateLimits};
use crate::domain::limits::CREDENTIAL_BYTES_MAX;
use crate::domain::{Timestamp, TokenHash};

/// Whom a server serves.
pub enum Access {
    /// Whoever reaches it, for any tenant.
    Everybody,
    /// Who has a credential.
    Credentials(Credentials),
    /// Who has the key with this hash, which is in no keyring, for any tenant.
    Private(TokenHash),
}

/// What credentials are checked with.
pub struct Credentials {
    /// The keys.
    pub keys: Arc<Keys>,
    /// Tokens, if any are accepted.
    pub tokens: Option<Arc<Tokens>>,
    /// How many requests each may make, if that is limited.
    pub rate_limits: Option<RateLimits>,
}

/// A credential as it came. Borrowed, and not printable: it belongs nowhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// Said to be a key.
    Key(&'a str),
    /// A key or a token.
    Bearer(&'a str),
}

impl<'a> Presented<'a> {
    /// The credential itself.
    pub fn text(self) -> &'a str {
        match self {
            Self::Key(text) | Self::Bearer(text) => text,
        }
    }
}

/// Why a credential stands for nobody. For the log and what is counted: callers are not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing that is as long is looked at.
    #[error("the credential has {0} bytes, and the limit is {CREDENTIAL_BYTES_MAX}")]
    TooLong(usize),
    /// Neither.
    #[error("the credential is no key (`slk_..`) and no token")]
    NotAKey,
    /// It may be one, and this server takes none.
    #[error(
        "the credential is no key (`slk_..`), and this server takes no tokens: it has no --jwt-.."
    )]
    NoTokens,
    /// A key that opens nothing.
    #[error("the key {0} {1}")]
    Key(KeyId, KeyError),
    /// A token that does not count.
    #[error("a token was refused: {0}")]
    Token(#[from] TokenError),
}

impl Refused {
    /// A word for the kind of reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::NotAKey | Self::NoTokens => "not_a_key",
            Self::Key(_, KeyError::Unknown) => "key_unknown",
            Self::Key(_, KeyError::Secret) => "key_secret",
            Self::Key(_, KeyError::Revoked) => "key_revoked",
            Self::Key(_, KeyError::Expired) => "key_expired",
            Self::Token(TokenError::Claims(ClaimError::Expired)) => "token_expired",
            Self::Token(TokenError::Claims(_) | TokenError::ClaimTwice(_)) => "token_claims",
            Self::Token(_) => "token_signature",
        }
    }
}

impl Credentials {
    /// Whom a credential stands for at `now`.
    pub async fn identify(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Identity, Refused> {
        let text = presented.text();
        if CREDENTIAL_BYTES_MAX < text.len() {
            return Err(Refused::TooLong(text.len()));
        }
        match (presented, &self.tokens) {
            (Presented::Bearer(token), Some(tokens)) if !ApiKey::looks_like(token) => {
                Ok(tokens.identify(token, now).await?)
            }
            (Presented::Bearer(_) | Presented::Key(_), _) => {
                let key = ApiKey::parse(text).ok_or_else(|| self.no_key(presented))?;
                let found = self.keys.authenticate(&key, now);
                found.map_err(|why| Refused::Key(key.id(), why))
            }
        }
    }

    fn no_key(&self, presented: Presented<'_>) -> Refused {
        match presented {
            Presented::Bearer(token) if self.tokens.is_none() && !ApiKey::looks_like(token) => {
                Refused::NoTokens
            }
            Presented::Bearer(_) | Presented::Key(_) => Refused::NotAKey,
        }
    }
}
