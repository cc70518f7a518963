//! Verifies a data directory while no server runs: reads the log from its start, and checks the
//! read model against it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError, blocking};
use crate::domain::{Clock, Position};
use crate::projection::verify::Difference;
use crate::projection::{Store, rebuild, verify};

/// What to verify.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the read model is.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogSource,
}

/// The progress of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The verification is reading the log.
    Reading {
        /// The last record that was read.
        position: Position,
        /// The last record to read.
        until: Position,
    },
    /// The verification is folding the log again.
    Folding {
        /// The last record that was folded.
        position: Position,
        /// The last record to fold.
        until: Position,
    },
    /// The verification is counting the rows of the read model, and comparing them.
    Counting,
}

/// The result of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// The position of the last record that was read.
    pub log_position: Position,
    /// The chain of the log at that position, in hexadecimal digits.
    pub log_chain: String,
    /// The position of the read model.
    pub model_position: Position,
    /// The chain of the read model, in hexadecimal digits.
    pub model_chain: String,
    /// The digest of all tables of the read model, in hexadecimal digits. Two read models of the same log
    /// at the same position have the same digest.
    pub model_digest: String,
    /// What is wrong; empty if nothing is.
    pub differences: Vec<String>,
    /// What the operator can do about it, if there is a way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// The way on after records were lost.
pub const LOST_RECORDS: &str = "records are lost if the log is damaged or has a gap: \
                                `session-ledger backup --to DIR` of this ledger names all of them, can \
                                take them from another backup, and makes a log without a gap";

/// Verifies a directory. No server may have it open.
pub async fn run(request: Request, mut on_step: impl FnMut(Step)) -> anyhow::Result<Verified> {
    let dir = DataDir::new(&request.data_dir);
    open::require_log(&request.log, &dir)?;
    if !dir.model().exists() {
        let (dir, file) = (
            request.data_dir,
            "model.redb (run `session-ledger rebuild`)",
        );
        return Err(OpenError::Missing { dir, file }.into());
    }
    let model = dir.model();
    let open = move || Store::open(&model).map_err(|error| open::store_error(error, &model));
    let store = blocking(open).await?;
    let progress = *store.snapshot()?.progress();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = open::open_log(&request.log, &dir, &clock, progress.position).await?;
    let until = log.head().await?;
    let checked = verify::log(&*log, until, &progress, |position| {
        on_step(Step::Reading { position, until });
    })
    .await;
    // The directory goes when it is dropped.
    let scratch = tempfile::tempdir_in(dir.path())?;
    let expected = if checked.differences.is_empty() {
        let file = scratch.path().join("model.redb");
        let again = blocking(move || Store::open(&file).map_err(OpenError::Store)).await?;
        let again = Arc::new(again);
        let until = progress.position;
        rebuild::fold_up_to(&again, &*log, until, |position| {
            on_step(Step::Folding { position, until });
        })
        .await?;
        Some(again)
    } else {
        // Another log gives another read model.
        None
    };
    log.close().await;
    on_step(Step::Counting);
    let (counted, digest) = blocking(move || {
        let compare = || {
            let snapshot = store.snapshot()?;
            let mut differences = verify::totals(&snapshot)?;
            if let Some(expected) = expected {
                differences.extend(verify::tables(&snapshot, &*expected.snapshot()?)?);
            }
            Ok((differences, snapshot.digest()?))
        };
        compare().map_err(OpenError::Store)
    })
    .await?;
    let lost =
        |one: &Difference| matches!(one, Difference::Unreadable { .. } | Difference::Gap { .. });
    let advice = checked.differences.iter().any(lost).then_some(LOST_RECORDS);
    let differences = checked.differences.iter().chain(&counted);
    Ok(Verified {
        log_position: checked.position,
        log_chain: hex::encode(checked.chain),
        model_position: progress.position,
        model_chain: hex::encode(progress.chain),
        model_digest: hex::encode(digest),
        differences: differences.map(ToString::to_string).collect(),
        advice,
    })
}
