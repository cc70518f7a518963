//! Tortures real ledgers: kills and pauses processes, cuts connections, fills disks and damages read models.
//!
//! `cargo run --release --example torture -- --minutes 60 --log embedded` runs one ledger with the built-in log.
//! `--log nats` runs two ledgers on one NATS server, and `--log cluster` two on a cluster of three. Both need
//! a `nats-server` on the `PATH`, or named by `SESSION_LEDGER_TEST_NATS_SERVER`. `--seed S` decides the faults
//! and their times; how the processes interleave is different in every run. The program prints each fault, and
//! at the end a report. If a promise does not hold, it prints what it expected and saw, and exits with code 1. SIGINT
//! and SIGTERM end it and its processes.
//!
//! The ledgers are the `session-ledger` of the same build (`cargo build --release` makes it), or `--binary FILE`.
#![allow(clippy::unwrap_used, reason = "a failed check should panic")]
#![expect(clippy::print_stdout, reason = "the result is the output")]

#[path = "../tests/it/support"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support {
    pub(crate) mod nats;
    pub(crate) mod nats_cluster;
    pub(crate) mod proxy;
}
#[path = "../tests/it/torture/mod.rs"]
mod torture;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use torture::{Mode, Options};

/// Tortures real ledgers with faults that a seed decides.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long new faults begin, in minutes. The checks at the end come after that.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Decides the faults and their times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the log is.
    #[arg(long, value_enum, default_value_t = Log::Embedded)]
    log: Log,
    /// The program `session-ledger`. By default, the one of this build.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    /// One ledger with the built-in log
    Embedded,
    /// Two ledgers on one NATS server
    Nats,
    /// Two ledgers on a cluster of three NATS servers
    Cluster,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        mode: match arguments.log {
            Log::Embedded => Mode::Embedded,
            Log::Nats => Mode::Nats,
            Log::Cluster => Mode::Cluster,
        },
        seed: arguments.seed,
        duration: Duration::from_secs_f64(arguments.minutes * 60.0),
        ends_at_signals: true,
        binary: arguments.binary.unwrap_or_else(of_this_build),
        print: |line| println!("{line}"),
    };
    println!(
        "seed {}, {:?}, {:?}, {}",
        options.seed,
        options.mode,
        options.duration,
        options.binary.display()
    );
    match torture::run(&options) {
        Ok(report) => {
            println!("{report}");
            println!("no finding");
            ExitCode::SUCCESS
        }
        Err(finding) => {
            println!("{finding}");
            ExitCode::FAILURE
        }
    }
}

/// The program of the same build: this example is in `target/PROFILE/examples`.
fn of_this_build() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(|examples| examples.parent());
    profile.unwrap().join("session-ledger")
}
