//! Tokens (JWT, RFC 7519) that somebody else issues: RS256, ES256 and EdDSA (Ed25519) by a key set,
//! HS256 by a shared secret. And, for a dialect whose sessions have such tokens, [`sign`].
//!
//! The key decides the algorithm, never the token. A key set is followed while the server runs: a
//! file is looked at every second, a URL every few minutes and when a token's key is not known. If it
//! cannot be loaded, the keys stay that were loaded last.

mod claim_set;
mod claims;
mod key_set;
mod provider;
mod roles;
mod source;
mod token;
mod told;

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
    /// Where the public keys are.
    pub key_set: Option<KeySetSource>,
    /// How often they are loaded.
    pub pace: Option<Pace>,
    /// For tokens with HS256.
    pub secret: Option<Secret>,
    /// What claims are held to.
    pub rules: ClaimRules,
}

/// How often a key set is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Without being asked.
    pub every: Duration,
    /// And at most, if tokens name keys that are not known: from the end of the last load.
    pub at_most_every: Duration,
    /// How long a fetch may take, and how long a token may wait for one.
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

/// A secret that whoever signs tokens shares with us. Not printable.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret of at least as many bytes as the hash has; `None` if it is shorter.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (HS256_SECRET_BYTES_MIN <= bytes.len()).then(|| Self(bytes.to_vec()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A token with these claims, signed with HS256. It counts where the same secret is, which is not
/// here.
pub fn sign(secret: &Secret, claims: &impl Serialize) -> String {
    provider::install();
    let key = EncodingKey::from_secret(&secret.0);
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("a secret signs whatever is JSON")
}

/// Why a token stands for nobody. For the log: callers are not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, or one that cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// Signed in another way than any that is accepted.
    #[error("it is signed with {0}; RS256, ES256, EdDSA (or Ed25519) and HS256 are accepted")]
    Algorithm(String),
    /// HS256, for which no secret was given.
    #[error("it is signed with HS256, and there is no --jwt-hs256-secret-file")]
    NoSecret,
    /// A key set, which was not given.
    #[error("it is signed with a public key, and there is no --jwt-jwks")]
    NoKeySet,
    /// Nobody knows its key.
    #[error("it names the key {0}, and the key set has none of this name for its algorithm")]
    UnknownKey(String),
    /// It names no key.
    #[error("it names no key, and none of the key set for its algorithm made its signature")]
    NoKeyFits,
    /// More than anybody needs.
    #[error(
        "more than {TOKEN_KEYS_TRIED_MAX} keys fit it, and none of the first ones made its signature"
    )]
    TooManyKeys,
    /// Another key made it, or it was changed.
    #[error("its signature is not one of {0}")]
    Signature(String),
    /// Its signature is good, and two readers of it may see two different tokens.
    #[error("it gives the claim {0} twice")]
    ClaimTwice(String),
    /// What it says does not count.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

impl TokenError {
    /// Whether a key that was published lately may change that.
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
    /// Loads the key set. A file must be there; a URL may come later.
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

    /// Follows the key set until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Some(set) = &self.set {
            while stop
                .run_until_cancelled(set.load_when_due())
                .await
                .is_some()
            {}
        }
    }

    /// Whom a token stands for at `now`.
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

/// A key set that is loaded again and again, at the start and then by one task alone: tokens ask
/// that task, and wait for it no longer than they may.
struct Followed {
    loader: Loader,
    pace: Pace,
    keys: RwLock<Arc<KeySet>>,
    last: Mutex<Last>,
    /// Asks for a load.
    asked: Notify,
    /// When the last load ended, well or not.
    loaded: watch::Sender<Option<Instant>>,
}

/// What came of the last load.
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

    /// Waits until the set has been loaded once more, but not if it just was, and not for long.
    async fn ask_for_load(&self) {
        let mut loaded = self.loaded.subscribe();
        if self.was_just_loaded() {
            return;
        }
        self.asked.notify_one();
        // In vain or not: the caller looks at the keys that there are.
        drop(tokio::time::timeout(self.pace.wait, loaded.changed()).await);
    }

    fn was_just_loaded(&self) -> bool {
        let at = *self.loaded.borrow();
        at.is_some_and(|at| at.elapsed() < self.pace.at_most_every)
    }

    /// Loads the set when it is time to, or when it is asked for.
    async fn load_when_due(&self) {
        let due = Instant::now() + self.pace.every;
        while tokio::time::timeout_at(due, self.asked.notified())
            .await
            .is_ok()
        {
            // Whoever asked during a load has its answer.
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
        // Once, not every second for as long as it lasts.
        if failure != last.failure {
            if let Some(why) = &failure {
                tracing::warn!("the key set for tokens was not loaded: {why}");
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
        // At the end: an issuer that answers late must not be asked again at once.
        self.loaded.send_replace(Some(Instant::now()));
        taken
    }
}
