//! `sessions handoff`: ends a session and opens its child for another agent.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields, object};

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions handoff s-1 --to-agent billing-1
  session-ledger sessions handoff s-1 --to-agent billing-1 \\
    --child s-2 --scope mail:read --ttl 600 --reason 'an invoice, after all'

The child has no scope that its parent lacks, and expires no later. The command
shows the child and its tokens; the tokens are shown only once.

Exit code 1 if the ledger rejects the command.";

/// End a session and open its child for another agent, in one step.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The hand-off")]
pub(super) struct Handoff {
    /// The session's id
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: String,

    /// Agent that takes over
    #[arg(long, value_name = "ID")]
    to_agent: String,

    /// Id of the child session, which that agent continues in; generated if omitted
    #[arg(long, value_name = "ID")]
    child: Option<String>,

    /// Scope of the child; repeat it for several. By default the child gets the scopes of its
    /// parent
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// Data of the caller for the child, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// Seconds until the child expires
    #[arg(long, value_name = "SECONDS", conflicts_with = "expires_at")]
    ttl: Option<u64>,

    /// Time at which the child expires (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// Reason: any text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl Handoff {
    pub(super) async fn run(self) -> CommandResult {
        let fields = Fields::default()
            .with("to_agent_id", Some(self.to_agent))
            .with("session_id", self.child)
            .with_list("scopes", self.scope)
            .with("metadata", self.metadata)
            .with("ttl_seconds", self.ttl)
            .with("expires_at", self.expires_at)
            .with("reason", self.reason);
        let path = ["v1", "agent-sessions", &self.id, "handoff"];
        self.change.send(Method::POST, &path, fields).await
    }
}
