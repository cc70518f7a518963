//! `sessions`: commands that change a session, and one that checks a token.

mod create;
mod handoff;
mod introspect;
mod refresh;
mod terminate;
mod token;

use clap::{Args, Subcommand};

use crate::cli::CommandResult;

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions create --agent triage-1 --ttl 3600
  session-ledger sessions terminate s-1 --outcome completed
  session-ledger sessions COMMAND --help

Each change is one event on the ledger. The command prints its verdict. To read
sessions, see `session-ledger list` and `session-ledger show`.

Exit code 1 if the ledger rejects the change. If the change is on the log and
has no verdict yet, the exit code is 0 and stderr says so.";

/// Create, refresh, hand off and terminate sessions; introspect tokens.
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
    Introspect(Box<introspect::Introspect>),
}

impl Sessions {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            Command::Create(create) => create.run().await,
            Command::Refresh(refresh) => refresh.run().await,
            Command::Handoff(handoff) => handoff.run().await,
            Command::Terminate(terminate) => terminate.run().await,
            Command::Introspect(introspect) => introspect.run().await,
        }
    }
}
