//! Session Ledger: an event-sourced ledger of agent sessions.

pub mod domain;
pub mod log;
pub mod wire;
