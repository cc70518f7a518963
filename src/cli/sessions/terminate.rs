//! `sessions terminate`: ends a session.

use clap::Args;
use reqwest::Method;

use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields};

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions terminate s-1
  session-ledger sessions terminate s-1 \\
    --outcome completed --reason 'the ticket is closed'

If the session is terminated already, the command changes nothing and shows it,
with the time of its first termination. With the outcome `deleted`, a session
that has ended in any way is deleted, and keeps its status.

Exit code 1 if the ledger rejects the command: the session is unknown, or has
ended in another way.";

/// End a session. Its tokens become invalid.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The ending")]
pub(super) struct Terminate {
    /// The session's id
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: String,

    /// Outcome: completed, error, deleted or revoked
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,

    /// Reason: any text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl Terminate {
    pub(super) async fn run(self) -> CommandResult {
        let fields = Fields::default()
            .with("outcome", self.outcome)
            .with("reason", self.reason);
        let path = ["v1", "agent-sessions", &self.id];
        self.change.send(Method::DELETE, &path, fields).await
    }
}
