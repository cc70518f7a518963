//! Access: which callers a server accepts, and how it identifies them.

use std::sync::Arc;

use crate::auth::jwt::{ClaimError, TokenError, Tokens};
use crate::auth::{ApiKey, Identity, KeyError, KeyId, Keys, RateLimits};
use crate::domain::limits::CREDENTIAL_BYTES_MAX;
use crate::domain::{Timestamp, TokenHash};

/// Which callers a server accepts.
pub enum Access {
    /// Every caller, for any tenant.
    Everybody,
    /// Callers with a key or a token.
    Credentials(Credentials),
    /// Callers with the one key that has this hash, for any tenant. The log of keys does not have it.
    Private(TokenHash),
}

/// Checks credentials.
pub struct Credentials {
    /// The API keys.
    pub keys: Arc<Keys>,
    /// Checks tokens; `None` if the server accepts no tokens.
    pub tokens: Option<Arc<Tokens>>,
    /// The rate limit of each credential; `None` is no limit.
    pub rate_limits: Option<RateLimits>,
}

/// A credential from a request. Borrowed and not printable, so that it is neither kept nor logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// From a header that carries keys only.
    Key(&'a str),
    /// From a header that carries a key or a token.
    Bearer(&'a str),
}

impl<'a> Presented<'a> {
    /// The credential.
    pub fn text(self) -> &'a str {
        match self {
            Self::Key(text) | Self::Bearer(text) => text,
        }
    }
}

/// Why a credential is rejected. For logs and metrics: callers do not see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The credential exceeds the size limit and was not examined.
    #[error("the credential has {0} bytes, and the limit is {CREDENTIAL_BYTES_MAX}")]
    TooLong(usize),
    /// The text is not a key, and cannot be checked as a token.
    #[error("the credential is neither a key (`slk_..`) nor a token")]
    NotAKey,
    /// The text may be a token, and this server accepts no tokens.
    #[error(
        "the credential is not a key (`slk_..`), and this server accepts no tokens: start it with \
         --jwt-jwks or --jwt-hs256-secret-file to accept them"
    )]
    NoTokens,
    /// The key is unknown, revoked or expired, or has a different secret.
    #[error("the key {0} {1}")]
    Key(KeyId, KeyError),
    /// The token is invalid.
    #[error("the token was rejected: {0}")]
    Token(#[from] TokenError),
}

impl CredentialError {
    /// Returns the kind of reason, as a label for metrics.
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
    /// Returns the identity that a credential proves at `now`.
    pub async fn identify(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Identity, CredentialError> {
        let text = presented.text();
        if CREDENTIAL_BYTES_MAX < text.len() {
            return Err(CredentialError::TooLong(text.len()));
        }
        match (presented, &self.tokens) {
            (Presented::Bearer(token), Some(tokens)) if !ApiKey::looks_like(token) => {
                Ok(tokens.identify(token, now).await?)
            }
            (Presented::Bearer(_) | Presented::Key(_), _) => {
                let key = ApiKey::parse(text).ok_or_else(|| self.no_key(presented))?;
                let found = self.keys.authenticate(&key, now);
                found.map_err(|why| CredentialError::Key(key.id(), why))
            }
        }
    }

    fn no_key(&self, presented: Presented<'_>) -> CredentialError {
        match presented {
            Presented::Bearer(token) if self.tokens.is_none() && !ApiKey::looks_like(token) => {
                CredentialError::NoTokens
            }
            Presented::Bearer(_) | Presented::Key(_) => CredentialError::NotAKey,
        }
    }
}
