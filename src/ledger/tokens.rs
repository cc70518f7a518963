//! Tokens of sessions: made from a secret, told apart by their hashes.
//!
//! ```text
//! slat_<base64url of tenant, 0x00, session>.<base64url of 32 bytes>     access
//! slrt_<the same>.<base64url of 32 bytes>                               refresh
//! ```
//!
//! The 32 bytes are HMAC-SHA-256 of kind, tenant, session and event id under the ledger's secret, so
//! a retried command gives the same tokens again. To check one, nobody needs the secret: its hash is
//! in the session, and which session it is, the token says.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::limits::TOKEN_CHARS_MAX;
use crate::domain::{EventId, SessionId, TenantId, TokenHash, TokenHashes};

const ACCESS: &str = "slat_";
const REFRESH: &str = "slrt_";

/// What tokens are made with. Nodes that share it give the same tokens for the same command.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret([u8; TokenSecret::BYTES]);

/// A token. Shown once, to who asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The two tokens of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Shows that its bearer acts in the session.
    pub access: Token,
    /// Lets its bearer refresh the session, once.
    pub refresh: Token,
}

/// What an access token says of itself; whether that is true, its hash tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaim {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// To be compared with the session's.
    pub hash: TokenHash,
}

impl TokenSecret {
    /// How long a secret is.
    pub const BYTES: usize = 32;

    /// A secret of random bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// A secret for one purpose, which says nothing of this one or of those for other purposes.
    pub(super) fn derive(&self, purpose: &str) -> [u8; Self::BYTES] {
        // What tokens are made of begins with a length, so with a zero byte: no text does.
        let mut mac = self.mac();
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("any length is a key")
    }

    /// The tokens that an event gives to a session.
    pub(super) fn issue(&self, tenant: &TenantId, session: &SessionId, event: &EventId) -> Tokens {
        let token = |kind: &str| {
            let mut mac = self.mac();
            for part in [kind, tenant.as_str(), session.as_str(), event.as_str()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part.as_bytes());
            }
            let whose = URL_SAFE_NO_PAD.encode(format!("{tenant}\0{session}"));
            let secret = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
            Token(format!("{kind}{whose}.{secret}"))
        };
        Tokens {
            access: token(ACCESS),
            refresh: token(REFRESH),
        }
    }
}

impl Tokens {
    /// What the ledger keeps of them.
    pub fn hashes(&self) -> TokenHashes {
        TokenHashes {
            access: hash(&self.access.0),
            refresh: hash(&self.refresh.0),
        }
    }
}

impl Token {
    /// The text to hand over.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TokenClaim {
    /// Reads an access token; `None` if the text is none.
    pub fn of_access(text: &str) -> Option<Self> {
        if TOKEN_CHARS_MAX < text.len() {
            return None;
        }
        let (whose, _secret) = text.strip_prefix(ACCESS)?.split_once('.')?;
        let whose = String::from_utf8(URL_SAFE_NO_PAD.decode(whose).ok()?).ok()?;
        let (tenant, session) = whose.split_once('\0')?;
        Some(Self {
            tenant: TenantId::parse(tenant).ok()?,
            session: SessionId::parse(session).ok()?,
            hash: hash(text),
        })
    }
}

/// The hash of a token, or of whatever was presented as one.
pub(super) fn hash(text: &str) -> TokenHash {
    TokenHash::new(Sha256::digest(text).into())
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn issue(secret: u8, tenant: &str, session: &str, event: &str) -> Tokens {
        TokenSecret::new([secret; TokenSecret::BYTES]).issue(
            &TenantId::parse(tenant).unwrap(),
            &SessionId::parse(session).unwrap(),
            &EventId::parse(event).unwrap(),
        )
    }

    #[test]
    fn tokens_are_the_same_for_the_same_event_and_else_differ() {
        let tokens = issue(1, "acme", "s", "e");
        assert_eq!(tokens, issue(1, "acme", "s", "e"));
        let others = [
            issue(2, "acme", "s", "e"),
            issue(1, "globex", "s", "e"),
            issue(1, "acme", "t", "e"),
            issue(1, "acme", "s", "f"),
        ];
        for other in others {
            assert_ne!(tokens.access, other.access);
            assert_ne!(tokens.refresh, other.refresh);
        }
    }

    #[test]
    fn every_secret_and_purpose_has_a_secret_of_its_own() {
        let derive =
            |secret, purpose| TokenSecret::new([secret; TokenSecret::BYTES]).derive(purpose);
        assert_eq!(derive(1, "a"), derive(1, "a"));
        assert_ne!(derive(1, "a"), derive(1, "b"));
        assert_ne!(derive(1, "a"), derive(2, "a"));
        assert_ne!(derive(1, ""), [1; TokenSecret::BYTES]);
    }

    #[test]
    fn a_refresh_token_is_no_access_token() {
        let tokens = issue(1, "acme", "s", "e");
        assert!(TokenClaim::of_access(tokens.access.reveal()).is_some());
        assert_eq!(TokenClaim::of_access(tokens.refresh.reveal()), None);
    }

    #[test]
    fn the_longest_ids_fit_into_a_token() {
        let session = "\u{10348}".repeat(256);
        let tokens = issue(1, &"t".repeat(64), &session, "e");
        assert!(tokens.access.reveal().len() <= TOKEN_CHARS_MAX);
        assert!(TokenClaim::of_access(tokens.access.reveal()).is_some());
    }

    #[test]
    fn neither_secret_nor_token_is_printed() {
        let tokens = issue(7, "acme", "s", "e");
        assert_eq!(
            format!("{tokens:?}"),
            "Tokens { access: Token(..), refresh: Token(..) }"
        );
        assert_eq!(
            format!("{:?}", TokenSecret::new([7; 32])),
            "TokenSecret(..)"
        );
    }

    proptest! {
        #[test]
        fn an_access_token_leads_back_to_its_session(session in "[^/\\p{C}\\p{Z}]{1,64}") {
            prop_assume!(SessionId::parse(&session).is_ok());
            let tokens = issue(1, "acme", &session, "e");
            let claim = TokenClaim::of_access(tokens.access.reveal()).unwrap();
            prop_assert_eq!((claim.tenant.as_str(), claim.session.as_str()), ("acme", &*session));
            prop_assert_eq!(claim.hash, tokens.hashes().access);
        }

        #[test]
        fn any_other_text_has_an_answer(text in "(slat_)?[A-Za-z0-9_-]{0,40}[.]?\\PC{0,20}") {
            let _ = TokenClaim::of_access(&text);
        }
    }
}
