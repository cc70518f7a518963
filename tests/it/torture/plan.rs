//! The faults of a run, which follow from its seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::support::nats_cluster::NODES;
use crate::torture::Mode;

/// Most faults of one round.
const FAULTS_MAX: usize = 5;

/// A fault. The numbers name a ledger or a NATS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a new start when the fault ends.
    LedgerKilled(usize),
    /// SIGSTOP and SIGCONT.
    LedgerPaused(usize),
    /// Clients do not reach the ledger, as if a cable was cut.
    LedgerCutOff(usize),
    /// The ledger does not reach its NATS servers.
    LedgerWithoutLog(usize),
    /// The ledger cannot write behind a place in its files.
    DiskFull(usize, Room),
    /// Some bytes of the read model change while the ledger runs.
    DamagedRunning(usize, Damage),
    /// SIGKILL; some bytes of the read model change before the new start.
    DamagedStopped(usize, Damage),
    /// SIGKILL, and a new start when the fault ends.
    BrokerKilled(usize),
    /// SIGSTOP and SIGCONT.
    BrokerPaused(usize),
    /// Of one server: nothing reaches it. Of a cluster: the other servers do not reach it.
    BrokerCutOff(usize),
}

/// How much of a file is damaged. The numbers decide which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One byte.
    Byte(u64),
    /// One byte of the first two blocks, which have no checksums of the ledger.
    Header(u64),
    /// A number of bytes.
    Bytes(u64, u32),
    /// One byte of each block behind the header.
    EveryBlock(u64),
}

/// Where writes to a full disk begin to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// This many bytes behind the end of the largest file.
    Bytes(u64),
    /// At this percentage of the largest file, as on a disk that needs room for every write.
    Percent(u64),
}

/// What a fault takes place in. Two faults never have the same place at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ledger(usize),
    Door(usize),
    Ways(usize),
    Disk(usize),
    Broker(usize),
    BrokerWays(usize),
}

impl Fault {
    /// What reports call faults of this kind.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::LedgerKilled(_) => "ledger killed",
            Self::LedgerPaused(_) => "ledger paused",
            Self::LedgerCutOff(_) => "ledger cut off from clients",
            Self::LedgerWithoutLog(_) => "ledger cut off from NATS",
            Self::DiskFull(..) => "disk of a ledger full",
            Self::DamagedRunning(..) => "read model damaged, ledger running",
            Self::DamagedStopped(..) => "read model damaged, ledger killed",
            Self::BrokerKilled(_) => "NATS server killed",
            Self::BrokerPaused(_) => "NATS server paused",
            Self::BrokerCutOff(_) => "NATS server cut off",
        }
    }

    fn place(self) -> Place {
        match self {
            Self::LedgerKilled(number)
            | Self::LedgerPaused(number)
            | Self::DamagedRunning(number, _)
            | Self::DamagedStopped(number, _) => Place::Ledger(number),
            Self::LedgerCutOff(number) => Place::Door(number),
            Self::LedgerWithoutLog(number) => Place::Ways(number),
            Self::DiskFull(number, _) => Place::Disk(number),
            Self::BrokerKilled(number) | Self::BrokerPaused(number) => Place::Broker(number),
            Self::BrokerCutOff(number) => Place::BrokerWays(number),
        }
    }

    /// Whether the fault is over as soon as it has begun.
    fn is_instant(self) -> bool {
        matches!(self, Self::DamagedRunning(..))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LedgerKilled(number)
            | Self::LedgerPaused(number)
            | Self::LedgerCutOff(number)
            | Self::LedgerWithoutLog(number)
            | Self::BrokerKilled(number)
            | Self::BrokerPaused(number)
            | Self::BrokerCutOff(number) => write!(out, "{} (number {number})", self.kind()),
            Self::DiskFull(number, room) => {
                write!(out, "{} (number {number}, {room:?})", self.kind())
            }
            Self::DamagedRunning(number, damage) | Self::DamagedStopped(number, damage) => {
                write!(out, "{} (number {number}, {damage:?})", self.kind())
            }
        }
    }
}

/// A fault with its time, counted from the start of its round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    begin: Duration,
    end: Duration,
}

/// Faults that overlap, and then all end.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) faults: Vec<Planned>,
}

