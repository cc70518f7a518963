//! `sessions create`: opens a session and shows its tokens.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields, object};

const AFTER_HELP: &str = "\
Examples:
  session-ledger sessions create --agent triage-1
  session-ledger sessions create s-1 --agent triage-1 \\
    --ttl 3600 --scope mail:read --metadata '{\"ticket\":7}'
  session-ledger sessions create --agent triage-1 \\
    --idempotency-key job-4711 --json | jq -r .token

The tokens are shown only once. To get them again after a lost answer, repeat
the command with the same --idempotency-key.

Exit code 1 if the ledger rejects the command.";

/// Open a session for a registered agent.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The session")]
pub(super) struct Create {
    /// Id of the session; generated if omitted
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: Option<String>,

    /// Agent of the session
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Seconds until the session expires
    #[arg(long, value_name = "SECONDS", conflicts_with = "expires_at")]
    ttl: Option<u64>,

    /// Time at which the session expires (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// Scope of the session; repeat it for several. By default the session gets the scopes of its
    /// agent
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// Data of the caller, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// Parent of the session
    #[arg(long, value_name = "ID")]
    parent: Option<String>,

    /// Project of the session
    #[arg(long, value_name = "ID")]
    project: Option<String>,

    /// Phase of the session: initializing, ready, running or paused
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,

    #[command(flatten)]
    change: Change,
}

impl Create {
    pub(super) async fn run(self) -> CommandResult {
        let fields = Fields::default()
            .with("session_id", self.id)
            .with("agent_id", self.agent)
            .with("ttl_seconds", self.ttl)
            .with("expires_at", self.expires_at)
            .with_list("scopes", self.scope)
            .with("metadata", self.metadata)
            .with("parent_session_id", self.parent)
            .with("project_id", self.project)
            .with("phase", self.phase);
        let path = ["v1", "agent-sessions"];
        self.change.send(Method::POST, &path, fields).await
    }
}
