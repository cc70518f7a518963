//! `agents show`: one agent.

use std::process::ExitCode;

use clap::Args;

use crate::app::clock::SystemClock;
use crate::cli::client::read;
use crate::cli::moment::AsOfArgs;
use crate::cli::target::Target;
use crate::cli::{CommandResult, output, table};
use crate::domain::Clock as _;

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents show triage-1
  session-ledger agents show triage-1 --json | jq .scopes
  session-ledger agents show triage-1 --as-of '2 days'

Exit code 1 if the tenant has no such agent.";

/// The fields that are shown first, in this order.
pub(in crate::cli) const FIRST: [&str; 8] = [
    "agent_id",
    "agent_type",
    "display_name",
    "status",
    "trust_level",
    "session_count",
    "active_session_count",
    "created_at",
];

/// Show one agent.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Show {
    /// The agent's id
    #[arg(value_name = "AGENT")]
    id: String,

    #[command(flatten)]
    as_of: AsOfArgs,

    /// The API's JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Show {
    pub(super) async fn run(self) -> CommandResult {
        let (id, json) = (self.id, self.json);
        let (name, state) = self.as_of.parameter(SystemClock.now())?;
        self.target
            .with_api(async |api| {
                let agent = api
                    .get(
                        &["v1", "agents", &id],
                        &state.iter().map(|state| (name, state.as_str())).collect(),
                    )
                    .await?;
                if json {
                    output::json(&agent)?;
                } else {
                    output::data(&table::fields(&read(&agent)?, &FIRST))?;
                }
                Ok(ExitCode::SUCCESS)
            })
            .await
    }
}
