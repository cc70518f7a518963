//! `agents suspend`, `agents reinstate` and `agents revoke`.

use clap::Args;
use reqwest::Method;

use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields};

pub(super) const SUSPEND_EXAMPLES: &str = "\
Examples:
  session-ledger agents suspend triage-1
  session-ledger agents suspend triage-1 --reason 'odd mails'

Until it is reinstated, the agent cannot open a session or take one over, and
the tokens of its sessions are invalid. Its sessions stay open. If the agent is
suspended already, the command changes nothing and shows it.

Exit code 1 if the ledger rejects the command.";

pub(super) const REINSTATE_EXAMPLES: &str = "\
Examples:
  session-ledger agents reinstate triage-1
  session-ledger agents reinstate triage-1 --reason 'a test'

Exit code 1 if the ledger rejects the command: the agent is not suspended.";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  session-ledger agents revoke triage-1 --reason 'its key leaked'

A revocation is final: the tokens of its sessions become invalid, and the ledger
terminates its open sessions. The command waits for that, and prints the number
of these sessions (ended_sessions). If the agent is revoked already, the command
changes nothing, and shows the time and the number of the first revocation.

Exit code 1 if the ledger rejects the command.";

/// The agent, and the reason.
#[derive(Debug, Args)]
pub(super) struct StatusChange {
    /// The agent's id
    #[arg(value_name = "AGENT", help_heading = None::<&str>)]
    id: String,

    /// Reason: any text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl StatusChange {
    pub(super) async fn run(self, step: &str) -> CommandResult {
        let fields = Fields::default().with("reason", self.reason);
        let path = ["v1", "agents", &self.id, step];
        self.change.send(Method::POST, &path, fields).await
    }
}
