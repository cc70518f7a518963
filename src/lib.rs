//! Session Ledger: an event-sourced ledger of agent sessions.

pub mod app;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod dialects;
pub mod domain;
pub mod export;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hooks;
pub mod http;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod projection;
pub mod query;
pub mod storage;
pub mod wire;
