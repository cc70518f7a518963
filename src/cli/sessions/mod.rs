//! `sessions`: commands about single sessions.

mod create;
mod handoff;
mod introspect;
mod refresh;
mod terminate;
mod token;

use clap::{Args, Subcommand};

use crate::cli::Outcome;

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions create --agent triage-1 --ttl 3600
  session-ledger sessions terminate s-1 --outcome completed
  session-ledger sessions COMMAND --help

Each command is one event on the ledger and is answered with its verdict. To
read sessions see `session-ledger list` and `session-ledger show`.

Exit code 1 if the ledger refuses. A command that is on the log without a
verdict yet ends with 0, and says so on stderr.";

/// Create, refresh, hand off and terminate sessions; ask about tokens.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, arg_required_else_help = true)]
pub(super) struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Create>),
    Refresh(Box<refresh::Refresh>),
    Handoff(Box<handoff::Handoff>),
    Terminate(Box<terminate::Terminate>),
    Introspect(introspect::Introspect),
}

impl Sessions {
    pub(super) async fn run(self) -> Outcome {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::Refresh(refresh) => refresh.run().await,
            Command::Handoff(handoff) => handoff.run().await,
            Command::Terminate(terminate) => terminate.run().await,
            Command::Introspect(introspect) => introspect.run().await,
        }
    }
}
