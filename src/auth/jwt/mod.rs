//! Tokens (JWT, RFC 7519) of an identity provider. A key set checks RS256, ES256 and EdDSA
//! (Ed25519); a shared secret checks HS256. [`sign`] makes the session tokens of a dialect.
//!
//! The key decides the algorithm, never the token. The key set is reloaded while the server runs: a
//! file every second, a URL every few minutes and when a token names an unknown key. If a load
//! fails, the last keys stay in use.

mod claim_set;
mod claims;
mod key_set;
mod provider;
mod quoted;
mod roles;
mod source;
mod token;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use claim_set::{ClaimName, ClaimNameError};
pub use claims::{ClaimError, ClaimRules, TenantRule};
pub use key_set::{KeySetError, Skipped};
pub use roles::{RoleRules, RoleWords, RoleWordsError};
pub use source::{KeySetSource, LoadError, SourceError};

use crate::auth::Identity;
use crate::domain::Timestamp;
use crate::domain::limits::{
    HS256_SECRET_BYTES_MIN, JWKS_FETCH_MS, JWKS_FILE_MS, JWKS_REFETCH_MS, JWKS_WAIT_MS,
    TOKEN_KEYS_TRIED_MAX,
};
use key_set::{KeySet, VerifyingKey};
use source::Loader;
use token::Unverified;

/// Which tokens are accepted.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// Where the public keys come from; `None` accepts no token whose signature needs one.
    pub key_set: Option<KeySetSource>,
    /// How often the server loads the key set; `None` is the default for its source.
    pub pace: Option<Pace>,
    /// The shared secret for HS256; `None` accepts no HS256 token.
    pub secret: Option<Secret>,
    /// How claims are checked and read.
    pub rules: ClaimRules,
}

/// How often a key set is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The interval of regular loads.
    pub every: Duration,
    /// The shortest time from the end of a load until an unknown key causes the next one.
    pub at_most_every: Duration,
    /// The timeout of a fetch, and the longest time that a token waits for a load.
    pub wait: Duration,
}

impl Pace {
    fn of(source: &KeySetSource) -> Self {
        let (every_ms, at_most_every_ms) = match source {
            KeySetSource::File(_) => (JWKS_FILE_MS, JWKS_FILE_MS),
            KeySetSource::Url(_) => (JWKS_FETCH_MS, JWKS_REFETCH_MS),
        };
        Self {
            every: Duration::from_millis(every_ms),
            at_most_every: Duration::from_millis(at_most_every_ms),
            wait: Duration::from_millis(JWKS_WAIT_MS),
        }
    }
}

/// A secret that the server shares with the signer of tokens. Not printable.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Makes a secret; `None` if it has fewer bytes than the hash of HS256.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (HS256_SECRET_BYTES_MIN <= bytes.len()).then(|| Self(bytes.to_vec()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Returns a token with these claims, signed with HS256. Other services that have the secret accept
/// it; this server does not.
pub fn sign(secret: &Secret, claims: &impl Serialize) -> String {
    provider::install();
    let key = EncodingKey::from_secret(&secret.0);
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("a secret signs any JSON")
}

/// Why a token is rejected. For logs: callers do not see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is not a readable token.
    #[error("{0}")]
    Malformed(&'static str),
    /// The algorithm is not supported.
    #[error("it is signed with {0}; RS256, ES256, EdDSA (or Ed25519) and HS256 are accepted")]
    Algorithm(String),
    /// The token uses HS256, and no secret is configured.
    #[error("it is signed with HS256, and --jwt-hs256-secret-file is not set")]
    NoSecret,
    /// The token needs a public key, and no key set is configured.
    #[error("its signature needs a public key, and --jwt-jwks is not set")]
    NoKeySet,
    /// The key set does not have the key that the token names.
    #[error("it names the key {0}, and the key set has no key of that name for its algorithm")]
    UnknownKey(String),
    /// The token names no key, and no key made its signature.
    #[error("it names no key, and no key of the key set made its signature")]
    NoKeyFits,
    /// More keys fit the token than the server tries.
    #[error(
        "more than {TOKEN_KEYS_TRIED_MAX} keys fit it, and none of the first ones made its signature"
    )]
    TooManyKeys,
    /// Another key made the signature, or the token was changed.
    #[error("its signature was not made with {0}")]
    Signature(String),
    /// The token has a valid signature and a duplicate claim.
    #[error("it has the claim {0} twice")]
    ClaimTwice(String),
    /// The claims are rejected.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

impl TokenError {
    /// Whether a reload of the key set may find the key.
    fn may_pass(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::NoKeyFits)
    }
}

/// Checks tokens.
pub struct Tokens {
    secret: Option<VerifyingKey>,
    set: Option<Followed>,
    rules: ClaimRules,
}