/// The begin or the end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Begin(Planned),
    End(Planned),
}

impl Moment {
    /// When it is, counted from the start of its round.
    pub(crate) fn at(&self) -> Duration {
        match self {
            Self::Begin(planned) => planned.begin,
            Self::End(planned) => planned.end,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Begin(planned) | Self::End(planned) => planned.fault,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(planned) => {
                let long = planned.end.saturating_sub(planned.begin);
                write!(out, "{} for {} ms", planned.fault, long.as_millis())
            }
            Self::End(planned) => write!(out, "{} ends", planned.fault),
        }
    }
}

impl Round {
    /// The begins and ends of all faults, in their order.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        let both = |planned: &Planned| {
            let end = (!planned.fault.is_instant()).then_some(Moment::End(*planned));
            [Some(Moment::Begin(*planned)), end]
        };
        let mut moments: Vec<_> = self.faults.iter().flat_map(both).flatten().collect();
        moments.sort_by_key(Moment::at);
        moments
    }
}

/// Draws one round after another.
#[derive(Debug)]
pub(crate) struct Plan {
    mode: Mode,
    rng: Rng,
    rounds: u64,
}

impl Plan {
    pub(crate) fn new(mode: Mode, seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self {
            mode,
            rng,
            rounds: 0,
        }
    }

    pub(crate) fn next_round(&mut self) -> Round {
        let (window_ms, longest_ms) = match self.mode {
            Mode::Embedded => (3_000, 4_000),
            Mode::Nats => (4_000, 7_000),
            // NATS elects a leader 4 to 9 s after the last one was heard.
            Mode::Cluster => (8_000, 15_000),
        };
        let mut faults: Vec<Planned> = Vec::new();
        // The first fault of each round is certain, and more get rarer.
        for _ in 0..self.rng.usize(1..=FAULTS_MAX) {
            let fault = self.fault();
            let begin = Duration::from_millis(self.rng.u64(0..window_ms));
            let long = Duration::from_millis(self.rng.u64(50..longest_ms));
            let end = begin
                + if fault.is_instant() {
                    Duration::ZERO
                } else {
                    long
                };
            let overlaps = |other: &Planned| {
                other.fault.place() == fault.place() && begin <= other.end && other.begin <= end
            };
            if !faults.iter().any(overlaps) {
                faults.push(Planned { fault, begin, end });
            }
        }
        self.rounds += 1;
        Round {
            number: self.rounds,
            faults,
        }
    }

    fn fault(&mut self) -> Fault {
        let rng = &mut self.rng;
        let ledger = match self.mode {
            Mode::Embedded => 0,
            Mode::Nats | Mode::Cluster => rng.usize(..2),
        };
        let broker = match self.mode {
            Mode::Embedded | Mode::Nats => 0,
            Mode::Cluster => rng.usize(..NODES),
        };
        let kinds = match self.mode {
            Mode::Embedded => 6,
            Mode::Nats | Mode::Cluster => 12,
        };
        match rng.u8(..kinds) {
            0 | 1 => Fault::LedgerKilled(ledger),
            2 => Fault::LedgerPaused(ledger),
            3 => Fault::DiskFull(ledger, room(rng)),
            4 if rng.bool() => Fault::DamagedRunning(ledger, damage(rng)),
            4 => Fault::DamagedStopped(ledger, damage(rng)),
            5 => Fault::LedgerCutOff(ledger),
            6 => Fault::LedgerWithoutLog(ledger),
            7 | 8 => Fault::BrokerKilled(broker),
            9 | 10 => Fault::BrokerPaused(broker),
            _ => Fault::BrokerCutOff(broker),
        }
    }
}

fn damage(rng: &mut Rng) -> Damage {
    let seed = rng.u64(..);
    match rng.u8(..8) {
        0 => Damage::Byte(seed),
        1 => Damage::Header(seed),
        2..=4 => Damage::Bytes(seed, rng.u32(2..200)),
        _ => Damage::EveryBlock(seed),
    }
}

fn room(rng: &mut Rng) -> Room {
    if rng.u8(..4) == 0 {
        Room::Bytes(rng.u64(..50_000))
    } else {
        Room::Percent(rng.u64(5..100))
    }
}
