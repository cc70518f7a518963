//! `agents`: commands about agents, which sessions belong to.

mod list;
mod register;
mod show;
mod status;
mod update;

use clap::{Args, Subcommand};

use crate::cli::CommandResult;

pub(super) use show::FIRST;

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents list --status active
  session-ledger agents show triage-1
  session-ledger agents register triage-1 --type worker
  session-ledger agents suspend triage-1 --reason 'odd mails'
  session-ledger agents COMMAND --help

Each change is one event on the ledger. The command prints its verdict.

Exit code 1 if the ledger rejects the change. If the change is on the log and
has no verdict yet, the exit code is 0 and stderr says so.";

/// List and show agents; register, update, suspend, reinstate and revoke them.
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
    Register(Box<register::Register>),
    Update(Box<update::Update>),
    /// Keep an agent from acting until it is reinstated
    #[command(after_help = status::SUSPEND_EXAMPLES)]
    Suspend(status::StatusChange),
    /// Let a suspended agent act again
    #[command(after_help = status::REINSTATE_EXAMPLES)]
    Reinstate(status::StatusChange),
    /// End an agent permanently
    #[command(after_help = status::REVOKE_EXAMPLES)]
    Revoke(status::StatusChange),
}

impl Agents {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Register(register) => register.run().await,
            Command::Update(update) => update.run().await,
            Command::Suspend(change) => change.run("suspend").await,
            Command::Reinstate(change) => change.run("reinstate").await,
            Command::Revoke(change) => change.run("revoke").await,
        }
    }
}
