//! Backs up the logs of a ledger: of a directory without a server, of streams on NATS, or of any other
//! source.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::config::LogSource;
use crate::app::files::DataDir;
use crate::app::open::{self, OpenError};
use crate::app::restore::{self, Checked};
use crate::backup::{
    Copied, Copying, Directory, LogKind, LogReader, Manifest, Origin, Source, TarStream, Target,
    check, copy,
};
use crate::domain::{Clock, Position, Timestamp};
use crate::log::EventLog;

/// Where a backup goes.
pub enum Destination {
    /// Into a directory.
    Directory(PathBuf),
    /// Into a stream, as a tar archive.
    Stream(Box<dyn Write + Send>),
}

/// What to do with lost records and with the secret.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A backup from which lost records are taken.
    pub fill_from: Option<PathBuf>,
    /// Whether to put records in the places of lost ones.
    pub accept_loss: bool,
    /// The file with the secret of session tokens, if the backup gets it.
    pub secret_file: Option<PathBuf>,
}

/// The sources of both logs.
pub struct Sources {
    /// The log of events.
    pub events: Box<dyn Source>,
    /// The log of keys.
    pub keys: Box<dyn Source>,
    /// What the sources are.
    pub origin: Origin,
}

impl Sources {
    fn log(&mut self, kind: LogKind) -> &mut dyn Source {
        match kind {
            LogKind::Events => &mut *self.events,
            LogKind::Keys => &mut *self.keys,
        }
    }
}

/// A finished backup.
#[derive(Debug, Clone, Serialize)]
pub struct BackedUp {
    /// What the whole backup has.
    #[serde(flatten)]
    pub backup: Checked,
    /// The number of records that this run added.
    pub added: u64,
    /// How many of them come from another backup.
    pub filled: u64,
    /// How many of them stand in the place of a lost one.
    pub lost: u64,
    /// The manifest of the whole backup.
    #[serde(skip)]
    pub manifest: Manifest,
}

/// The progress of a backup or a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The log that is being copied.
    pub kind: LogKind,
    /// The last copied record.
    pub position: Position,
    /// The last record to copy.
    pub until: Position,
}

/// Backs up the logs of a directory that no server has open, or those on a NATS server.
pub async fn run(
    data_dir: Option<&Path>,
    log: &LogSource,
    destination: Destination,
    options: &Options,
    on_step: impl FnMut(Step),
) -> anyhow::Result<BackedUp> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (events, keys) = open_logs(data_dir, log, &clock).await?;
    let sources = Sources {
        events: Box::new(LogReader::new(Arc::clone(&events))),
        keys: Box::new(LogReader::new(Arc::clone(&keys))),
        origin: match log {
            LogSource::Embedded => Origin::BuiltIn,
            LogSource::JetStream(_) => Origin::Nats,
        },
    };
    let copied = from(sources, destination, options, on_step).await;
    keys.close().await;
    events.close().await;
    copied
}

async fn open_logs(
    data_dir: Option<&Path>,
    log: &LogSource,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Arc<dyn EventLog>, Arc<dyn EventLog>)> {
    match log {
        LogSource::Embedded => {
            let dir = DataDir::new(data_dir.context("--data-dir is required")?);
            open::require_log(log, &dir)?;
            if !dir.admin_log().exists() {
                let (dir, file) = (dir.path().to_path_buf(), "admin.redb");
                return Err(OpenError::Missing { dir, file }.into());
            }
            let events = open::open_embedded(dir.log(), &dir, clock).await?;
            let keys = open::open_embedded(dir.admin_log(), &dir, clock).await?;
            Ok((events, keys))
        }
        LogSource::JetStream(config) => {
            // Position 1 requires that the streams exist.
            let events = open::connect(config, Position::new(1)).await?;
            let keys = events.connect_admin(config, true).await;
            let keys = keys.map_err(OpenError::Log)?;
            Ok((Arc::new(events), Arc::new(keys)))
        }
    }
}

/// Backs up both logs from their sources.
///
/// The log of keys comes first, so that even an interrupted backup has the keys, and once more in the
/// end, so that the backup has each revocation that its events may follow from.
pub async fn from(
    mut sources: Sources,
    destination: Destination,
    options: &Options,
    mut on_step: impl FnMut(Step),
) -> anyhow::Result<BackedUp> {
    let now = SystemClock.now();
    let fill_from = match &options.fill_from {
        Some(path) => Some(checked(path).await?),
        None => None,
    };
    let mut target = open_target(destination, sources.origin, now)?;
    let copying = |kind| Copying {
        kind,
        now,
        fill_from: fill_from.as_ref(),
        accept_loss: options.accept_loss,
    };
    // If one of the logs is another one, nothing is copied of either.
    for kind in LogKind::ALL {
        check(&target, sources.log(kind), &copying(kind)).await?;
    }
    let mut all = Copied::default();
    for kind in [LogKind::Keys, LogKind::Events, LogKind::Keys] {
        let mut step = |position, until| {
            on_step(Step {
                kind,
                position,
                until,
            });
        };
        let (written, copied) =
            Box::pin(copy(target, sources.log(kind), &copying(kind), &mut step)).await?;
        target = written;
        all.records += copied.records;
        all.filled += copied.filled;
        all.lost += copied.lost;
    }
    if let Some(file) = &options.secret_file {
        let secret = fs::read_to_string(file);
        let secret = secret.with_context(|| format!("cannot read {}", file.display()))?;
        target.put_secret(&secret, now)?;
    }
    let manifest = target.finish(SystemClock.now())?;
    Ok(BackedUp {
        backup: Checked::of(&manifest),
        added: all.records,
        filled: all.filled,
        lost: all.lost,
        manifest,
    })
}

fn open_target(destination: Destination, origin: Origin, now: Timestamp) -> anyhow::Result<Target> {
    Ok(match destination {
        Destination::Directory(path) => {
            Target::Directory(Directory::open_to_write(&path, origin, now)?)
        }
        Destination::Stream(out) => Target::Stream(TarStream::new(out, origin, now)?),
    })
}

/// Opens a backup, and reads all of it.
async fn checked(path: &Path) -> anyhow::Result<Directory> {
    restore::check(path, |_step| {}).await?;
    Ok(Directory::open(path)?)
}
