//! Tokens and records of keys from any bytes, for the fuzz targets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::auth::Keyring;
use crate::auth::jwt::{ClaimRules, Secret, TokenConfig, Tokens};
use crate::domain::{Position, Timestamp};
use crate::log::Record;
use crate::wire::Headers;

const SECRET: [u8; 32] = [7; 32];
const NOW_US: i64 = 1_700_000_000_000_000;

/// Reads a token: nobody accepts one without the secret. With these bytes as its claims and a valid
/// signature, the claims decide.
pub(crate) fn token(data: &[u8]) {
    let config = TokenConfig {
        key_set: None,
        pace: None,
        secret: Secret::new(&SECRET),
        rules: ClaimRules::default(),
    };
    let tokens = Tokens::open(config).now_or_never();
    let tokens = tokens.and_then(Result::ok).expect("no key set is loaded");
    let now = Timestamp::from_micros_clamped(NOW_US);
    let identify = |text: &str| {
        let identified = tokens.identify(text, now).now_or_never();
        identified.expect("a secret is checked at once")
    };
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(identify(text).is_err(), "a token that nobody signed");
    }
    let head = r#"{"alg":"HS256"}"#;
    let message = [head.as_bytes(), data]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("any key is as good");
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let identified = identify(&format!("{message}.{signature}"));
    if identified.is_ok() {
        let claims: serde_json::Value = serde_json::from_slice(data).expect("claims are JSON");
        assert!(claims["exp"].is_number(), "a token without an expiry");
    }
}

/// Reads a record of the log of keys: a byte that says what it is, its private part of 32 bytes, and its
/// body.
pub(crate) fn key_record(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let kind = if kind & 1 == 0 {
        "key.issued"
    } else {
        "key.revoked"
    };
    let (private, body) = rest.split_at(rest.len().min(32));
    let record = Record {
        position: Position::new(1),
        recorded_at: Timestamp::from_micros_clamped(NOW_US),
        subject: format!("ledger.admin.v1.acme.{kind}").into(),
        private: Bytes::copy_from_slice(private),
        headers: Headers::default(),
        payload: Bytes::copy_from_slice(body),
    };
    let mut ring = Keyring::default();
    let read = ring.apply(&record).is_ok();
    assert!(
        read || ring.is_empty(),
        "a record that cannot be read adds a key"
    );
}
