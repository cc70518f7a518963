//! Access: whom a server serves, and how it tells them.

use std::sync::Arc;

use crate::auth::jwt::Tokens;
use crate::auth::{ApiKey, Identity, Keys, RateLimits};
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

impl Credentials {
    /// Whom a credential stands for at `now`. The answer says nothing of why it is nobody.
    pub async fn identify(&self, presented: Presented<'_>, now: Timestamp) -> Option<Identity> {
        let text = presented.text();
        if CREDENTIAL_BYTES_MAX < text.len() {
            return None;
        }
        match (presented, &self.tokens) {
            (Presented::Bearer(token), Some(tokens)) if !ApiKey::looks_like(token) => {
                let identified = tokens.identify(token, now).await;
                identified
                    .inspect_err(|why| tracing::debug!("a token was refused: {why}"))
                    .ok()
            }
            (Presented::Bearer(_) | Presented::Key(_), _) => {
                let key = ApiKey::parse(text)?;
                self.keys.authenticate(&key, now)
            }
        }
    }
}
