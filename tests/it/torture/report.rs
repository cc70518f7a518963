//! What a run came to.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::torture::book::Recovery;
use crate::torture::plan::Fault;

/// Most lines about faults that are kept. Older ones are dropped.
const LINES_MAX: usize = 400;

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    rounds: u64,
    kinds: BTreeMap<&'static str, Kind>,
    /// The counts of the clients and of the end, as rows of a table.
    pub(crate) counts: String,
    /// Why ledgers ended without a signal of the run, and how often.
    pub(crate) ended: BTreeMap<String, u64>,
    /// The comparison of the read models.
    pub(crate) digests: String,
}

/// The faults of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    faults: u64,
    /// Rounds in which the last fault to end was of this kind.
    last_in: u64,
    write: Duration,
    read: Duration,
    ready: Duration,
}

impl Report {
    /// Keeps a line about a fault.
    pub(crate) fn note(&mut self, line: String) {
        if self.lines.len() == LINES_MAX {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    /// The lines about faults that are kept.
    pub(crate) fn faults(&self) -> &[String] {
        &self.lines
    }

    /// Counts a fault that took place.
    pub(crate) fn count(&mut self, fault: Fault) {
        self.kinds.entry(fault.kind()).or_default().faults += 1;
    }

    /// Counts a round.
    pub(crate) fn count_round(&mut self) {
        self.rounds += 1;
    }

    /// Notes how long the recovery took after a round, in which this fault ended last.
    pub(crate) fn recovered(&mut self, last: Fault, recovery: &Recovery) {
        let kind = self.kinds.entry(last.kind()).or_default();
        kind.last_in += 1;
        for (longest, took) in [
            (&mut kind.write, recovery.write),
            (&mut kind.read, recovery.read),
            (&mut kind.ready, recovery.ready),
        ] {
            *longest = (*longest).max(took.unwrap_or_default());
        }
    }

    /// The number of faults of all kinds.
    pub(crate) fn faults_count(&self) -> u64 {
        self.kinds.values().map(|kind| kind.faults).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = String::from(
            "| fault | times | last to end | longest until a write | until a read | until all ledgers are ready |\n\
             |---|---|---|---|---|---|\n",
        );
        for (name, kind) in &self.kinds {
            let seconds = [kind.write, kind.read, kind.ready].map(|took| took.as_secs_f64());
            writeln!(
                table,
                "| {name} | {} | {} | {:.1} s | {:.1} s | {:.1} s |",
                kind.faults, kind.last_in, seconds[0], seconds[1], seconds[2]
            )?;
        }
        let mut ended = String::new();
        for (why, count) in &self.ended {
            writeln!(ended, "{count} ledgers ended by themselves: {why}")?;
        }
        write!(
            out,
            "{} rounds with {} faults\n\n{table}\n| what | count |\n|---|---|\n{}\n{ended}\n{}",
            self.rounds,
            self.faults_count(),
            self.counts,
            self.digests
        )
    }
}
