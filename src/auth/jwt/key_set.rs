//! Key sets (RFC 7517): the public keys that tokens are signed with.
//!
//! A key says which algorithm it is for, by its type: RSA is RS256, P-256 is ES256 and Ed25519 is
//! EdDSA. What else is in a set is skipped, symmetric keys above all: who can read a key set must
//! not be able to sign.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::domain::limits::JWKS_KEYS_MAX;

/// Smallest RSA modulus that ring takes, in bytes: 2048 bits.
const RSA_BYTES_MIN: usize = 256;
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// Why a text is no key set to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is something else.
    #[error("it is not a key set (a JSON object with `keys`)")]
    NotAKeySet,
    /// None of its keys can be used.
    #[error(
        "it has no key of use here: RSA of 2048 bits or more (RS256), P-256 (ES256) or Ed25519 \
         (EdDSA), for signatures"
    )]
    NoKey,
    /// More than anybody needs.
    #[error("it has more than {JWKS_KEYS_MAX} keys")]
    TooManyKeys,
}

/// A key and the one way in which it checks signatures.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// Allows that algorithm alone. Claims are checked elsewhere, against our own clock.
    pub(super) signature_only: Validation,
}

impl VerifyingKey {
    fn new(id: Option<Box<str>>, algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut signature_only = Validation::new(algorithm);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_nbf = false;
        signature_only.validate_aud = false;
        Self {
            id,
            algorithm,
            key,
            signature_only,
        }
    }

    /// A shared secret, for HS256.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::new(None, Algorithm::HS256, DecodingKey::from_secret(secret))
    }
}

/// The keys of a set.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// Reads a set; keys that are of no use here are skipped.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_withheld| KeySetError::NotAKeySet)?;
        if JWKS_KEYS_MAX < set.keys.len() {
            return Err(KeySetError::TooManyKeys);
        }
        let keys: Vec<_> = set.keys.into_iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self(keys))
    }

    /// The key that a token names. One without a name is found if it is the only one for its
    /// algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
        let first = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then_some(first)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn usable(json: serde_json::Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|used| *used == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|all| all.contains(&KeyOperations::Verify))
        && common
            .key_algorithm
            .is_none_or(|named| named == KeyAlgorithm::from(algorithm));
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let id = jwk.common.key_id.map(String::into_boxed_str);
    (for_signatures && has_length(&key)).then(|| VerifyingKey::new(id, algorithm, key))
}

/// Whether ring will take the key: better to know now than when a token comes.
fn has_length(key: &DecodingKey) -> bool {
    use jsonwebtoken::{AlgorithmFamily, DecodingKeyKind};
    match (key.family(), key.kind()) {
        (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            RSA_BYTES_MIN <= n.len() && n.first() != Some(&0)
        }
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => point.len() == P256_BYTES,
        (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) => key.len() == ED25519_BYTES,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ed25519(id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "A".repeat(43)})
    }

    fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    #[track_caller]
    fn check(changes: &Value, expected: bool) {
        let mut key = ed25519("k1");
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        assert_eq!(parse(std::slice::from_ref(&key)).is_ok(), expected, "{key}");
    }

    #[test]
    fn a_key_says_what_it_is_for() {
        check(&json!({}), true);
        check(
            &json!({"use": "sig", "key_ops": ["verify"], "alg": "EdDSA"}),
            true,
        );
        check(&json!({"use": "enc"}), false);
        check(&json!({"key_ops": ["sign"]}), false);
        check(&json!({"alg": "RS256"}), false);
        check(&json!({"alg": "none"}), false);
        check(&json!({"crv": "X25519"}), false);
        check(&json!({"kty": "unknown"}), false);
        check(&json!({"x": "A"}), false);
        check(&json!({"x": 7}), false);
    }

    #[test]
    fn keys_that_are_too_short_or_secret_are_skipped() {
        let n = |bytes: usize| hex_url(&vec![0x80; bytes]);
        let rsa = |bytes: usize| json!({"kty": "RSA", "n": n(bytes), "e": "AQAB"});
        assert!(parse(&[rsa(256)]).is_ok());
        assert_eq!(parse(&[rsa(255)]).unwrap_err(), KeySetError::NoKey);
        let secret = json!({"kty": "oct", "k": n(64), "alg": "HS256"});
        assert_eq!(
            parse(std::slice::from_ref(&secret)).unwrap_err(),
            KeySetError::NoKey
        );
        assert_eq!(parse(&[secret, ed25519("k1")]).unwrap().len(), 1);
    }

    fn hex_url(bytes: &[u8]) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn a_key_is_found_by_name_and_algorithm_or_if_it_is_the_only_one() {
        let two = parse(&[ed25519("k1"), ed25519("k2")]).unwrap();
        let eddsa = Algorithm::EdDSA;
        let found = two.find(Some("k2"), eddsa).unwrap();
        assert_eq!(found.id.as_deref(), Some("k2"));
        assert!(two.find(Some("k3"), eddsa).is_none());
        assert!(two.find(Some("k2"), Algorithm::RS256).is_none());
        assert!(two.find(None, eddsa).is_none());
        let one = parse(&[ed25519("k1")]).unwrap();
        assert!(one.find(None, eddsa).is_some());
        assert!(one.find(None, Algorithm::HS256).is_none());
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            "-----BEGIN PUBLIC KEY-----",
        ] {
            let error = KeySet::parse(wrong.as_bytes()).unwrap_err();
            assert_eq!(error, KeySetError::NotAKeySet, "{wrong}");
        }
        assert_eq!(parse(&[]).unwrap_err(), KeySetError::NoKey);
        let many = vec![ed25519("k1"); JWKS_KEYS_MAX + 1];
        assert_eq!(parse(&many).unwrap_err(), KeySetError::TooManyKeys);
    }
}
