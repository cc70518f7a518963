//! The composition root: opens the log and the read model, starts the API, and shuts everything
//! down.
//!
//! Only this layer chooses the log, the paths of files and the signals that stop the process.
//! Every task is spawned through [`tasks::Tasks`] and joined before the log is closed.

pub mod backup;
pub mod clock;
pub mod config;
mod descriptors;
pub mod files;
pub mod http_server;
pub mod keys;
mod keys_seen;
pub mod listeners;
pub mod open;
pub mod rebuild;
pub mod restore;
pub mod rules;
pub mod secret;
pub mod secret_files;
pub mod serve;
pub mod signals;
pub mod snapshots;
pub mod tasks;
pub mod telemetry;
pub mod terminal;
pub mod tls;
pub mod traces;
pub mod verify;

pub use config::{Access, Config, CredentialConfig, DialectAddress, LogSource};
pub use serve::{Running, start};
pub use snapshots::Snapshots;
