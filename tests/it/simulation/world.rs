//! The scheduler of the simulation: it draws each step from the seed. Between two steps it waits until
//! nothing runs any more, so that the order of events does not depend on threads.

mod answers;
mod clients;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::Write as _;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use clients::Attempt;
use fastrand::Rng;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fold::history::TICK_US;
use crate::simulation::disk::Disk;
use crate::simulation::faults::Faults;
use crate::simulation::log::{Caller, SimLog};
use crate::simulation::node::{Node, SkewedClock, Time};
use crate::simulation::operation::{Learned, Operation};
use crate::simulation::oracle::Oracle;

const STEP: Duration = Duration::from_millis(1);
const DAY_TICKS: i64 = 150;

/// All that is simulated.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<SimLog>,
    pub(crate) time: Arc<Time>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) oracle: Oracle,
    /// Each operation, and what its clients have learned.
    pub(crate) operations: Vec<(Operation, Vec<Learned>)>,
    /// By position: the digest that a node had there.
    pub(crate) digests: BTreeMap<u64, [u8; 32]>,
    pub(crate) counts: Counts,
    trace: Trace,
    log_skew_us: i64,
    attempts: JoinSet<Learned>,
    /// The attempts under way, by their numbers.
    under_way: BTreeMap<u64, Attempt>,
    refresh_tokens: HashMap<(String, String), String>,
    sents: TestRunner,
}

/// What has happened, for a summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) attempts: u64,
    pub(crate) faulty_appends: u64,
    pub(crate) crashes: u64,
    pub(crate) checkpoints: u64,
    pub(crate) records: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.attempts += other.attempts;
        self.faulty_appends += other.faulty_appends;
        self.crashes += other.crashes;
        self.checkpoints += other.checkpoints;
        self.records += other.records;
    }
}

/// The hash of all that has happened. It can also be printed.
struct Trace {
    hash: Sha256,
    print: bool,
}

impl World {
    pub(crate) fn new(seed: u64, print: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (log, time) = (Arc::<SimLog>::default(), Time::begin());
        let faults = Faults::draw(&mut rng);
        let nodes = (0..rng.u32(2..5)).map(|number| Node {
            number,
            clock: SkewedClock::new(&time, faults.skew(&mut rng)),
            disk: Disk::default(),
            up: None,
        });
        let nodes = nodes.collect();
        let mut bytes = [0; 32];
        rng.fill(&mut bytes);
        let sents = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let hash = Sha256::new();
        Self {
            sents: TestRunner::new_with_rng(Config::default(), sents),
            log_skew_us: 0,
            rng,
            faults,
            log,
            time,
            nodes,
            oracle: Oracle::default(),
            operations: Vec::new(),
            digests: BTreeMap::new(),
            counts: Counts::default(),
            trace: Trace { hash, print },
            attempts: JoinSet::new(),
            under_way: BTreeMap::new(),
            refresh_tokens: HashMap::new(),
        }
    }

