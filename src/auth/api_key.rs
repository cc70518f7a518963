//! API keys as text: `slk_<id>_<secret>`, with 16 hexadecimal digits of id and 64 of secret.
//!
//! The parts are hexadecimal, so the separator cannot occur inside one. The secret is 256 random
//! bits from the operating system. Nobody can guess it, so one SHA-256 is enough to protect it.
//!
//! A dialect may show keys with a prefix of its own. That is another spelling of the same key: the
//! stored hash is always that of the `slk_` spelling.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::TokenHash;

const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// How a key is written. Every spelling has a prefix by which people and secret scanners
/// recognize a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// The ledger's own: `slk_<id>_<secret>`.
    Ledger,
    /// That of OTAS: `agent_<id>_<secret>`.
    Agent,
}

impl Spelling {
    const ALL: [Self; 2] = [Self::Ledger, Self::Agent];

    fn prefix(self) -> &'static str {
        match self {
            Self::Ledger => "slk_",
            Self::Agent => "agent_",
        }
    }
}

/// The id of a key. It is not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    /// Reads an id: 16 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        digits(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A key with its secret. Only [`ApiKey::reveal`] and [`ApiKey::reveal_as`] print the secret.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    secret: [u8; SECRET_BYTES],
}

impl ApiKey {
    /// Generates a key from random bytes of the operating system.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self {
            id: KeyId(id),
            secret,
        })
    }

    /// Reads a key in any spelling. Returns `None` if the text is not a key.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = unprefixed(text)?.split_once('_')?;
        Some(Self {
            id: KeyId::parse(id)?,
            secret: digits(secret)?,
        })
    }

    /// Whether a text has the prefix of a key. It may still be malformed.
    pub fn looks_like(text: &str) -> bool {
        unprefixed(text).is_some()
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The SHA-256 of the `slk_` spelling, which is what the log stores.
    pub fn hash(&self) -> TokenHash {
        TokenHash::new(Sha256::digest(self.reveal()).into())
    }

    /// Compares the hash of this key with a stored hash, in constant time.
    pub fn has_hash(&self, stored: &TokenHash) -> bool {
        self.hash().bytes().ct_eq(stored.bytes()).into()
    }

    /// The key as text, with its secret.
    pub fn reveal(&self) -> String {
        self.reveal_as(Spelling::Ledger)
    }

    /// The key as text in the given spelling, with its secret.
    pub fn reveal_as(&self, spelling: Spelling) -> String {
        let prefix = spelling.prefix();
        format!("{prefix}{}_{}", self.id, hex::encode(self.secret))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, ..)", self.id)
    }
}

/// The part of a key after its prefix; `None` if it has none of the prefixes.
fn unprefixed(text: &str) -> Option<&str> {
    Spelling::ALL
        .into_iter()
        .find_map(|spelling| text.strip_prefix(spelling.prefix()))
}

/// Decodes hexadecimal digits. Rejects upper case, so that a key or id has only one text.
fn digits<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_shows_only_its_id() {
        let key = ApiKey::generate().unwrap();
        let text = key.reveal();
        let read = ApiKey::parse(&text).unwrap();
        assert_eq!(read.id(), key.id());
        assert!(read.has_hash(&key.hash()));
        assert_eq!(KeyId::parse(&key.id().to_string()), Some(key.id()));
        assert_eq!(format!("{key:?}"), format!("ApiKey({}, ..)", key.id()));
    }

    #[test]
    fn a_key_is_the_same_in_every_spelling() {
        let key = ApiKey::generate().unwrap();
        let text = key.reveal_as(Spelling::Agent);
        let digits = key.reveal().split_off("slk_".len());
        assert_eq!(text, format!("agent_{digits}"));
        assert!(ApiKey::looks_like(&text));
        assert!(ApiKey::parse(&text).unwrap().has_hash(&key.hash()));
    }

    #[test]
    fn two_generated_keys_differ() {
        let (one, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_ne!(one.id(), other.id());
        assert!(!one.has_hash(&other.hash()));
    }

    #[test]
    fn the_stored_hash_is_the_sha_256_of_the_text() {
        let text = format!("slk_{}_{}", "0".repeat(16), "f".repeat(64));
        let hash = ApiKey::parse(&text).unwrap().hash();
        assert_eq!(hash.bytes()[..], Sha256::digest(&text)[..]);
    }

    #[test]
    fn malformed_keys_and_ids_are_rejected() {
        let key = ApiKey::generate().unwrap().reveal();
        for wrong in [
            "",
            "slk_",
            &key[1..],
            &key[..key.len() - 1],
            &format!("{key}0"),
            &key.replace('_', "-"),
            &key.replace("slk_", "agent_agent_"),
            &format!("agent_{key}"),
            &key.to_uppercase(),
            &format!("slk_{}_{}", "0".repeat(16), "F".repeat(64)),
            &format!("slk_{}_{}", "0".repeat(15), "0".repeat(65)),
            &format!("slk_{}_{}", "g".repeat(16), "0".repeat(64)),
        ] {
            assert!(ApiKey::parse(wrong).is_none(), "{wrong}");
        }
        for wrong in ["", "0", "000000000000000G", "00000000000000000"] {
            assert_eq!(KeyId::parse(wrong), None);
        }
    }
}
