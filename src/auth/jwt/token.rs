//! A token as it came (JWS compact form, RFC 7515): its parts, and what its header says of the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::TokenError;
use super::claim_set::{ClaimSet, ClaimSetError};
use super::key_set::VerifyingKey;
use super::told::Told;

/// A token whose signature nobody has checked yet.
pub(super) struct Unverified<'t> {
    /// Header and claims, as they were signed.
    message: &'t str,
    claims: &'t str,
    signature: &'t str,
    /// What it says it is signed with. The key decides whether that is so.
    pub(super) algorithm: Algorithm,
    /// The name of its key.
    pub(super) key_id: Option<String>,
}

/// What is read of a header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood. We understand none.
    crit: Option<serde_json::Value>,
}

impl<'t> Unverified<'t> {
    /// Takes a text apart.
    pub(super) fn parse(text: &'t str) -> Result<Self, TokenError> {
        let parts = text.rsplit_once('.').and_then(|(message, signature)| {
            let (header, claims) = message.split_once('.')?;
            (!claims.contains('.')).then_some((message, header, claims, signature))
        });
        let (message, header, claims, signature) = parts.ok_or(TokenError::Malformed(
            "it is not three parts with dots between",
        ))?;
        let header = URL_SAFE_NO_PAD.decode(header).ok();
        let header: Option<Header> = header.and_then(|json| serde_json::from_slice(&json).ok());
        let header = header.ok_or(TokenError::Malformed("its header cannot be read"))?;
        if header.crit.is_some() {
            let why = "it has extensions (`crit`) that must be understood";
            return Err(TokenError::Malformed(why));
        }
        let algorithm = algorithm(&header.alg)
            .ok_or_else(|| TokenError::Algorithm(Told(&header.alg).to_string()))?;
        Ok(Self {
            message,
            claims,
            signature,
            algorithm,
            key_id: header.kid,
        })
    }

    /// Whether a key made its signature.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.algorithm == self.algorithm
            && jsonwebtoken::crypto::verify(
                self.signature,
                self.message.as_bytes(),
                &key.key,
                key.algorithm,
            )
            .unwrap_or(false)
    }

    /// Its claims. They count for nothing before its signature is checked.
    pub(super) fn claims(&self) -> Result<ClaimSet, TokenError> {
        let unreadable = || TokenError::Malformed("its claims are no JSON object");
        let json = URL_SAFE_NO_PAD
            .decode(self.claims)
            .map_err(|_withheld| unreadable())?;
        ClaimSet::parse(&json).map_err(|why| match why {
            ClaimSetError::NotAnObject => unreadable(),
            ClaimSetError::Twice(name) => TokenError::ClaimTwice(Told(&name).to_string()),
        })
    }
}

/// The algorithm with this name, of those that are accepted. `Ed25519` is the newer name of what
/// `EdDSA` means with a key of that curve (RFC 9864).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        "HS256" => Some(Algorithm::HS256),
        _ => None,
    }
}
