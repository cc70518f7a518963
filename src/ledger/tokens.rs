//! Tokens of sessions: derived from a secret, and checked by their hashes.
//!
//! ```text
//! slat_<base64url of tenant, 0x00, session>.<base64url of 32 bytes>     access
//! slrt_<base64url of tenant, 0x00, session>.<base64url of 32 bytes>     refresh
//! ```
//!
//! The 32 bytes are the HMAC-SHA-256 of kind, tenant, session and event id with the ledger's
//! secret. So a retry of a command returns the tokens of the first attempt. A check of a token
//! needs no secret: the token names its session, and the session stores the hash of the token.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::event::{Payload, SessionEvent};
use crate::domain::limits::TOKEN_CHARS_MAX;
use crate::domain::{EventId, Rules, SessionId, TenantId, TokenHash, TokenHashes};
use crate::log::Record;
use crate::wire;

const ACCESS: &str = "slat_";
const REFRESH: &str = "slrt_";

/// The secret from which tokens are derived. Nodes with one secret derive equal tokens from one
/// command.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret([u8; TokenSecret::BYTES]);

/// A token. Only answers to the command that issued it show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The two tokens of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Proves that its bearer acts in the session.
    pub access: Token,
    /// Lets its bearer refresh the session once.
    pub refresh: Token,
}

/// The content of an access token. It is genuine if its hash equals the hash in the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaim {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// The hash of the token, to compare with the one in the session.
    pub hash: TokenHash,
}

impl TokenSecret {
    /// The length of a secret.
    pub const BYTES: usize = 32;

    /// A secret from random bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Derives a secret for one purpose. It reveals neither this secret nor those for other
    /// purposes.
    pub(super) fn derive(&self, purpose: &str) -> [u8; Self::BYTES] {
        // The HMAC input of a token starts with a length, so its first byte is zero. A purpose is
        // text and does not start with a zero byte, so the inputs never collide.
        let mut mac = self.mac();
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("any length is a key")
    }

    /// Derives the tokens that an event issues for a session.
    pub(super) fn issue(&self, tenant: &TenantId, session: &SessionId, event: &EventId) -> Tokens {
        let token = |kind: &str| {
            let mut mac = self.mac();
            for part in [kind, tenant.as_str(), session.as_str(), event.as_str()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part.as_bytes());
            }
            let owner = URL_SAFE_NO_PAD.encode(format!("{tenant}\0{session}"));
            let secret = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
            Token(format!("{kind}{owner}.{secret}"))
        };
        Tokens {
            access: token(ACCESS),
            refresh: token(REFRESH),
        }
    }
}

impl TokenSecret {
    /// Whether the tokens of a record were made from this secret. `None` if the record gave out none, or
    /// if it is a handoff, whose tokens are those of another session.
    pub fn made_tokens_of(&self, rules: Rules, record: &Record) -> Option<bool> {
        let body = record.body(rules);
        let decoded = wire::decode(rules, &record.subject, &record.private, &body).ok()?;
        let (tenant, event) = (decoded.tenant?, decoded.event);
        let stored = event.private.tokens?;
        match &event.payload {
            Payload::Session(_, SessionEvent::HandedOff(_))
            | Payload::Agent(..)
            | Payload::Rules { .. } => None,
            Payload::Session(session, _) => {
                Some(self.issue(&tenant, session, &event.id).hashes() == stored)
            }
        }
    }
}

impl Tokens {
    /// The hashes of the tokens, which the ledger stores instead of the tokens.
    pub fn hashes(&self) -> TokenHashes {
        TokenHashes {
            access: hash(&self.access.0),
            refresh: hash(&self.refresh.0),
        }
    }
}

impl Token {
    /// The text of the token, for the answer to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TokenClaim {
    /// Parses an access token; `None` if the text is not one.
    pub fn of_access(text: &str) -> Option<Self> {
        if TOKEN_CHARS_MAX < text.len() {
            return None;
        }
        let (owner, _secret) = text.strip_prefix(ACCESS)?.split_once('.')?;
        let owner = String::from_utf8(URL_SAFE_NO_PAD.decode(owner).ok()?).ok()?;
        let (tenant, session) = owner.split_once('\0')?;
        Some(Self {
            tenant: TenantId::parse(tenant).ok()?,
            session: SessionId::parse(session).ok()?,
            hash: hash(text),
        })
    }
}

/// The hash of a token, or of a text that a caller presented as a token.
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
    fn equal_events_give_equal_tokens_and_others_differ() {
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
    fn each_secret_and_purpose_derives_another_secret() {
        let derive =
            |secret, purpose| TokenSecret::new([secret; TokenSecret::BYTES]).derive(purpose);
        assert_eq!(derive(1, "a"), derive(1, "a"));
        assert_ne!(derive(1, "a"), derive(1, "b"));
        assert_ne!(derive(1, "a"), derive(2, "a"));
        assert_ne!(derive(1, ""), [1; TokenSecret::BYTES]);
    }

    #[test]
    fn a_refresh_token_is_not_an_access_token() {
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
    fn debug_output_hides_secrets_and_tokens() {
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
        fn an_access_token_names_its_session(session in "[^/\\p{C}\\p{Z}]{1,64}") {
            prop_assume!(SessionId::parse(&session).is_ok());
            let tokens = issue(1, "acme", &session, "e");
            let claim = TokenClaim::of_access(tokens.access.reveal()).unwrap();
            prop_assert_eq!((claim.tenant.as_str(), claim.session.as_str()), ("acme", &*session));
            prop_assert_eq!(claim.hash, tokens.hashes().access);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(slat_)?[A-Za-z0-9_-]{0,40}[.]?\\PC{0,20}") {
            let _ = TokenClaim::of_access(&text);
        }
    }
}
