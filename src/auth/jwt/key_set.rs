//! Key sets (RFC 7517): the public keys that check the signatures of tokens.
//!
//! The type of a key decides its algorithm: RS256 for RSA, ES256 for P-256 and EdDSA for Ed25519.
//! Other keys in a set are skipped, and the log names them with the reason. Symmetric keys are
//! skipped too: a reader of a key set must not be able to sign.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

use super::TokenError;
use super::quoted::Quoted;
use super::token::{self, Unverified};
use crate::domain::limits::{JWKS_KEYS_MAX, LOGGED_WORDS_MAX, TOKEN_KEYS_TRIED_MAX};

/// The range of RSA moduli that ring accepts, in bytes: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// Why a text is not a usable key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The text is not a key set.
    #[error("it is not a key set (a JSON object with `keys`)")]
    NotAKeySet,
    /// The key set is empty.
    #[error("it has no keys")]
    Empty,
    /// None of the keys is usable.
    #[error(
        "none of its keys can be used: {0}. Keys must be for signatures, and RSA of 2048 to 8192 bits \
         (RS256), P-256 (ES256) or Ed25519 (EdDSA or Ed25519)"
    )]
    NoKey(Skipped),
    /// The key set has too many keys.
    #[error("it has more than {JWKS_KEYS_MAX} keys")]
    TooManyKeys,
}

/// The unusable keys of a set, each with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped(Vec<(Option<String>, Unfit)>);

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("not a readable key")]
    Unreadable,
    #[error("a shared secret, which must not be in a key set")]
    Secret,
    #[error("of type {0}")]
    Type(String),
    #[error("of curve {0}")]
    Curve(String),
    #[error("for {0}")]
    Algorithm(String),
    #[error("for use {0}")]
    Use(String),
    #[error("not for `verify`")]
    Operations,
    #[error("RSA of {0} bits")]
    Bits(usize),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (id, why)) in self.0.iter().take(LOGGED_WORDS_MAX).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            match id {
                Some(id) => write!(f, "{comma}{} ({why})", Quoted(id))?,
                None => write!(f, "{comma}one without `kid` ({why})")?,
            }
        }
        match self.0.len().saturating_sub(LOGGED_WORDS_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A key and the only algorithm that it is used with.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    id: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl VerifyingKey {
    /// A shared secret for HS256.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret),
        }
    }

    /// Whether the header of a token allows this key: the algorithms are equal, and so are the key
    /// ids (`kid`) if both have one.
    fn fits(&self, token: &Unverified<'_>) -> bool {
        let named = match (&self.id, &token.key_id) {
            (Some(id), Some(wanted)) => **id == **wanted,
            (None, _) | (_, None) => true,
        };
        named && self.algorithm == token.algorithm
    }
}

/// The keys of a set.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: Skipped,
}

impl KeySet {
    /// Parses a key set.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_withheld| KeySetError::NotAKeySet)?;
        if JWKS_KEYS_MAX < set.keys.len() {
            return Err(KeySetError::TooManyKeys);
        }
        let mut found = Self::default();
        for key in &set.keys {
            let id = key.get("kid").and_then(Value::as_str);
            match usable(key) {
                Ok((algorithm, key)) => found.keys.push(VerifyingKey {
                    id: id.map(Into::into),
                    algorithm,
                    key,
                }),
                Err(why) => found.skipped.0.push((id.map(str::to_owned), why)),
            }
        }
        match (found.keys.is_empty(), found.skipped.0.is_empty()) {
            (true, true) => Err(KeySetError::Empty),
            (true, false) => Err(KeySetError::NoKey(found.skipped)),
            (false, _) => Ok(found),
        }
    }

    /// Checks that one of the fitting keys made the token's signature.
    pub(super) fn check(&self, token: &Unverified<'_>) -> Result<(), TokenError> {
        let fitting = || self.keys.iter().filter(|key| key.fits(token));
        if fitting()
            .take(TOKEN_KEYS_TRIED_MAX)
            .any(|key| token.is_signed_by(key))
        {
            return Ok(());
        }
        if TOKEN_KEYS_TRIED_MAX < fitting().count() {
            return Err(TokenError::TooManyKeys);
        }
        match &token.key_id {
            Some(id) if fitting().any(|key| key.id.is_some()) => {
                Err(TokenError::Signature(format!("the key {}", Quoted(id))))
            }
            Some(id) => Err(TokenError::UnknownKey(Quoted(id).to_string())),
            None => Err(TokenError::NoKeyFits),
        }
    }
}

impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.keys.len(), self.skipped.0.len()) {
            (1, 0) => f.write_str("1 key"),
            (keys, 0) => write!(f, "{keys} keys"),
            (keys, skipped) => write!(
                f,
                "{keys} of {} keys usable; skipped: {}",
                keys + skipped,
                self.skipped
            ),
        }
    }
}

