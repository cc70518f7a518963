//! The signals that ask the process to end.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// How soon after a signal the next one is taken for its echo: `timeout` signals its child and then
/// the whole group, a terminal and a supervisor may both pass on the same Ctrl-C.
const ECHO: Duration = Duration::from_secs(1);

/// SIGINT (Ctrl-C) and SIGTERM.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    last: Option<Instant>,
}

/// Takes over both signals: from here on they no longer end the process by themselves.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        last: None,
    })
}

impl Signals {
    /// Waits for the next one that is not an echo of the last, and says which it was.
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
