//! Several ledgers on one log, simulated from a seed: failed and late appends, crashes, wrong clocks.
//!
//! The nodes run the code of the server: the fold with its feed, both reactors, and the write side. Three
//! things are simulated: the log, the disk of each read model, and time. One thread runs all tasks, and
//! another one all blocking work. The scheduler takes a step only when both have nothing to do, so a seed
//! always gives the same run.

mod check;
pub(crate) mod disk;
mod faults;
mod log;
mod node;
mod operation;
mod oracle;
#[cfg(test)]
mod tests;
mod world;

use tokio::runtime::Builder;

pub(crate) use world::Counts;
use world::World;

/// What a run came to. Equal seeds give equal reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The hash of every step, with the digests of the read models.
    pub(crate) trace: String,
    pub(crate) counts: Counts,
}

/// Runs the simulation of a seed. Panics if a promise is broken.
pub(crate) fn run(seed: u64, print: bool) -> Report {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1);
    // What other threads wake waits its turn, so that the order does not depend on their speed.
    let runtime = runtime.global_queue_interval(u32::MAX).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, print);
        let faults = world.faults;
        world.note(format_args!("seed {seed}, {faults:?}"));
        for _ in 0..world.nodes.len() {
            world.restart();
        }
        if world.rng.u8(..5) != 0 {
            world.begin();
        }
        while world.counts.steps < world.faults.steps {
            world.step().await;
        }
        world.finish().await;
        let counts = Counts {
            records: world.log.head(),
            ..world.counts
        };
        let trace = world.trace();
        Report { trace, counts }
    })
}
