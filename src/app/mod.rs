//! The composition root: puts log, read model and API together, and takes them apart again.
//!
//! Nothing below this layer knows which log it runs on, where its files are or how it is told to
//! stop. Every task is spawned through [`tasks::Tasks`] and joined before the log is closed.

pub mod clock;
pub mod config;
mod descriptors;
pub mod files;
pub mod http_server;
pub mod keys;
pub mod listeners;
pub mod open;
pub mod rebuild;
pub mod rules;
pub mod secret;
pub mod serve;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod terminal;
pub mod verify;

pub use config::{Access, Config, CredentialConfig, DialectAddress, LogSource};
pub use serve::{Running, start};
