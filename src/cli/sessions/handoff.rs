//! `sessions handoff`: ends a session and opens its child for another agent.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::cli::Outcome;
use crate::cli::change::{Change, Fields, object};

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions handoff s-1 --to-agent billing-1
  session-ledger sessions handoff s-1 --to-agent billing-1 \\
    --child s-2 --scope mail:read --ttl 600 --reason 'an invoice, after all'

The child may do no more and live no longer than its parent. The answer shows
the child and its tokens; the tokens are shown this once.

Exit code 1 if the ledger refuses.";

/// End a session and open its child for another agent, in one step.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The hand-off")]
pub(super) struct Handoff {
    /// The session's id
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: String,

    /// The agent that takes over
    #[arg(long, value_name = "ID")]
    to_agent: String,

    /// Id of the session in which that agent goes on; made up if not given
    #[arg(long, value_name = "ID")]
    child: Option<String>,

    /// Something that the child may do; repeat it for several. Without any it may do what its
    /// parent may
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// The child's own data, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// Seconds until the child ends by itself
    #[arg(long, value_name = "SECONDS", conflicts_with = "expires_at")]
    ttl: Option<u64>,

    /// Time at which the child ends by itself (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl Handoff {
    pub(super) async fn run(self) -> Outcome {
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
