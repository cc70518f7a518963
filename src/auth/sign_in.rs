//! Sign-in codes: a code stands for a credential once, for a minute.
//!
//! A program with a credential asks for a code and puts it into a link to the dashboard. The page gives
//! the code back for the credential. So no credential is in a URL, which browsers keep in their history.
//!
//! The server stores the hash of the code, and the credential encrypted with a key that it derives from
//! the code: without the code, its memory has no credential. Only the server that made a code knows it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::auth::Principal;
use crate::domain::limits::{SIGN_IN_CODE_US, SIGN_IN_CODES_MAX, SIGN_IN_CODES_PER_CALLER_MAX};
use crate::domain::{TenantId, Timestamp, TokenHash};

const CODE_BYTES: usize = 32;

/// A code. Only [`SignInCode::reveal`] prints it.
pub struct SignInCode([u8; CODE_BYTES]);

impl SignInCode {
    fn generate() -> Result<Self, getrandom::Error> {
        let mut code = [0; CODE_BYTES];
        getrandom::fill(&mut code)?;
        Ok(Self(code))
    }

    /// Reads a code: 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = [0; CODE_BYTES];
        hex::decode_to_slice(text, &mut code).ok()?;
        Some(Self(code))
    }

    /// The code as text.
    pub fn reveal(&self) -> String {
        hex::encode(self.0)
    }

    fn hash(&self) -> TokenHash {
        TokenHash::new(self.digest(b"hash"))
    }

    /// The key that encrypts what the code stands for, and nothing else.
    fn key(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.digest(b"key"));
        LessSafeKey::new(key.expect("the key has the length of the hash"))
    }

    /// A hash for one purpose. It tells nothing about the hashes for others.
    fn digest(&self, purpose: &[u8]) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(purpose).chain_update(self.0);
        hash.finalize().into()
    }

    fn seal(&self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        let sealed = self
            .key()
            .seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes);
        sealed.expect("a credential is shorter than the most that the cipher takes");
        bytes
    }

    fn open(&self, mut sealed: Vec<u8>) -> Option<String> {
        let text = self
            .key()
            .open_in_place(nonce(), Aad::empty(), &mut sealed)
            .ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

/// A constant, because each key encrypts one text.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

impl fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInCode(..)")
    }
}

/// What a code stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The tenant that the caller chose.
    pub tenant: TenantId,
    /// The credential of the caller; `None` if it sent none, to a server that requires none.
    pub credential: Option<String>,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Some codes must expire first.
    #[error("{SIGN_IN_CODES_MAX} sign-in codes of as many tenants are valid, which is the limit")]
    TooMany,
    /// The operating system provides no random bytes.
    #[error("cannot make a sign-in code")]
    Random(#[from] getrandom::Error),
}

/// The codes of a server that nobody has used.
#[derive(Default)]
pub struct SignInCodes(Mutex<Vec<Unused>>);

struct Unused {
    /// Compares in constant time.
    hash: TokenHash,
    caller: Principal,
    sealed: Option<Vec<u8>>,
    expires_at: Timestamp,
}

impl SignInCodes {
    /// Makes a code for a caller who has sent this credential. Returns it with the time until which it is
    /// valid. If the caller has too many codes, its oldest one ends. If there are too many in all, the oldest
    /// one of the tenant that has the most ends, so that no tenant keeps the others out.
    pub fn make(
        &self,
        caller: &Principal,
        credential: Option<&str>,
        now: Timestamp,
    ) -> Result<(SignInCode, Timestamp), SignInError> {
        let code = SignInCode::generate()?;
        let made = Unused {
            hash: code.hash(),
            caller: caller.clone(),
            sealed: credential.map(|credential| code.seal(credential)),
            expires_at: now.plus_micros(SIGN_IN_CODE_US),
        };
        let expires_at = made.expires_at;
        let mut unused = self.unexpired(now);
        let mut own = (0..unused.len()).filter(|at| unused[*at].is_of(caller));
        let oldest = own.next();
        if SIGN_IN_CODES_PER_CALLER_MAX <= 1 + own.count()
            && let Some(oldest) = oldest
        {
            unused.remove(oldest);
        }
        if SIGN_IN_CODES_MAX <= unused.len() {
            let surplus = surplus(&unused, &caller.tenant).ok_or(SignInError::TooMany)?;
            unused.remove(surplus);
        }
        unused.push(made);
        Ok((code, expires_at))
    }

    /// Returns what a code stands for, and ends the code. Returns `None` if the code is unknown, used or
    /// expired.
    pub fn exchange(&self, code: &SignInCode, now: Timestamp) -> Option<SignIn> {
        let hash = code.hash();
        let found = {
            let mut unused = self.unexpired(now);
            let at = unused.iter().position(|it| it.hash == hash)?;
            unused.remove(at)
        };
        let credential = match found.sealed {
            Some(sealed) => Some(code.open(sealed)?),
            None => None,
        };
        Some(SignIn {
            tenant: found.caller.tenant,
            credential,
        })
    }

    /// Takes the lock, and removes expired codes.
    fn unexpired(&self, now: Timestamp) -> MutexGuard<'_, Vec<Unused>> {
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|it| now < it.expires_at);
        unused
    }
}

