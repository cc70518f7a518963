//! Measures the ledger as its users run it, and compares it with the alternatives:
//! `cargo bench --bench ledger -- SUBJECT [--sessions N]...`
//!
//! Prints tables. `benches/README.md` says how to read them.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails should panic")]

/// The allocator of the `session-ledger` program, also for subjects in process and for comparators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bytes_server;
mod child;
mod filled;
mod follower;
mod http;
mod machine;
mod nats;
mod node;
mod paced;
mod page_case;
mod postgres;
mod publish;
mod report;
mod run;
mod stats;
mod subjects;
mod targets;
mod workload;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::workload::Ages;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// How fast a server catches up with a log, from nothing
    Fold,
    /// Pages of sessions over HTTP, by filter
    Page,
    /// Pages of one tenant's sessions by offset, however their times lie
    Depth,
    /// Answers as of a past position, in process
    Then,
    /// Roots, children and trees, in process
    Lineage,
    /// A thousand followers of listings and histories, on both logs
    Live,
    /// How soon an event shows in a listing
    Visible,
    /// Events emitted over HTTP until their verdicts are there
    Append,
    /// More events than the server can take, for a minute
    Overload,
    /// A crash under load until pages are served again
    Restart,
    /// Pages of agents, in process
    Agents,
    /// Everything except `lineage`, `live` and `overload`
    All,
}

/// Measures the ledger.
#[derive(Debug, Parser)]
struct Options {
    #[arg(value_enum, required_unless_present = "serve_bytes")]
    subject: Option<Subject>,
    /// Sessions in the ledger; repeat it to measure one size after the other [default: 100000; of
    /// `all` 1000000]
    #[arg(long)]
    sessions: Vec<u64>,
    /// Agents in the ledger, for `agents`
    #[arg(long, default_value_t = 100_000)]
    agents: u64,
    /// Which session an event concerns
    #[arg(long, value_enum, default_value_t = Ages::Young)]
    ages: Ages,
    /// Events that PostgreSQL applies at most [default: all up to a million sessions, none beyond]
    #[arg(long)]
    postgres_events: Option<u64>,
    /// `fold`: in process, by size of batch
    #[arg(long)]
    batches: bool,
    /// File to write the figures to as well
    #[arg(long)]
    json: Option<PathBuf>,
    /// Answers each path with a file's line of that number; a comparator starts itself with this.
    #[arg(long, hide = true)]
    serve_bytes: Option<PathBuf>,
    /// Cargo passes this one.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    match (&options.serve_bytes, options.subject) {
        (Some(file), _) => bytes_server::serve(file),
        (None, Some(subject)) => run::run(&options, subject),
        (None, None) => unreachable!("clap requires a subject"),
    }
}
