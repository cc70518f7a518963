//! Who asks, and what they may do: credentials, the principals that they stand for, and roles.
#![warn(missing_docs)]

mod principal;
mod role;

pub use principal::Principal;
pub use role::{Role, Roles};
