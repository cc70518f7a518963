//! `agents suspend`, `agents reinstate` and `agents revoke`.

use clap::Args;
use reqwest::Method;

use crate::cli::Outcome;
use crate::cli::change::{Change, Fields};

pub(super) const SUSPEND_EXAMPLES: &str = "\
Examples:
  session-ledger agents suspend triage-1
  session-ledger agents suspend triage-1 --reason 'odd mails'

Until it is reinstated the agent opens no session and takes none over, and
tokens of its sessions are good for nothing. The sessions stay. An agent that is
suspended already is shown as it is.

Exit code 1 if the ledger refuses.";

pub(super) const REINSTATE_EXAMPLES: &str = "\
Examples:
  session-ledger agents reinstate triage-1
  session-ledger agents reinstate triage-1 --reason 'a test'

Exit code 1 if the ledger refuses: the agent is not suspended.";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  session-ledger agents revoke triage-1 --reason 'its key leaked'

There is no way back: tokens of its sessions are good for nothing from then on,
and the ledger terminates its open sessions. An agent that was revoked before is
shown as it is, with the first time.

Exit code 1 if the ledger refuses.";

/// Which agent, and why.
#[derive(Debug, Args)]
pub(super) struct StatusChange {
    /// The agent's id
    #[arg(value_name = "AGENT", help_heading = None::<&str>)]
    id: String,

    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl StatusChange {
    pub(super) async fn run(self, step: &str) -> Outcome {
        let fields = Fields::default().with("reason", self.reason);
        let path = ["v1", "agents", &self.id, step];
        self.change.send(Method::POST, &path, fields).await
    }
}
