//! Snapshots of the read model in a directory that the nodes of a ledger share.
//!
//! ```text
//! model-<layout>-<position>-<hash>.redb  the read model at a position, without free pages
//! model-<layout>-<position>-<hash>.json  what it is: see [`Manifest`]
//! .writing-*                             a file that a node writes, or has left half written
//! ```
//!
//! A node without a read model starts from the newest snapshot that fits its build and its log, and folds
//! only what came after it. Every node writes a snapshot when the newest one is old enough, after a pause
//! of random length, so that usually one node writes it. If two do so at a time, both are right.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{
    SNAPSHOT_LEFTOVER_MS, SNAPSHOT_REST_TIMES, SNAPSHOT_RETRY_MS, SNAPSHOT_SPREAD_MS,
    SNAPSHOTS_KEPT,
};
use crate::domain::{Clock, Position, Rules};
use crate::log::EventLog;
use crate::projection::{Projection, Store, Waited, layout, runner};

/// How many bytes are copied and hashed at a time.
const COPY_BYTES: usize = 1024 * 1024;
/// How many digits of its hash the name of a snapshot has. Two nodes may write the same position.
const HASH_DIGITS: usize = 16;
/// How the name of a file begins that is not complete.
const WRITING: &str = ".writing-";
/// A file that is not complete after this time never will be.
const LEFTOVER_AGE: Duration = Duration::from_millis(SNAPSHOT_LEFTOVER_MS);

/// Where snapshots are, and when to write one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// The shared directory.
    pub dir: PathBuf,
    /// A node writes a snapshot when the newest one is so many records behind.
    pub every_records: u64,
}

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    layout: u32,
    rules: u32,
    position: u64,
    /// The head of the hash chain over the log up to the position, in hexadecimal digits.
    chain: String,
    /// The hash of the file, in hexadecimal digits.
    sha256: String,
    made_at: String,
}

/// The snapshot that a start has installed, still to be opened.
pub(super) struct Installed {
    file: NamedTempFile,
    position: u64,
}

impl Installed {
    /// Puts the snapshot in the place of a read model that no process has open.
    pub(super) fn persist(self, model: &Path) -> anyhow::Result<()> {
        self.file
            .persist(model)
            .with_context(|| format!("cannot write {}", model.display()))?;
        tracing::info!("started from the snapshot at position {}", self.position);
        Ok(())
    }
}

impl Snapshots {
    /// Finds the newest snapshot that fits this build and a log, and copies it next to the read model. A
    /// snapshot that does not fit or is damaged is left out with a warning.
    pub(super) async fn install(
        &self,
        log: &dyn EventLog,
        model: &Path,
    ) -> anyhow::Result<Option<Installed>> {
        let head = log.head().await?;
        let (dir, known) = (self.dir.clone(), Rules::LATEST.number());
        let found = blocking(move || list(&dir)).await;
        // A shared folder that is away does not keep a node from folding its log.
        let found = found.unwrap_or_else(|error| {
            tracing::warn!("the snapshots cannot be read; left out: {error:#}");
            Vec::new()
        });
        for manifest in found {
            if head < Position::new(manifest.position) || known < manifest.rules {
                continue;
            }
            let (dir, into) = (self.dir.clone(), model.to_path_buf());
            let copied = blocking(move || {
                let file = copy(&dir, &manifest, &into)?;
                let store = Store::open(file.path())?;
                Ok((file, *store.snapshot()?.progress()))
            });
            match copied.await {
                Ok((file, progress)) if runner::is_of_log(&progress, log).await? => {
                    let position = progress.position.get();
                    return Ok(Some(Installed { file, position }));
                }
                Ok((_, progress)) => tracing::warn!(
                    "the snapshot at position {} was made from another log; left out",
                    progress.position
                ),
                Err(error) => tracing::warn!("a snapshot cannot be used; left out: {error:#}"),
            }
        }
        Ok(None)
    }

    /// Writes snapshots until `stop` is canceled.
    pub(super) async fn keep_writing(
        self,
        (log, projection): (Arc<dyn EventLog>, Arc<Projection>),
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut last_try = Position::ZERO;
        let due = async |last_try: Position| {
            loop {
                let newest = self.newest(log.known_head()).await.max(last_try);
                let next = Position::new(newest.get().saturating_add(self.every_records));
                // Not while the fold catches up: it needs the disk more.
                let waited = projection.reach(next.max(projection.owed())).await;
                let pause = fastrand::u64(0..=SNAPSHOT_SPREAD_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                // Another node may have written one.
                if waited != Waited::Reached || self.newest(log.known_head()).await < next {
                    return waited;
                }
            }
        };
        while let Some(Waited::Reached) = stop.run_until_cancelled(due(last_try)).await {
            let position = projection.position();
            let (dir, source) = (self.dir.clone(), Arc::clone(&projection));
            let made_at = clock.now().to_string();
            let began = Instant::now();
            let written = blocking(move || write(&dir, &source, made_at)).await;
            match written {
                Ok(Some(position)) => {
                    last_try = position;
                    tracing::info!("wrote a snapshot at position {position}");
                    // The larger the read model, the longer a snapshot takes, and the fold and readers wait
                    // for the disk.
                    let rest = began.elapsed() * SNAPSHOT_REST_TIMES;
                    let _canceled = tokio::time::timeout(rest, stop.cancelled()).await;
                }
                // Another node writes one. Look again after the pause that comes before each.
                Ok(None) => {}
                Err(error) => {
                    last_try = position;
                    tracing::warn!("no snapshot could be written: {error:#}");
                    let pause = Duration::from_millis(SNAPSHOT_RETRY_MS);
                    let _canceled = tokio::time::timeout(pause, stop.cancelled()).await;
                }
            }
        }
    }

    /// The position of the newest snapshot that this build could use, at most `head`.
    async fn newest(&self, head: Position) -> Position {
        let dir = self.dir.clone();
        let found = blocking(move || list_to(&dir, head)).await;
        let found = found.unwrap_or_default();
        let newest = found.first().map_or(0, |manifest| manifest.position);
        Position::new(newest)
    }
}

impl Manifest {
    fn file(&self, kind: &str) -> String {
        let hash = self.sha256.get(..HASH_DIGITS).unwrap_or(&self.sha256);
        format!("model-{}-{:020}-{hash}.{kind}", self.layout, self.position)
    }
}

/// The snapshots of this build's layout up to the head of a log, newest first. Those beyond it are of
/// another log, or of a part that a restored log has lost.
fn list_to(dir: &Path, head: Position) -> anyhow::Result<Vec<Manifest>> {
    let mut found = list(dir)?;
    found.retain(|manifest| manifest.position <= head.get());
    Ok(found)
}

/// The snapshots of this build's layout, newest first.
fn list(dir: &Path) -> anyhow::Result<Vec<Manifest>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let manifest = fs::read(&path).map_err(anyhow::Error::from);
        match manifest.and_then(|text| Ok(serde_json::from_slice::<Manifest>(&text)?)) {
            Ok(manifest) if manifest.layout == layout() => found.push(manifest),
            Ok(_) => {}
            Err(error) => tracing::warn!("{} is no snapshot: {error:#}", path.display()),
        }
    }
    found.sort_by_key(|manifest| std::cmp::Reverse(manifest.position));
    Ok(found)
}

