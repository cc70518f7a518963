//! Files of a directory that only their owner may read, and that one process writes at a time.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The prefix of files that are being written. An interrupted process leaves them.
pub(crate) const WRITING: &str = ".writing-";
/// The file that is locked while the directory is written.
const LOCK: &str = "lock";

/// What a directory has besides its manifest.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files that an interrupted process has left.
    left: Vec<PathBuf>,
    /// Whether there are other files than those and segments.
    pub(crate) others: bool,
}

/// Makes a directory, unless there is one, and looks what it has. `suffix` ends the names of segments.
pub(crate) fn prepare(path: &Path, suffix: &str) -> io::Result<Found> {
    // The records may be those of every tenant, so others must not read them.
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path)?;
    let mut found = Found::default();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.starts_with(WRITING) {
            found.left.push(entry.path());
        } else if name != LOCK && !text.ends_with(suffix) {
            found.others = true;
        }
    }
    Ok(found)
}

impl Found {
    /// Removes what an interrupted process has left. No other process may write now. The error names the
    /// file.
    pub(crate) fn clean(self) -> Result<(), (PathBuf, io::Error)> {
        for file in self.left {
            match fs::remove_file(&file) {
                // One that has just ended may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err((file, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Takes the lock of a directory; `None` if another process has it. The error names the file.
pub(crate) fn lock(dir: &Path) -> Result<Option<File>, (PathBuf, io::Error)> {
    let path = dir.join(LOCK);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let locked = opened.map(|file| (file.try_lock(), file));
    match locked {
        Ok((Ok(()), file)) => Ok(Some(file)),
        Ok((Err(TryLockError::WouldBlock), _)) => Ok(None),
        Ok((Err(TryLockError::Error(error)), _)) | Err(error) => Err((path, error)),
    }
}

/// Makes a file without a name of its own yet. Only its owner can read it.
pub(crate) fn unnamed(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(WRITING).tempfile_in(dir)
}

/// Replaces a file as a whole.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = unnamed(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}