impl Tokens {
    /// Loads the key set. Fails if it is a file that cannot be loaded. A URL may fail now and work
    /// later.
    pub async fn open(config: TokenConfig) -> Result<Self, LoadError> {
        provider::install();
        let set = match config.key_set {
            Some(source) => {
                let pace = config.pace.unwrap_or_else(|| Pace::of(&source));
                Some(Followed::open(source, pace).await?)
            }
            None => None,
        };
        Ok(Self {
            secret: config.secret.map(|secret| VerifyingKey::secret(&secret.0)),
            set,
            rules: config.rules,
        })
    }

    /// Reloads the key set until `stop` is canceled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Some(set) = &self.set {
            while stop
                .run_until_cancelled(set.load_when_due())
                .await
                .is_some()
            {}
        }
    }

    /// Returns the identity that a token proves at `now`.
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenError> {
        let token = Unverified::parse(token)?;
        self.verify(&token).await?;
        Ok(self.rules.identify(&token.claims()?, now)?)
    }

    async fn verify(&self, token: &Unverified<'_>) -> Result<(), TokenError> {
        if token.algorithm == Algorithm::HS256 {
            let secret = self.secret.as_ref().ok_or(TokenError::NoSecret)?;
            let signed = token.is_signed_by(secret);
            let wrong = || TokenError::Signature("the secret".to_owned());
            return signed.then_some(()).ok_or_else(wrong);
        }
        let set = self.set.as_ref().ok_or(TokenError::NoKeySet)?;
        match set.keys().check(token) {
            Err(why) if why.may_pass() => {
                set.ask_for_load().await;
                set.keys().check(token)
            }
            checked => checked,
        }
    }
}

/// A key set that is reloaded regularly. After the start only one task loads it. Checks of tokens
/// request a load from that task, and wait for it with a timeout.
struct Followed {
    loader: Loader,
    pace: Pace,
    keys: RwLock<Arc<KeySet>>,
    last: Mutex<Last>,
    /// Requests a load.
    asked: Notify,
    /// When the last load ended, successful or not.
    loaded: watch::Sender<Option<Instant>>,
}

/// The outcome of the last load.
#[derive(Default)]
struct Last {
    bytes: Vec<u8>,
    failure: Option<String>,
}

impl Followed {
    async fn open(source: KeySetSource, pace: Pace) -> Result<Self, LoadError> {
        let is_file = matches!(source, KeySetSource::File(_));
        let set = Self {
            loader: Loader::new(source, pace.wait)?,
            pace,
            keys: RwLock::default(),
            last: Mutex::default(),
            asked: Notify::new(),
            loaded: watch::Sender::new(None),
        };
        if is_file {
            set.take(&mut *set.last.lock().await).await?;
        } else {
            set.load().await;
        }
        Ok(set)
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests a load and waits until it has ended, at most `pace.wait`. Does nothing if the set
    /// was just loaded.
    async fn ask_for_load(&self) {
        let mut loaded = self.loaded.subscribe();
        if self.was_just_loaded() {
            return;
        }
        self.asked.notify_one();
        // After a timeout, the caller uses the current keys.
        drop(tokio::time::timeout(self.pace.wait, loaded.changed()).await);
    }

    fn was_just_loaded(&self) -> bool {
        let at = *self.loaded.borrow();
        at.is_some_and(|at| at.elapsed() < self.pace.at_most_every)
    }

    /// Loads the set once the regular interval is over, or earlier on request.
    async fn load_when_due(&self) {
        let due = Instant::now() + self.pace.every;
        while tokio::time::timeout_at(due, self.asked.notified())
            .await
            .is_ok()
        {
            // A request that was made during the last load needs no other load.
            if !self.was_just_loaded() {
                break;
            }
        }
        self.load().await;
    }

    async fn load(&self) {
        let mut last = self.last.lock().await;
        let failure = self
            .take(&mut last)
            .await
            .err()
            .map(|error| error.to_string());
        // Log only changes: a file is loaded every second.
        if failure != last.failure {
            if let Some(why) = &failure {
                tracing::warn!("the key set for tokens could not be loaded: {why}");
            } else {
                tracing::info!("the key set for tokens can be loaded again");
            }
        }
        last.failure = failure;
    }

    async fn take(&self, last: &mut Last) -> Result<(), LoadError> {
        let taken = self.loader.load().await.and_then(|bytes| {
            if bytes == last.bytes {
                return Ok(());
            }
            let keys = KeySet::parse(&bytes)?;
            tracing::info!("the key set for tokens has {keys}");
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            last.bytes = bytes;
            Ok(())
        });
        // Set after the load, so that a slow issuer does not get the next request at once.
        self.loaded.send_replace(Some(Instant::now()));
        taken
    }
}
