//! Restores the logs of a ledger from a backup, into a directory without logs.
//!
//! The new logs are written beside their places and put there only when all of the backup was read and
//! found to be sound. The log of events comes last. While it is missing, the files of the restore mark the
//! directory as incomplete, and no server opens a log there (`open_embedded`). The next restore writes
//! both logs anew. It keeps a `token.secret` that the interrupted one has written.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::app::backup::Step;
use crate::app::files::{self, DataDir};
use crate::app::open::{self, OpenError, blocking};
use crate::auth::Seen;
use crate::backup::{BackupError, Directory, LogKind, LogPart, Manifest, Mark, Reader};
use crate::domain::{Position, Timestamp};
use crate::log::chain::ChainHead;
use crate::log::{EmbeddedRestore, NewRecord};
use crate::projection::Store;

/// What to restore.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory of the backup.
    pub from: PathBuf,
    /// The directory of the new ledger.
    pub data_dir: PathBuf,
    /// What others have seen of the ledger, each with a name for people.
    pub seen: Vec<SeenPoint>,
    /// Whether to restore a backup that is older than what was seen, or of another ledger.
    pub accept_loss: bool,
}

/// A point of a log that somebody has seen. A restored log without it goes back.
#[derive(Debug, Clone)]
pub struct SeenPoint {
    /// Who has seen it.
    pub by: String,
    /// The log.
    pub kind: LogKind,
    /// The last position that was seen.
    pub position: Position,
    /// The chain at that position.
    pub chain: ChainHead,
}

/// The result of a restore.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// What the backup has.
    #[serde(flatten)]
    pub backup: Checked,
    /// What is lost, although somebody has seen it.
    pub lost: Vec<Loss>,
}

/// Records that somebody has seen and that the restored log does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Who has seen them.
    pub by: String,
    /// The log: `events` or `keys`.
    pub log: &'static str,
    /// The first of them; the last record that was seen, if that one is different.
    pub first: Position,
    /// The last of them.
    pub last: Position,
}

/// A checked backup.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The last position of the log of events.
    pub position: Position,
    /// The chain at that position, in hexadecimal digits.
    pub chain: String,
    /// The last position of the log of keys.
    pub keys_position: Position,
    /// When it was made.
    pub made_at: Timestamp,
    /// The number of records that stand in the place of lost ones.
    pub lost_records: u64,
}

impl Checked {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            position: manifest.events.position,
            chain: hex::encode(manifest.events.chain),
            keys_position: manifest.keys.position,
            made_at: manifest.made_at,
            lost_records: manifest.lost_records(),
        }
    }
}

/// Reads all of a backup, and checks it. Changes nothing.
pub async fn check(from: &Path, on_step: impl FnMut(Step)) -> anyhow::Result<Checked> {
    let directory = Directory::open(from)?;
    directory.secret()?;
    let mut sink = Sink::default();
    sink.read_all(&directory, on_step, |_kind| Ok(None)).await?;
    Ok(Checked::of(directory.manifest()))
}

/// Restores the logs into a directory that has none.
pub async fn run(request: Request, mut on_step: impl FnMut(Step)) -> anyhow::Result<Restored> {
    let directory = Directory::open(&request.from)?;
    let secret = directory.secret()?;
    let dir = DataDir::new(&request.data_dir);
    open::make_dir(&dir).await?;
    // Held to the end, so that no other restore writes into the directory. A new one has no read model
    // that could be locked.
    let _lock = lock(&dir)?;
    let is_half_put = refuse_logs(&dir)?;
    // Held to the end, so that no server starts on the directory.
    let read_model = hold_model(&dir).await?;
    let mut seen = request.seen.clone();
    seen.extend(seen_here(&dir, read_model.as_ref())?);
    let mut sink = Sink::new(seen.clone());
    sink.refuse_short(&directory, request.accept_loss)?;
    if is_half_put {
        // Before anything is removed, all of the backup must be right for this directory.
        let mut first = Sink::new(seen);
        let read = first.read_all(&directory, &mut on_step, |_kind| Ok(None));
        read.await?;
        first.refuse(request.accept_loss)?;
        remove(&dir.admin_log())?;
    }
    // Of a restore that was interrupted.
    clear(&dir)?;
    let new = dir.clone();
    let result = sink
        .read_all(&directory, on_step, |kind| {
            Ok(Some(EmbeddedRestore::create(&new.restoring(kind))?))
        })
        .await;
    let result = result.and_then(|()| sink.refuse(request.accept_loss));
    if result.is_err() {
        clear(&dir)?;
    }
    result?;
    put(&dir, LogKind::Keys, &dir.admin_log())?;
    if let Some(secret) = secret {
        put_secret(&dir, &secret)?;
    }
    if sink
        .losses
        .iter()
        .any(|loss| loss.log == LogKind::Keys.as_str())
    {
        // The operator has accepted the loss. Otherwise no server would start.
        remove(&dir.keys_seen())?;
    }
    put(&dir, LogKind::Events, &dir.log())?;
    clear(&dir)?;
    Ok(Restored {
        backup: Checked::of(directory.manifest()),
        lost: sink.losses,
    })
}

