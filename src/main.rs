//! The `session-ledger` command.

use std::process::ExitCode;

/// The fold and every page allocate by the thousand; `docs/performance.md` has what this is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    session_ledger::cli::run()
}
