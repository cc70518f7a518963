//! What may excuse a ledger that ends by itself.

use std::time::{Duration, Instant};

/// How long after its end a trouble excuses an end of the process for any reason.
const FOR_ANY_REASON: Duration = Duration::from_secs(5);
/// How long it excuses an end for a reason that names the trouble. A paused process goes on later, and a start
/// waits for NATS.
const FOR_ITS_REASON: Duration = Duration::from_secs(30);

/// What a ledger says when it cannot write.
const NO_ROOM: [&str; 2] = ["File too large", "takes no more bytes"];
/// What a start says that does not reach NATS in time.
const NO_LOG: &str = "the log is unavailable";

/// Something that faults keep from a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    faults: u32,
    ended_at: Option<Instant>,
}

impl Trouble {
    pub(crate) fn begin(&mut self) {
        self.faults += 1;
    }

    pub(crate) fn end(&mut self) {
        self.faults -= 1;
        self.ended_at = Some(Instant::now());
    }

    /// Whether it lasts, or has ended within this time.
    fn lasts(&self, after: Duration) -> bool {
        0 < self.faults || self.ended_at.is_some_and(|at| at.elapsed() < after)
    }
}

/// The troubles of a ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Troubles {
    /// It cannot write.
    pub(crate) no_room: Trouble,
    /// It does not hear NATS.
    pub(crate) no_log: Trouble,
}

impl Troubles {
    /// Whether the ledger may have ended with an ordinary exit code after this last line. Once it serves, it
    /// must outlast everything but a full disk.
    pub(crate) fn excuse(&self, last: &str, has_served: bool) -> bool {
        let says_no_room = NO_ROOM.iter().any(|words| last.contains(words));
        self.no_room.lasts(FOR_ANY_REASON)
            || says_no_room && self.no_room.lasts(FOR_ITS_REASON)
            || !has_served && last.contains(NO_LOG) && self.no_log.lasts(FOR_ITS_REASON)
    }
}
