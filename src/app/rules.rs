//! Switches a ledger to newer rules: the one step of an upgrade that affects every node.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError};
use crate::domain::{Clock, Position};
use crate::ledger::rules;
use crate::log::EventLog;
use crate::log::jetstream::JetStreamConfig;

/// Where the ledger's log is.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// In a data directory. No server may have it open.
    Directory(PathBuf),
    /// On a NATS server.
    Nats(Box<JetStreamConfig>),
}

/// Switches a ledger to the newest rules that this build knows. Returns the position of the switch.
pub async fn adopt(ledger: Ledger) -> anyhow::Result<Position> {
    let log: Arc<dyn EventLog> = match ledger {
        Ledger::Directory(dir) => {
            let dir = DataDir::new(&dir);
            open::require_log(&LogSource::Embedded, &dir)?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            open::open_embedded(dir.log(), &dir, &clock).await?
        }
        // Position 1 requires that the stream exists: created here, it would have wrong settings.
        Ledger::Nats(config) => Arc::new(open::connect(&config, Position::new(1)).await?),
    };
    let adopted = rules::adopt(&*log).await;
    log.close().await;
    Ok(adopted.map_err(OpenError::Log)?)
}
