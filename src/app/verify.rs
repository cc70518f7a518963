//! Verifying a data directory offline: the log from its start, and the read model against it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError, blocking};
use crate::app::rebuild::require_log;
use crate::domain::{Clock, Position};
use crate::projection::{Store, verify};

/// What to verify.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the read model is.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogSource,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The log is read.
    Reading {
        /// The last record.
        position: Position,
        /// The last there will be.
        until: Position,
    },
    /// The read model is counted.
    Counting,
}

/// What was checked, and what is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// The last record of the log that was read.
    pub log_position: Position,
    /// Head of the hash chain there, in hexadecimal digits.
    pub log_chain: String,
    /// The read model's position.
    pub model_position: Position,
    /// Head of the hash chain that it was built from.
    pub model_chain: String,
    /// What is not as it must be.
    pub differences: Vec<String>,
}

/// Verifies a directory that no server holds.
pub async fn run(request: Request, mut on_step: impl FnMut(Step)) -> anyhow::Result<Verified> {
    let dir = DataDir::new(&request.data_dir);
    require_log(&request.log, &dir)?;
    if !dir.model().exists() {
        let (dir, file) = (
            request.data_dir,
            "model.redb (run `session-ledger rebuild`)",
        );
        return Err(OpenError::Missing { dir, file }.into());
    }
    let model = dir.clone();
    let store = blocking(move || {
        Store::open(&model.model()).map_err(|error| open::store_error(error, &model))
    })
    .await?;
    let progress = *store.snapshot()?.progress();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = open::open_log(&request.log, &dir, &clock, progress.position).await?;
    let until = log.port().head().await?;
    let checked = verify::log(&*log.port(), until, &progress, |position| {
        on_step(Step::Reading { position, until });
    })
    .await;
    log.close().await;
    on_step(Step::Counting);
    let counted = blocking(move || {
        let counted = store
            .snapshot()
            .and_then(|snapshot| verify::totals(&snapshot));
        counted.map_err(OpenError::Store)
    })
    .await?;
    let differences = checked.differences.iter().chain(&counted);
    Ok(Verified {
        log_position: checked.position,
        log_chain: hex::encode(checked.chain),
        model_position: progress.position,
        model_chain: hex::encode(progress.chain),
        differences: differences.map(ToString::to_string).collect(),
    })
}
