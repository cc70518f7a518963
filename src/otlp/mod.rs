//! Traces of agents: which sessions the spans of an OTLP request show.
//!
//! Frameworks for agents export spans that name a conversation (`gen_ai.conversation.id`). This layer reads
//! the body of such a request ([`Spans`]) and makes the events of the ledger from it ([`plan()`]). It does no
//! I/O and reads no clock. `docs/runtimes.md` shows the mapping to users, and ADR 0039 says why it is as it
//! is.
#![warn(missing_docs)]

mod answer;
mod conversation;
mod event;
mod json;
mod plan;
mod protobuf;
mod raw;
mod rejected;
mod span;
mod walk;

pub use answer::Answer;
pub use event::Options;
pub use plan::{Known, Plan, State, plan};
pub use rejected::Rejected;
pub use span::{NotSpans, Spans};