fn lock(dir: &DataDir) -> anyhow::Result<File> {
    match dir.lock() {
        Err(TryLockError::WouldBlock) => {
            Err(OpenError::RestoreRuns(dir.path().to_path_buf()).into())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", dir.path().display()))
        }
        Ok(file) => Ok(file),
    }
}

/// Fails if the directory has a log. Returns whether it has a log of keys that a restore put there, which
/// was interrupted before it put the log of events there.
fn refuse_logs(dir: &DataDir) -> anyhow::Result<bool> {
    let refuse = |log: PathBuf| {
        anyhow::ensure!(
            !log.exists(),
            "{} exists, and a restore replaces no log: name another directory, or move this log away",
            log.display()
        );
        Ok(())
    };
    refuse(dir.log())?;
    if is_same_file(&dir.admin_log(), &dir.restoring(LogKind::Keys)) {
        return Ok(true);
    }
    refuse(dir.admin_log())?;
    Ok(false)
}

/// Whether two names are those of one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// What the read model of the directory, and its record of keys, have seen of the logs.
fn seen_here(dir: &DataDir, read_model: Option<&Store>) -> anyhow::Result<Vec<SeenPoint>> {
    let mut seen = Vec::new();
    if let Some(store) = read_model {
        let snapshot = store.snapshot()?;
        let progress = snapshot.progress();
        seen.push(SeenPoint {
            by: format!("the read model {}", dir.model().display()),
            kind: LogKind::Events,
            position: progress.position,
            chain: progress.chain,
        });
    }
    let file = dir.keys_seen();
    match fs::read_to_string(&file) {
        Ok(text) => {
            let read: Result<Seen, _> = text.parse();
            let read = read.with_context(|| format!("cannot read {}", file.display()))?;
            seen.push(SeenPoint {
                by: file.display().to_string(),
                kind: LogKind::Keys,
                position: read.position(),
                chain: read.chain(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    Ok(seen)
}

/// What another backup of the ledger has of both logs.
pub fn seen_in(backup: &Path) -> anyhow::Result<[SeenPoint; 2]> {
    let directory = Directory::open(backup)?;
    let Manifest { events, keys, .. } = directory.manifest();
    let seen = |kind, log: &LogPart| SeenPoint {
        by: format!("the backup {}", backup.display()),
        kind,
        position: log.position,
        chain: log.chain,
    };
    Ok([seen(LogKind::Events, events), seen(LogKind::Keys, keys)])
}

/// Opens the read model, which locks it, if the directory has one.
async fn hold_model(dir: &DataDir) -> Result<Option<Store>, OpenError> {
    let dir = dir.clone();
    blocking(move || {
        if !dir.model().exists() {
            return Ok(None);
        }
        // Its progress too must make sense.
        let opened =
            Store::open(&dir.model()).and_then(|store| store.snapshot().map(drop).map(|()| store));
        match opened {
            // It is no evidence, and the next start makes it again.
            Err(error) if error.is_mended_by_a_rebuild() => Ok(None),
            opened => opened
                .map(Some)
                .map_err(|error| open::store_error(error, &dir.model())),
        }
    })
    .await
}

/// What reads the records, and compares them with what was seen.
#[derive(Default)]
struct Sink {
    seen: Vec<SeenPoint>,
    losses: Vec<Loss>,
}

impl Sink {
    fn new(seen: Vec<SeenPoint>) -> Self {
        let seen = seen.into_iter();
        Self {
            seen: seen.filter(|one| one.position != Position::ZERO).collect(),
            losses: Vec::new(),
        }
    }

    /// Fails before the work begins if the backup ends before what was seen.
    fn refuse_short(&mut self, directory: &Directory, accept_loss: bool) -> anyhow::Result<()> {
        for seen in &self.seen {
            let end = directory.manifest().log(seen.kind).position;
            if end < seen.position {
                self.losses.push(Loss {
                    by: seen.by.clone(),
                    log: seen.kind.as_str(),
                    first: end.next(),
                    last: seen.position,
                });
            }
        }
        self.refuse(accept_loss)
    }

    fn refuse(&self, accept_loss: bool) -> anyhow::Result<()> {
        let losses = self.losses.iter().map(ToString::to_string);
        let losses: Vec<_> = losses.collect();
        anyhow::ensure!(
            accept_loss || losses.is_empty(),
            "the backup lacks records: {}. Restore a newer backup; or, to lose them, add --accept-loss",
            losses.join("; ")
        );
        Ok(())
    }

    /// Notes if the log has another record where somebody has seen one.
    fn compare(&mut self, mark: &Mark) {
        for seen in &self.seen {
            let here = seen.kind == mark.kind && seen.position == mark.position;
            if here && seen.chain != mark.chain {
                self.losses.push(Loss {
                    by: seen.by.clone(),
                    log: seen.kind.as_str(),
                    first: seen.position,
                    last: seen.position,
                });
            }
        }
    }

    /// Reads both logs to their ends, and writes them where `open` says.
    async fn read_all(
        &mut self,
        directory: &Directory,
        mut on_step: impl FnMut(Step),
        mut open: impl FnMut(LogKind) -> anyhow::Result<Option<EmbeddedRestore>>,
    ) -> anyhow::Result<()> {
        for kind in [LogKind::Keys, LogKind::Events] {
            let until = directory.manifest().log(kind).position;
            let mut work = Work {
                reader: Reader::new(directory, kind),
                out: open(kind)?,
                watched: self.seen.iter().map(|seen| seen.position).collect(),
                marks: Vec::new(),
            };
            loop {
                let before = work.reader.end().position;
                work = tokio::task::spawn_blocking(move || work.step())
                    .await
                    .map_err(BackupError::Panicked)??;
                for mark in work.marks.drain(..) {
                    self.compare(&mark);
                }
                let position = work.reader.end().position;
                on_step(Step {
                    kind,
                    position,
                    until,
                });
                if position == before {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The copy of one log. It blocks.
struct Work {
    reader: Reader,
    out: Option<EmbeddedRestore>,
    /// The positions at which the chain is noted.
    watched: Vec<Position>,
    marks: Vec<Mark>,
}

impl Work {
    fn step(mut self) -> anyhow::Result<Self> {
        let mut chunk: Vec<(NewRecord, Timestamp)> = Vec::new();
        self.reader.next_chunk(|record, rules, end| {
            if self.watched.contains(&record.position) {
                self.marks.push(*end);
            }
            if self.out.is_some() {
                let body = record.body(rules);
                let (subject, private) = (record.subject, record.private);
                let new = NewRecord {
                    subject,
                    private,
                    body,
                };
                chunk.push((new, record.recorded_at));
            }
        })?;
        if let Some(out) = &mut self.out {
            out.write(&chunk)?;
        }
        Ok(self)
    }
}

/// Gives a new log its second name.
fn put(dir: &DataDir, kind: LogKind, place: &Path) -> anyhow::Result<()> {
    // Unlike a rename, a link replaces nothing: a server may have made a log here.
    fs::hard_link(dir.restoring(kind), place)
        .and_then(|()| dir.sync())
        .with_context(|| format!("cannot put the restored log at {}", place.display()))
}

/// Writes the secret of session tokens, unless the directory has one.
fn put_secret(dir: &DataDir, text: &str) -> anyhow::Result<()> {
    let path = dir.token_secret();
    let written = || {
        let mut file = tempfile::NamedTempFile::new_in(dir.path())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            persisted => persisted.map(|_file| ()).map_err(|error| error.error),
        }
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes the first names of the new logs, or the files of a restore that did not come to its end.
fn clear(dir: &DataDir) -> Result<(), OpenError> {
    let cleared = dir.clear_restore();
    cleared.map_err(|(file, error)| OpenError::Remove(file, error))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    files::remove(file).with_context(|| format!("cannot remove {}", file.display()))
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            by,
            log,
            first,
            last,
        } = self;
        write!(
            f,
            "{by} has seen positions {first} to {last} of the log of {log}"
        )
    }
}
