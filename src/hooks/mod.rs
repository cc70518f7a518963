//! Hooks of agent runtimes: what a call of a hook means for the sessions of the ledger.
//!
//! A runtime such as Claude Code calls its hooks with a JSON object. This layer reads that object
//! ([`Call`]) and makes the events of the ledger from it ([`plan()`]). It does no I/O and reads no clock.
//! The command `hook` and the route `POST /v1/hooks/{runtime}` share it, so both emit the same events.
//!
//! A table for each runtime (`runtime/`) says what its hooks mean. `docs/runtimes.md` shows the tables
//! to users, and ADR 0036 says why the mapping is as it is.
#![warn(missing_docs)]

mod call;
mod event;
mod plan;
mod run;
mod runs;
pub mod runtime;
mod settings;

pub use call::{Call, Unread};
pub(crate) use event::members;
pub use event::{Emission, Envelope, Options};
pub use plan::{Plan, plan};
pub use run::{Run, Standing};
pub use runs::Runs;
pub use runtime::Runtime;
pub use settings::settings;
