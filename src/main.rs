//! The `session-ledger` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_ledger::cli::run()
}
