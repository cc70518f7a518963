//! Adopting newer rules: the one step of an upgrade that concerns every node of a ledger.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError, OpenLog};
use crate::app::rebuild::require_log;
use crate::domain::{Clock, Position};
use crate::ledger::rules;
use crate::log::jetstream::JetStreamConfig;

/// Where the ledger's log is.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// In a directory that no server holds.
    Directory(PathBuf),
    /// On NATS.
    Nats(Box<JetStreamConfig>),
}

/// Switches a ledger to the newest rules that this build knows; gives the position of the switch.
pub async fn adopt(ledger: Ledger) -> anyhow::Result<Position> {
    let log = match ledger {
        Ledger::Directory(dir) => {
            let dir = DataDir::new(&dir);
            require_log(&LogSource::Embedded, &dir)?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            open::open_embedded(dir.log(), &dir, &clock).await?
        }
        // The stream must exist: to make one here would be to make it with the wrong settings.
        Ledger::Nats(config) => {
            let log = open::connect(&config, Position::new(1)).await?;
            OpenLog::JetStream(Arc::new(log))
        }
    };
    let adopted = rules::adopt(&*log.port()).await;
    log.close().await;
    Ok(adopted.map_err(OpenError::Log)?)
}
