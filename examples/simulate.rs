//! Tries seeds of the simulation of several ledgers on one log, or cuts the power of the built-in log.
//!
//! `cargo run --release --example simulate -- --seeds 10000` tries the seeds from 0 on, on all cores.
//! `--trace` prints each step of a run. `... -- --cuts 1000` makes a thousand cuts of the log of events and
//! the read model, and a thousand of the log of keys; each seed makes five. `--from S` begins at another
//! seed. The program prints how to run each seed again that fails, and then exits with code 1.
#![allow(clippy::unwrap_used, reason = "a failed check should panic")]
#![expect(clippy::print_stdout, reason = "the result is the output")]

#[path = "../tests/it/fold/mod.rs"]
mod fold;
#[path = "../tests/it/power_loss/mod.rs"]
mod power_loss;
#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

use std::ops::AddAssign;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;

use power_loss::{CUTS_PER_LIFE, Cuts};
use simulation::Counts;

/// Simulates several ledgers on one log, from seeds.
#[derive(Debug, Parser)]
struct Arguments {
    /// The number of seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints each step.
    #[arg(long)]
    trace: bool,
    /// Runs each seed twice, and compares both runs.
    #[arg(long)]
    twice: bool,
    /// Makes this many power failures instead.
    #[arg(long)]
    cuts: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(cuts) = arguments.cuts {
        let lives = cuts.div_ceil(CUTS_PER_LIFE);
        let again = format!("--cuts {CUTS_PER_LIFE}");
        let events = try_seeds::<Cuts>(&arguments, lives, &again, power_loss::events);
        let keys = try_seeds::<Cuts>(&arguments, lives, &again, power_loss::keys);
        return if events && keys {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let run = |seed| {
        let report = simulation::run(seed, arguments.trace);
        if arguments.twice {
            let again = simulation::run(seed, false);
            assert_eq!(report, again, "another run of seed {seed}");
        }
        if arguments.seeds == 1 {
            println!("seed {seed}: {}", report.trace);
        }
        report.counts
    };
    if try_seeds::<Counts>(&arguments, arguments.seeds, "--seeds 1 --trace", run) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a number of seeds on all cores and adds up what they came to. Returns whether none failed.
fn try_seeds<T>(
    arguments: &Arguments,
    count: u64,
    again: &str,
    run: impl Fn(u64) -> T + Sync,
) -> bool
where
    T: AddAssign + Default + std::fmt::Debug + Send,
{
    let (began, next) = (Instant::now(), AtomicU64::new(arguments.from));
    let (failed, total) = (Mutex::new(Vec::new()), Mutex::new(T::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if arguments.from + count <= seed {
                return;
            }
            if let Ok(found) = catch_unwind(std::panic::AssertUnwindSafe(|| run(seed))) {
                *total.lock().unwrap() += found;
            } else {
                println!("failed: cargo run --release --example simulate -- --from {seed} {again}");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    let cores = if arguments.trace {
        1
    } else {
        thread::available_parallelism().unwrap().get()
    };
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let (failed, total) = (failed.into_inner().unwrap(), total.into_inner().unwrap());
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s, {} failed {failed:?}: {total:?}",
        failed.len()
    );
    failed.is_empty()
}
