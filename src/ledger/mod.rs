//! The write side: append events and await the fold's verdict.
//!
//! There is no second copy of the rules here. An event is appended, folded, and answered with what
//! the fold decided, so racing writers get the truth.
#![warn(missing_docs)]

mod append;
pub mod command;
mod expiry;
mod reactor;
mod revocation;
pub mod rules;
mod tokens;

pub use append::{AppendError, Emitter, Ledger, Outcome, Refused, Submission};
pub use command::{By, Commands, IdempotencyKey, TokenPolicy};
pub use reactor::Reactor;
pub use tokens::{Token, TokenClaim, TokenSecret, Tokens};