/// Copies a snapshot into a temporary file beside the read model, and compares its hash.
fn copy(dir: &Path, manifest: &Manifest, model: &Path) -> anyhow::Result<NamedTempFile> {
    let name = manifest.file("redb");
    let mut from = File::open(dir.join(&name)).with_context(|| format!("cannot open {name}"))?;
    let beside = model.parent().unwrap_or(Path::new("."));
    let mut into = NamedTempFile::new_in(beside)?;
    let found = copy_and_hash(&mut from, &mut into)?;
    into.as_file().sync_all()?;
    anyhow::ensure!(
        found == manifest.sha256,
        "{name} has the hash {found}, and its manifest says {}",
        manifest.sha256
    );
    Ok(into)
}

/// Writes a snapshot of the read model, and removes old ones. The manifest comes last, so a snapshot
/// without one is not complete. Returns its position; `None` if another node writes one.
fn write(dir: &Path, projection: &Projection, made_at: String) -> anyhow::Result<Option<Position>> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let file = new_file(dir)?;
    if is_written_by_another(dir, file.path())? {
        return Ok(None);
    }
    let progress = projection.copy_to(file.reopen()?)?;
    let manifest = Manifest {
        layout: layout(),
        rules: progress.rules.current().number(),
        position: progress.position.get(),
        chain: hex::encode(progress.chain),
        sha256: copy_and_hash(&mut File::open(file.path())?, &mut io::sink())?,
        made_at,
    };
    file.persist(dir.join(manifest.file("redb")))?;
    let mut text = new_file(dir)?;
    serde_json::to_writer_pretty(&mut text, &manifest)?;
    text.as_file().sync_all()?;
    text.persist(dir.join(manifest.file("json")))?;
    File::open(dir)?.sync_all()?;
    for old in list_to(dir, progress.position)?.iter().skip(SNAPSHOTS_KEPT) {
        // Another node may have removed it.
        drop(fs::remove_file(dir.join(old.file("json"))));
        drop(fs::remove_file(dir.join(old.file("redb"))));
    }
    Ok(Some(progress.position))
}

/// A file that gets its name later. Who else may read it, the umask says: other nodes may run as other
/// users.
fn new_file(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(WRITING)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
}

/// Whether another node writes a snapshot. Removes files that were half written long before. Only the times
/// of the shared directory count, because the clocks of nodes differ.
fn is_written_by_another(dir: &Path, new: &Path) -> io::Result<bool> {
    let now = fs::metadata(new)?.modified()?;
    let mut found = false;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path == new || !name.starts_with(WRITING) {
            continue;
        }
        // A file that another node has just finished is gone.
        let Ok(written) = fs::metadata(&path).and_then(|found| found.modified()) else {
            continue;
        };
        match now.duration_since(written) {
            Ok(age) if LEFTOVER_AGE < age => drop(fs::remove_file(&path)),
            // Of two nodes that begin at one moment, both give way and try again.
            Ok(_) | Err(_) => found = true,
        }
    }
    Ok(found)
}

/// Copies all bytes, and returns their hash in hexadecimal digits.
fn copy_and_hash(from: &mut impl Read, into: &mut impl Write) -> io::Result<String> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; COPY_BYTES]);
    loop {
        let count = from.read(&mut chunk)?;
        let bytes = chunk.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(bytes);
        into.write_all(bytes)?;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_gives_way_to_one_that_writes_but_not_to_what_a_killed_one_left() {
        let dir = tempfile::tempdir().unwrap();
        let mine = new_file(dir.path()).unwrap();
        let gives_way = || is_written_by_another(dir.path(), mine.path()).unwrap();
        assert!(!gives_way());
        let other = new_file(dir.path()).unwrap();
        assert!(gives_way());
        let now = fs::metadata(mine.path()).unwrap().modified().unwrap();
        let long_ago = now - LEFTOVER_AGE - Duration::from_secs(1);
        other.as_file().set_modified(long_ago).unwrap();
        assert!(!gives_way());
        assert!(!other.path().exists());
    }
}
