//! The write side: append events and await the fold's verdict.
//!
//! There is no second copy of the rules here. An event is appended, folded, and answered with what
//! the fold decided, so racing writers get the truth.
#![warn(missing_docs)]

mod append;
mod expiry;

pub use append::{AppendError, Ledger, Outcome, Refused, Submission};
pub use expiry::Expiry;
