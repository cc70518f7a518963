//! `agents`: who the sessions belong to.

mod list;
mod show;

use clap::{Args, Subcommand};

use crate::cli::Outcome;

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents list --tenant demo
  session-ledger agents show triage-1 --tenant demo";

/// List and show agents.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, arg_required_else_help = true)]
pub(super) struct Agents {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
}

impl Agents {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
        }
    }
}
