//! `sessions terminate`: ends a session.

use clap::Args;
use reqwest::Method;

use crate::cli::Outcome;
use crate::cli::change::{Change, Fields};

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions terminate s-1
  session-ledger sessions terminate s-1 \\
    --outcome completed --reason 'the ticket is closed'

A session that was terminated before is shown as it is, with the first time.
With the outcome deleted, one that has ended in any way is deleted, and stays as
it ended.

Exit code 1 if the ledger refuses: the session is unknown or ended otherwise.";

/// End a session; its tokens are good for nothing from then on.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The ending")]
pub(super) struct Terminate {
    /// The session's id
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: String,

    /// How it went: completed, error, deleted or revoked
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,

    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl Terminate {
    pub(super) async fn run(self) -> Outcome {
        let fields = Fields::default()
            .with("outcome", self.outcome)
            .with("reason", self.reason);
        let path = ["v1", "agent-sessions", &self.id];
        self.change.send(Method::DELETE, &path, fields).await
    }
}
