//! A child process that ends with the value that started it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a process may take to become ready or to end.
pub(crate) const WAIT_MAX: Duration = Duration::from_mins(2);

/// A running process. Killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let spawned = command.spawn();
        Self(spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Kills the process, as a crash.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal, and waits until the process has ended.
    pub(crate) fn stop(&mut self, signal: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    /// Returns the resident memory in bytes, now and at its peak.
    pub(crate) fn memory(&self) -> [u64; 2] {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Polls until `look` returns a value.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up_at = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < give_up_at,
            "{what}: not within {WAIT_MAX:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the bytes of all files in a directory, or of one file.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    // A file may be removed while the directory is read.
    let Ok(about) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !about.is_dir() {
        return about.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| disk_bytes(&entry.path())).sum()
}