impl Unused {
    fn is_of(&self, caller: &Principal) -> bool {
        (&self.caller.tenant, &self.caller.id) == (&caller.tenant, &caller.id)
    }
}

/// The place of the oldest code of the tenant that has the most: of the caller's own one, if no other has
/// more. `None` if that would take the only code of another tenant.
fn surplus(unused: &[Unused], own: &TenantId) -> Option<usize> {
    let mut counts: HashMap<&TenantId, usize> = HashMap::new();
    for it in unused {
        *counts.entry(&it.caller.tenant).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(tenant, count)| (*count, *tenant == own));
    let (tenant, _) = most.filter(|(tenant, count)| 1 < *count || *tenant == own)?;
    unused.iter().position(|it| it.caller.tenant == *tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Roles;

    fn caller(id: &str) -> Principal {
        caller_of("acme", id)
    }

    fn caller_of(tenant: &str, id: &str) -> Principal {
        Principal {
            tenant: TenantId::parse(tenant).unwrap(),
            roles: Roles::ALL,
            id: Some(id.into()),
            agent: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn make(codes: &SignInCodes, id: &str, now: i64) -> SignInCode {
        codes.make(&caller(id), Some(id), at(now)).unwrap().0
    }

    fn exchanged(codes: &SignInCodes, code: &SignInCode, now: i64) -> Option<String> {
        codes.exchange(code, at(now))?.credential
    }

    #[test]
    fn a_code_stands_for_its_credential_once_and_for_a_minute() {
        let codes = SignInCodes::default();
        let (first, second) = (make(&codes, "a", 0), make(&codes, "b", 0));
        let copy = SignInCode::parse(&first.reveal()).unwrap();
        assert_eq!(exchanged(&codes, &copy, 59).as_deref(), Some("a"));
        assert_eq!(exchanged(&codes, &first, 59), None);
        assert_eq!(exchanged(&codes, &second, 60), None);
        assert!(codes.unexpired(at(0)).is_empty());
    }

    #[test]
    fn one_more_code_of_a_caller_ends_its_oldest_one_and_no_other() {
        let codes = SignInCodes::default();
        let other = make(&codes, "b", 0);
        let own: Vec<_> = (0..=SIGN_IN_CODES_PER_CALLER_MAX)
            .map(|_| make(&codes, "a", 0))
            .collect();
        let valid = own.iter().map(|code| exchanged(&codes, code, 0).is_some());
        let valid: Vec<bool> = valid.collect();
        assert!(!valid[0] && valid[1..].iter().all(|valid| *valid));
        assert!(exchanged(&codes, &other, 0).is_some());
    }

    #[test]
    fn the_number_of_codes_is_bounded_until_some_expire() {
        let codes = SignInCodes::default();
        let make = |tenant: &str, now| codes.make(&caller_of(tenant, "a"), None, at(now));
        for number in 0..SIGN_IN_CODES_MAX {
            make(&format!("t{number}"), 0).unwrap();
        }
        // No tenant has more than one code, and nobody ends the only code of another tenant.
        assert!(matches!(make("more", 59), Err(SignInError::TooMany)));
        assert!(make("t7", 59).is_ok());
        assert_eq!(codes.unexpired(at(59)).len(), SIGN_IN_CODES_MAX);
        assert!(make("more", 60).is_ok());
    }

    #[test]
    fn a_tenant_with_many_keys_keeps_no_other_out() {
        let codes = SignInCodes::default();
        let of = |tenant: &str, key: usize| {
            let caller = caller_of(tenant, &key.to_string());
            codes.make(&caller, Some(tenant), at(0)).unwrap().0
        };
        let many: Vec<_> = (0..SIGN_IN_CODES_MAX).map(|key| of("many", key)).collect();
        let few = [of("few", 0), of("few", 1), of("other", 0)];
        assert_eq!(codes.unexpired(at(0)).len(), SIGN_IN_CODES_MAX);
        let more = of("many", SIGN_IN_CODES_MAX);
        // The tenant with the most has lost its oldest ones: for those of others, and for one more of its own.
        let mut valid = many.iter().map(|code| exchanged(&codes, code, 0).is_some());
        let ended = few.len() + 1;
        assert!(valid.by_ref().take(ended).all(|valid| !valid));
        assert!(valid.all(|valid| valid));
        for code in few.iter().chain([&more]) {
            assert!(exchanged(&codes, code, 0).is_some());
        }
    }

    #[test]
    fn nothing_that_is_stored_or_printed_has_the_credential_or_the_code() {
        let codes = SignInCodes::default();
        let secret = "slk_0123456789abcdef_secret";
        let (code, _) = codes.make(&caller("a"), Some(secret), at(0)).unwrap();
        assert_eq!(format!("{code:?}"), "SignInCode(..)");
        let unused = codes.unexpired(at(0));
        let sealed = unused[0].sealed.as_deref().unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(unused[0].hash.bytes(), &code.0);
    }

    #[test]
    fn a_text_that_is_no_code_is_not_read() {
        for wrong in ["", "0", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            assert!(SignInCode::parse(wrong).is_none(), "{wrong}");
        }
    }
}
