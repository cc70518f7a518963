//! Room on a disk.

use std::io;
use std::path::Path;

/// The bytes that this user can still write to the file system of a path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether a file system has room for so many more bytes. An unknown answer counts as yes: then the
/// write itself fails.
pub fn has(path: &Path, bytes: u64) -> bool {
    free_bytes(path).map_or(true, |free| bytes <= free)
}