    pub(crate) fn note(&mut self, what: impl Display) {
        let line = format!("{} {what}\n", self.counts.steps);
        if self.trace.print {
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
        self.trace.hash.update(line);
    }

    pub(crate) fn trace(self) -> String {
        hex::encode(self.trace.hash.finalize())
    }

    /// One step, and the rest until nothing runs any more.
    pub(crate) async fn step(&mut self) {
        self.counts.steps += 1;
        settle().await;
        self.reap();
        let ready = self.log.ready();
        match self.draw(&ready) {
            Choice::Answer => {
                let caller = ready[self.rng.usize(..ready.len())];
                self.answer(caller, true);
            }
            Choice::Late => self.write_late(),
            Choice::Operation => self.operate(),
            Choice::Repeat => self.repeat(),
            Choice::Wait => {
                let ms = [3, 20, 120, 300, 2500][self.rng.usize(..5)];
                self.note(format_args!("wait {ms} ms"));
                sleep(Duration::from_millis(ms)).await;
            }
            Choice::Jump => self.jump().await,
            Choice::Crash => {
                let node = self.rng.usize(..self.nodes.len());
                if self.nodes[node].up.is_some() {
                    self.lose(node);
                }
            }
            Choice::CutSoon => {
                let (node, operations) = (self.rng.usize(..self.nodes.len()), self.rng.u64(1..60));
                self.note(format_args!("node {node} loses power soon: {operations}"));
                self.nodes[node].disk.cut_after(operations);
            }
            Choice::Stop => self.stop_one().await,
            Choice::Restart => self.restart(),
            Choice::Skew => self.set_clocks(),
            Choice::Check => self.check(),
        }
        sleep(STEP).await;
    }

    /// Draws what a step does.
    fn draw(&mut self, ready: &[Caller]) -> Choice {
        let down = self.nodes.iter().any(|node| node.up.is_none());
        let (faults, late) = (self.faults, self.log.late_count() != 0);
        let choices = [
            (if ready.is_empty() { 0 } else { 600 }, Choice::Answer),
            (if late { 30 } else { 0 }, Choice::Late),
            (faults.load, Choice::Operation),
            (30, Choice::Repeat),
            (100, Choice::Wait),
            (faults.jump, Choice::Jump),
            (faults.crash, Choice::Crash),
            (faults.crash, Choice::CutSoon),
            (faults.crash / 2, Choice::Stop),
            (if down { 60 } else { 0 }, Choice::Restart),
            (faults.skewed, Choice::Skew),
            (25, Choice::Check),
        ];
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.rng.u32(..total);
        let choice = choices.iter().find(|(weight, _)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        choice.unwrap().1
    }

    fn set_clocks(&mut self) {
        let node = self.rng.usize(..self.nodes.len());
        let skew = self.faults.skew(&mut self.rng);
        self.note(format_args!("the clock of node {node} is set to {skew}"));
        self.nodes[node].clock.set_skew(skew);
        if self.faults.log_jumps {
            self.log_skew_us = self.rng.i64(-2_000_000..=2_000_000);
        }
    }

    /// Lets the true time jump, as if all machines had slept.
    async fn jump(&mut self) {
        let ticks = if self.rng.u8(..30) == 0 {
            DAY_TICKS
        } else {
            self.rng.i64(1..3)
        };
        self.note(format_args!("{ticks} ticks pass"));
        self.time.jump(ticks * TICK_US);
        // After this time, each reactor has looked at the clock again.
        sleep(Duration::from_secs(61)).await;
    }

    /// A node loses its power, and the clients of the node their connections.
    pub(crate) fn lose(&mut self, number: usize) {
        self.counts.crashes += 1;
        let operations = self.nodes[number].disk.operations();
        self.note(format_args!(
            "node {number} crashes after {operations} operations"
        ));
        self.nodes[number].crash(&mut self.rng);
        self.disconnect(number);
    }

    async fn stop_one(&mut self) {
        let number = self.rng.usize(..self.nodes.len());
        if self.nodes[number].disk.has_power() && self.nodes[number].up.is_some() {
            self.note(format_args!("node {number} stops"));
            self.disconnect(number);
            self.nodes[number].stop().await;
        }
    }

    /// Starts the first node that is down.
    pub(crate) fn restart(&mut self) {
        let down = self.nodes.iter().position(|node| node.up.is_none());
        let Some(number) = down else {
            return;
        };
        let lagging_by = self.rng.u64(..3);
        if let Err(why) = self.nodes[number].start(&self.log, lagging_by) {
            assert!(
                self.nodes[number].disk.is_off(),
                "node {number} does not start: {why}"
            );
            self.lose(number);
        }
        let position = self.nodes[number].position();
        self.note(format_args!("node {number} starts at {position:?}"));
    }
}

/// Waits until no task can go on before time passes. What a timer has woken may take several turns on
/// the thread for blocking work, which does one after another.
pub(crate) async fn settle() {
    for _ in 0..6 {
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    tokio::task::yield_now().await;
}

/// What a step does.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Answer,
    Late,
    Operation,
    Repeat,
    Wait,
    Jump,
    Crash,
    CutSoon,
    Stop,
    Restart,
    Skew,
    Check,
}
