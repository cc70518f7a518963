//! `agents update`: changes some fields of an agent.

use clap::Args;
use reqwest::Method;

use super::register::Profile;
use crate::cli::CommandResult;
use crate::cli::change::Change;

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents update triage-1 --trust-level verified_org
  session-ledger agents update triage-1 \\
    --scope mail:read --metadata '{\"team\":\"support\"}'

Fields without an option stay unchanged; scopes and metadata are replaced as a
whole. Narrower scopes apply to sessions that open from now on.

Exit code 1 if the ledger rejects the command.";

/// Change some fields of an agent.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The agent")]
pub(super) struct Update {
    /// The agent's id
    #[arg(value_name = "AGENT", help_heading = None::<&str>)]
    id: String,

    #[command(flatten)]
    profile: Profile,

    #[command(flatten)]
    change: Change,
}

impl Update {
    pub(super) async fn run(self) -> CommandResult {
        let path = ["v1", "agents", &self.id];
        let fields = self.profile.into_fields();
        self.change.send(Method::PATCH, &path, fields).await
    }
}
