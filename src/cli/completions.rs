//! `completions`: scripts that complete commands and options in a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, CommandResult, output};

const AFTER_HELP: &str = "\
Examples:
  session-ledger completions bash \\
    > ~/.local/share/bash-completion/completions/session-ledger
  session-ledger completions zsh > ~/.zfunc/_session-ledger
  session-ledger completions fish \\
    > ~/.config/fish/completions/session-ledger.fish";

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Completions {
    /// Shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> CommandResult {
        // Into memory first: the generator panics on a closed pipe.
        let mut script = Vec::new();
        let mut command = Cli::command();
        clap_complete::generate(self.shell, &mut command, "session-ledger", &mut script);
        output::raw(&steps_by_one_name(&String::from_utf8_lossy(&script)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Repairs the script for bash. For a command with a hyphen in its name, the generator gives one
/// state two names, and the script never completes subcommands.
fn steps_by_one_name(script: &str) -> String {
    script.replace("session__subcmd__ledger", "session__ledger")
}
