//! An issuer of tokens (JWT): signs them with any supported algorithm, and publishes its keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// A private key that protects nothing. Generating one of 2048 bits would take seconds.
const RSA_DER: &[u8] = include_bytes!("../../fixtures/rsa-2048.der");

/// A signing key.
pub(crate) struct Signer {
    kid: Option<String>,
    key: Key,
}

enum Key {
    Rs256(Box<RsaKeyPair>),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Hs256(Vec<u8>),
}

impl Signer {
    pub(crate) fn rs256(kid: &str) -> Self {
        let key = RsaKeyPair::from_der(RSA_DER).unwrap();
        Self::new(kid, Key::Rs256(Box::new(key)))
    }

    pub(crate) fn es256(kid: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Self::new(kid, Key::Es256(key))
    }

    pub(crate) fn eddsa(kid: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self::new(kid, Key::EdDsa(key))
    }

    pub(crate) fn hs256(secret: &[u8]) -> Self {
        let (kid, key) = (None, Key::Hs256(secret.to_vec()));
        Self { kid, key }
    }

    fn new(kid: &str, key: Key) -> Self {
        let kid = Some(kid.to_owned());
        Self { kid, key }
    }

    /// Returns the public key as in a key set (JWK). A shared secret has none.
    pub(crate) fn jwk(&self) -> Value {
        match &self.key {
            Key::Rs256(key) => {
                let RsaPublicKeyComponents { n, e } = key.public().into();
                let (n, e): (Vec<u8>, Vec<u8>) = (n, e);
                json!({"kty": "RSA", "kid": self.kid, "use": "sig", "n": text(&n), "e": text(&e)})
            }
            Key::Es256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": text(x), "y": text(y)})
            }
            Key::EdDsa(key) => {
                let x = text(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
            }
            Key::Hs256(_) => Value::Null,
        }
    }

    /// Returns the bytes of the public key, which an attacker may try as a shared secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::Rs256(key) => key.public_key().as_ref().to_vec(),
            Key::Es256(key) => key.public_key().as_ref().to_vec(),
            Key::EdDsa(key) => key.public_key().as_ref().to_vec(),
            Key::Hs256(_) => Vec::new(),
        }
    }

    /// Returns a token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({}), claims)
    }

    /// Returns a token with these claims, and with some members of its header changed.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(header, &claims.to_string())
    }

    /// Returns a token with claims as text, which may be invalid JSON.
    pub(crate) fn token_of(&self, header: &Value, claims: &str) -> String {
        let alg = match &self.key {
            Key::Rs256(_) => "RS256",
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
            Key::Hs256(_) => "HS256",
        };
        let mut whole = json!({"typ": "JWT", "alg": alg});
        if let Some(kid) = &self.kid {
            whole["kid"] = json!(kid);
        }
        for (name, value) in header.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let message = format!(
            "{}.{}",
            text(whole.to_string().as_bytes()),
            text(claims.as_bytes())
        );
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", text(&signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Key::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Key::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }
}

/// Returns a key set with the keys of these signers.
pub(crate) fn key_set(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