/// Reads a key. Fails if it cannot check tokens.
fn usable(json: &Value) -> Result<(Algorithm, DecodingKey), Unfit> {
    let text = |name| match json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Unfit::Unreadable),
    };
    let required = |name| text(name)?.ok_or(Unfit::Unreadable);
    let on_curve = |curve| match required("crv")? {
        found if found == curve => Ok(()),
        other => Err(Unfit::Curve(Quoted(other).to_string())),
    };
    let (algorithm, key) = match required("kty")? {
        "RSA" => {
            let key = DecodingKey::from_rsa_components(required("n")?, required("e")?);
            (Algorithm::RS256, key)
        }
        "EC" => {
            on_curve("P-256")?;
            let key = DecodingKey::from_ec_components(required("x")?, required("y")?);
            (Algorithm::ES256, key)
        }
        "OKP" => {
            on_curve("Ed25519")?;
            let key = DecodingKey::from_ed_components(required("x")?);
            (Algorithm::EdDSA, key)
        }
        "oct" => return Err(Unfit::Secret),
        other => return Err(Unfit::Type(Quoted(other).to_string())),
    };
    if let Some(used) = text("use")?.filter(|used| *used != "sig") {
        return Err(Unfit::Use(Quoted(used).to_string()));
    }
    if !may_verify(json.get("key_ops")) {
        return Err(Unfit::Operations);
    }
    if let Some(named) = text("alg")?.filter(|name| token::algorithm(name) != Some(algorithm)) {
        return Err(Unfit::Algorithm(Quoted(named).to_string()));
    }
    let key = key.map_err(|_withheld| Unfit::Unreadable)?;
    check_length(&key)?;
    Ok((algorithm, key))
}

fn may_verify(operations: Option<&Value>) -> bool {
    match operations {
        None | Some(Value::Null) => true,
        Some(operations) => operations
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "verify")),
    }
}

/// Checks that ring accepts the key. Otherwise every token of this key would fail later.
fn check_length(key: &DecodingKey) -> Result<(), Unfit> {
    use jsonwebtoken::AlgorithmFamily;
    let fits = match (key.family(), key.kind()) {
        (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            if !RSA_BYTES.contains(&n.len()) {
                return Err(Unfit::Bits(8 * n.len()));
            }
            n.first() != Some(&0)
        }
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => point.len() == P256_BYTES,
        (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) => key.len() == ED25519_BYTES,
        _ => false,
    };
    fits.then_some(()).ok_or(Unfit::Unreadable)
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
        check(&json!({"alg": "Ed25519"}), true);
        check(&json!({"use": null, "key_ops": null, "alg": null}), true);
        check(&json!({"use": "enc"}), false);
        check(&json!({"key_ops": ["sign"]}), false);
        check(&json!({"alg": "RS256"}), false);
        check(&json!({"alg": "none"}), false);
        check(&json!({"crv": "X25519"}), false);
        check(&json!({"kty": "unknown"}), false);
        check(&json!({"x": "A"}), false);
        check(&json!({"x": 7}), false);
        check(&json!({"alg": 7}), false);
        check(&json!({"key_ops": "verify"}), false);
    }

    #[test]
    fn skipped_keys_are_named_with_the_reason() {
        let n = |bytes: usize| base64_url(&vec![0x80; bytes]);
        let rsa =
            |id: &str, bytes: usize| json!({"kty": "RSA", "kid": id, "n": n(bytes), "e": "AQAB"});
        let with = |mut key: Value, name: &str, value: &str| {
            key[name] = json!(value);
            key
        };
        assert_eq!(parse(&[rsa("r", 256)]).unwrap().to_string(), "1 key");
        assert_eq!(parse(&[rsa("r", 1024)]).unwrap().to_string(), "1 key");
        let keys = [
            ed25519("good"),
            with(rsa("a", 256), "alg", "RS512"),
            rsa("short", 255),
            rsa("long", 1025),
            with(rsa("enc", 256), "use", "enc"),
            json!({"kty": "oct", "k": n(64), "alg": "HS256"}),
            json!({"kty": "EC", "crv": "P-384", "kid": "p", "x": n(48), "y": n(48)}),
            json!({"kty": "AKP", "kid": "m\n"}),
            json!("key"),
        ];
        assert_eq!(
            parse(&keys).unwrap().to_string(),
            "1 of 9 keys usable; skipped: \"a\" (for \"RS512\"), \"short\" (RSA of 2040 \
             bits), \"long\" (RSA of 8200 bits), \"enc\" (for use \"enc\"), one without `kid` (a \
             shared secret, which must not be in a key set), \"p\" (of curve \"P-384\"), \"m\\n\" \
             (of type \"AKP\"), one without `kid` (not a readable key)"
        );
        let none = parse(&keys[1..2]).unwrap_err().to_string();
        assert!(none.contains(r#""a" (for "RS512")"#), "{none}");
        let many: Vec<Value> = (0..LOGGED_WORDS_MAX + 2).map(|_| json!(null)).collect();
        let none = parse(&many).unwrap_err().to_string();
        assert!(none.contains(" and 2 more. "), "{none}");
    }

    fn base64_url(bytes: &[u8]) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn a_text_that_is_not_a_key_set_is_rejected() {
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
        assert_eq!(parse(&[]).unwrap_err(), KeySetError::Empty);
        let many = vec![ed25519("k1"); JWKS_KEYS_MAX + 1];
        assert_eq!(parse(&many).unwrap_err(), KeySetError::TooManyKeys);
    }
}
