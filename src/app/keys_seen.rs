//! The file that remembers how far this node has read the log of keys.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::auth::{Keys, Seen};
use crate::log::{EventLog, LogError};

/// The pause before a file that could not be written is written again.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// Checks that the log of keys has every record that this node has read before. Returns what it had
/// read.
pub(super) async fn check(file: &Path, log: &dyn EventLog) -> anyhow::Result<Seen> {
    let seen = match fs::read_to_string(file) {
        Ok(text) => text.parse().map_err(anyhow::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seen::NOTHING),
        Err(error) => Err(error.into()),
    };
    let seen: Seen = seen.with_context(|| format!("cannot read {}", file.display()))?;
    let checked = seen.check(log).await;
    checked.map_err(|error| {
        let is_older = matches!(
            error,
            LogError::Truncated { .. } | LogError::Replaced { .. } | LogError::Erased { .. }
        );
        let what = if is_older {
            let file = file.display();
            format!(
                "the log of keys lacks records that this server has read, or has others in their \
                 place, so revoked keys could be valid again. Restore the newer log; or, to accept the \
                 loss, delete {file}"
            )
        } else {
            "the log of keys cannot be read".to_owned()
        };
        anyhow::Error::from(error).context(what)
    })?;
    Ok(seen)
}

/// Keeps the file up to date, until `stop` is canceled.
pub(super) async fn remember(
    file: PathBuf,
    keys: Arc<Keys>,
    mut seen: Seen,
    stop: CancellationToken,
) {
    loop {
        let more = stop.run_until_cancelled(keys.seen_after(seen)).await;
        let more = match more {
            Some(None) => return,
            Some(Some(more)) => more,
            // Once more at the end, so that the last revocation is not missed.
            None => keys.seen(),
        };
        if more != seen {
            let path = file.clone();
            let written = tokio::task::spawn_blocking(move || write(&path, &more));
            match written.await {
                Ok(Ok(())) => seen = more,
                Ok(Err(error)) => {
                    tracing::warn!(
                        "cannot write {}: {error}. Until it is written, a restart would not notice \
                         an older log of keys",
                        file.display()
                    );
                    stop.run_until_cancelled(sleep(RETRY_AFTER)).await;
                }
                Err(_panicked) => return,
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Replaces the file as a whole.
fn write(path: &Path, seen: &Seen) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{seen}")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::clock::SystemClock;
    use crate::log::EmbeddedLog;

    #[tokio::test]
    async fn only_a_log_that_lacks_records_is_a_reason_to_delete_what_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&dir.path().join("admin.redb"), Arc::new(SystemClock)).unwrap();
        let file = dir.path().join("keys.seen");
        fs::write(&file, format!("1 {}\n", "0".repeat(64))).unwrap();
        let shorter = check(&file, &log).await.unwrap_err();
        assert!(format!("{shorter:#}").contains("delete"), "{shorter:#}");
        log.close().await;
        let away = format!("{:#}", check(&file, &log).await.unwrap_err());
        assert!(
            !away.contains("delete") && away.contains("unavailable"),
            "{away}"
        );
    }
}
