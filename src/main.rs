//! The `session-ledger` command.

use std::process::ExitCode;

/// The fold and every page make thousands of allocations. `docs/performance.md` has the measured
/// gain.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    session_ledger::cli::run()
}
