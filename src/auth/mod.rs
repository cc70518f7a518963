//! Authentication and authorization: credentials, the principals that they identify, and roles.
//!
//! Keys are events on a log of their own, and the keyring of a node is a fold of that log. The log
//! stores the SHA-256 of a key, in the private part of the record. The key itself is shown once and
//! never stored, logged or echoed.
#![warn(missing_docs)]

mod access;
mod api_key;
mod author;
mod event;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod history;
pub mod jwt;
mod keyring;
mod keys;
mod principal;
mod rate_limit;
mod role;
mod seen;
mod sign_in;

pub use access::{Access, CredentialError, Credentials, Presented};
pub use api_key::{ApiKey, KeyId, Spelling};
pub use author::Author;
pub use event::{Grant, GrantError};
pub use history::{KeyChange, KeyHistory};
pub use keyring::{KeyEntry, KeyError, Keyring, Revocation};
pub use keys::{Keys, KeysError};
pub use principal::{Identity, Principal, TenantError, Tenants};
pub use rate_limit::{RateLimit, RateLimits, Standing};
pub use role::{Role, Roles};
pub use seen::{NotSeen, Seen};
pub use sign_in::{SignIn, SignInCode, SignInCodes, SignInError};
