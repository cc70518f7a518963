//! Unverified tokens (JWS compact form, RFC 7515): splits a token and reads its header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::TokenError;
use super::claim_set::{ClaimSet, ClaimSetError};
use super::key_set::VerifyingKey;
use super::quoted::Quoted;

/// A token whose signature is not checked yet.
pub(super) struct Unverified<'t> {
    /// The signed text: header and claims.
    message: &'t str,
    claims: &'t str,
    signature: &'t str,
    /// The algorithm that the header names. It must be the algorithm of the key that checks the
    /// signature.
    pub(super) algorithm: Algorithm,
    /// The id of the key (`kid`) that the header names.
    pub(super) key_id: Option<String>,
}

/// The members that are read from a header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that the recipient must understand. This program supports none.
    crit: Option<serde_json::Value>,
}

impl<'t> Unverified<'t> {
    /// Splits a text into its parts and reads the header.
    pub(super) fn parse(text: &'t str) -> Result<Self, TokenError> {
        let parts = text.rsplit_once('.').and_then(|(message, signature)| {
            let (header, claims) = message.split_once('.')?;
            (!claims.contains('.')).then_some((message, header, claims, signature))
        });
        let (message, header, claims, signature) = parts.ok_or(TokenError::Malformed(
            "it does not have three parts separated by dots",
        ))?;
        let header = URL_SAFE_NO_PAD.decode(header).ok();
        let header: Option<Header> = header.and_then(|json| serde_json::from_slice(&json).ok());
        let header = header.ok_or(TokenError::Malformed("its header cannot be read"))?;
        if header.crit.is_some() {
            let why = "it requires extensions (`crit`), and none are supported";
            return Err(TokenError::Malformed(why));
        }
        let algorithm = algorithm(&header.alg)
            .ok_or_else(|| TokenError::Algorithm(Quoted(&header.alg).to_string()))?;
        Ok(Self {
            message,
            claims,
            signature,
            algorithm,
            key_id: header.kid,
        })
    }

    /// Whether a key made the signature.
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

    /// The claims. Check the signature before you rely on them.
    pub(super) fn claims(&self) -> Result<ClaimSet, TokenError> {
        let unreadable = || TokenError::Malformed("its claims are not a JSON object");
        let json = URL_SAFE_NO_PAD
            .decode(self.claims)
            .map_err(|_withheld| unreadable())?;
        ClaimSet::parse(&json).map_err(|why| match why {
            ClaimSetError::NotAnObject => unreadable(),
            ClaimSetError::Twice(name) => TokenError::ClaimTwice(Quoted(&name).to_string()),
        })
    }
}

/// The supported algorithm with this name. `Ed25519` is the newer name of `EdDSA` with an Ed25519
/// key (RFC 9864).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        "HS256" => Some(Algorithm::HS256),
        _ => None,
    }
}
