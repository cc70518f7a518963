//! The signals that stop the process.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// A signal within this time after another one is ignored as its echo. `timeout` signals its child
/// and then the whole process group; a terminal and a supervisor may both forward one Ctrl-C.
const ECHO: Duration = Duration::from_secs(1);

/// Receives SIGINT (Ctrl-C) and SIGTERM.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Received and ignored.
    _file_too_large: Signal,
    last: Option<Instant>,
}

/// SIGXFSZ, which has this number on every Linux: a write went beyond the limit of `ulimit -f`.
const FILE_TOO_LARGE: SignalKind = SignalKind::from_raw(25);

/// Installs handlers for both signals. From then on they no longer end the process by themselves. Nor
/// does a file that may not grow: the write fails, as on a full disk.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        _file_too_large: signal(FILE_TOO_LARGE)?,
        last: None,
    })
}

impl Signals {
    /// Waits for the next signal that is not an echo, and returns its name.
    pub async fn next(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.terminate.recv() => "SIGTERM",
            };
            let now = Instant::now();
            if self.last.is_none_or(|last| ECHO < now - last) {
                self.last = Some(now);
                return name;
            }
        }
    }
}
