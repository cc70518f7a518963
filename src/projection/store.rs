//! The read model's file: one writer, any number of snapshots.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase};

use crate::domain::Verdict;
use crate::domain::limits::{RULES_VERSION, STORE_CACHE_BYTES};
use crate::projection::error::{FoldError, StoreError};
use crate::projection::fold;
use crate::projection::meta::{self, Progress};
use crate::projection::prepare::Prepared;
use crate::projection::snapshot::Snapshot;
use crate::projection::tables::Tables;
use crate::projection::working::Working;

/// How a batch is committed. Either way it is visible at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// In memory: a crash takes it back, and the log replays it.
    Visible,
    /// On disk, with everything before it.
    Durable,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Folded {
    /// How far the read model has come.
    pub progress: Progress,
    /// The verdict of each record, in order.
    pub verdicts: Vec<Verdict>,
}

/// The read model's file.
#[derive(Debug)]
pub struct Store {
    db: Database,
}

impl Store {
    /// Opens the file, or makes a new one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Database::builder()
            .set_cache_size(STORE_CACHE_BYTES)
            .create(path)?;
        let txn = db.begin_write()?;
        meta::check_layout(&mut Tables::open(&txn)?.meta)?;
        txn.commit()?;
        Ok(Self { db })
    }

    /// Folds a batch in one transaction: all of it shows, or none. Only where the batch asks for
    /// rules that this build does not know, everything before that is folded, and then it fails.
    pub fn fold(&self, batch: &[Prepared], commit: Commit) -> Result<Folded, FoldError> {
        let result = self.fold_all(batch, commit);
        if let Err(FoldError::Rules { at, .. }) = &result {
            let before = batch.partition_point(|prepared| prepared.record.position < *at);
            self.fold_all(&batch[..before], Commit::Durable)?;
        }
        result
    }

    fn fold_all(&self, batch: &[Prepared], commit: Commit) -> Result<Folded, FoldError> {
        let mut txn = self.db.begin_write().map_err(StoreError::from)?;
        match commit {
            Commit::Visible => txn
                .set_durability(Durability::None)
                .map_err(StoreError::from)?,
            // Without quick repair, opening after a crash walks the whole file.
            Commit::Durable => txn.set_quick_repair(true),
        }
        let mut working = Working::new(Tables::open(&txn)?)?;
        let Progress {
            position,
            rules_version,
            ..
        } = working.progress;
        if RULES_VERSION < rules_version {
            // A newer build folded this file.
            let (at, asked, known) = (position, rules_version, RULES_VERSION);
            return Err(FoldError::Rules { at, asked, known });
        }
        let mut verdicts = Vec::with_capacity(batch.len());
        for prepared in batch {
            verdicts.push(fold::record(&mut working, prepared)?);
        }
        let progress = working.finish()?;
        txn.commit().map_err(StoreError::from)?;
        Ok(Folded { progress, verdicts })
    }

    /// Makes everything folded so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut txn = self.db.begin_write()?;
        txn.set_quick_repair(true);
        txn.commit()?;
        Ok(())
    }

    /// The read model as it is now, unchanged by what is folded later. Hold it briefly: pages that
    /// it sees are not reused.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(self.db.begin_read()?)
    }
}
