//! The write side: appends events and waits for the fold's verdict.
//!
//! Only the fold decides verdicts; this module has no second copy of the rules. So concurrent
//! writers get the verdicts that the read model shows.
#![warn(missing_docs)]

mod append;
pub mod command;
mod expiry;
mod reactor;
mod revocation;
pub mod rules;
mod tokens;
mod turns;

pub use append::{AppendError, Emitter, Ledger, Receipt, Submission, SubmissionError, Turn};
pub use command::{By, ClientKind, Commands, IdempotencyKey};
pub use expiry::{Expiries, expiries};
pub use reactor::Reactor;
pub use tokens::{Token, TokenClaim, TokenSecret, Tokens};
pub use turns::Writes;
