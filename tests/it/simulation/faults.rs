//! How often things go wrong in one run. Each run draws its own mix, so that some runs have only one kind
//! of fault, and others all.

use fastrand::Rng;

use crate::simulation::log::Fate;

const MINUTE_US: i64 = 60 * 1_000_000;

/// Weights and chances of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// The number of steps.
    pub(crate) steps: u64,
    /// Percent of the calls to the log that fail.
    fails: u8,
    /// Weights of steps.
    pub(crate) load: u32,
    pub(crate) crash: u32,
    pub(crate) jump: u32,
    pub(crate) skewed: u32,
    /// Whether the log's clock jumps, as when another server of a cluster takes over.
    pub(crate) log_jumps: bool,
}

impl Faults {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            steps: rng.u64(150..500),
            fails: [0, 5, 20, 50][rng.usize(..4)],
            load: [50, 100, 200][rng.usize(..3)],
            crash: [0, 5, 15, 40][rng.usize(..4)],
            jump: [5, 15, 30][rng.usize(..3)],
            skewed: [0, 0, 10, 30][rng.usize(..4)],
            log_jumps: rng.u8(..4) == 0,
        }
    }

    /// Draws how far a clock is ahead, in microseconds.
    pub(crate) fn skew(&self, rng: &mut Rng) -> i64 {
        if self.skewed == 0 {
            return 0;
        }
        rng.i64(-5 * MINUTE_US..=5 * MINUTE_US)
    }

    /// Whether the next call to the log fails.
    pub(crate) fn fails(&self, rng: &mut Rng) -> bool {
        rng.u8(..100) < self.fails
    }

    /// Draws how an append of this many records fails.
    pub(crate) fn fate(rng: &mut Rng, records: usize) -> Fate {
        match rng.u8(..8) {
            0 | 1 => Fate::Delayed,
            2 => Fate::Torn(rng.usize(..records.max(1)), rng.bool()),
            3 => Fate::Unconfirmed,
            4 => Fate::Lost,
            5 => Fate::Late,
            6 => Fate::Unavailable,
            _ => Fate::Refused,
        }
    }
}
