//! Measures the ledger: `cargo bench --bench ledger -- <fold|page|agents> [--sessions N] [--agents N]`.
//!
//! Prints tables. `benches/README.md` says how to read them.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should panic")]

mod agents;
mod fold;
mod page;
mod workload;

use clap::{Parser, ValueEnum};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Events folded a second, by size of batch.
    Fold,
    /// Time for a page of 50 rows with its exact total, by offset.
    Page,
    /// Time for a page of 50 agents with its exact total, by filter and offset.
    Agents,
}

#[derive(Debug, Parser)]
struct Options {
    #[arg(value_enum)]
    subject: Subject,
    /// Sessions in the ledger.
    #[arg(long, default_value_t = 100_000)]
    sessions: u64,
    /// Agents in the ledger, for `agents`.
    #[arg(long, default_value_t = 100_000)]
    agents: u64,
    /// Cargo passes this one.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    match options.subject {
        Subject::Fold => fold::run(options.sessions),
        Subject::Page => page::run(options.sessions),
        Subject::Agents => agents::run(options.agents),
    }
}
