//! `agents register`, and the fields of an agent.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Number, Value};

use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields, number, object};

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents register triage-1 --type worker \\
    --display-name 'Triage of mail' --scope 'mail:*' --scope '!mail:send'
  session-ledger agents register --idempotency-key setup-1 \\
    --type bot --trust-level authenticated --trust-score 0.5

An agent that is known only from sessions so far gets the given fields.

Exit code 1 if the ledger rejects the command.";

/// Register an agent.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The agent")]
pub(super) struct Register {
    /// Id of the agent; generated if omitted
    #[arg(value_name = "AGENT", help_heading = None::<&str>)]
    id: Option<String>,

    #[command(flatten)]
    profile: Profile,

    #[command(flatten)]
    change: Change,
}

/// Descriptive fields of an agent.
#[derive(Debug, Args)]
#[command(next_help_heading = "The agent")]
pub(super) struct Profile {
    /// Kind of agent: any text
    #[arg(long = "type", value_name = "TYPE")]
    agent_type: Option<String>,

    /// Name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,

    /// Purpose of the agent
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Scope that its sessions may have; repeat it for several. Without any, every scope is allowed
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// Data of the caller, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// Trust level: any text
    #[arg(long, value_name = "LEVEL")]
    trust_level: Option<String>,

    /// Trust score, from 0 to 1
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    trust_score: Option<Number>,

    /// Public key of the agent
    #[arg(long, value_name = "TEXT")]
    public_key: Option<String>,

    /// Id of the public key
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,

    /// Id of the parent agent
    #[arg(long, value_name = "ID")]
    parent: Option<String>,

    /// Id of the user who registers the agent
    #[arg(long, value_name = "ID")]
    created_by: Option<String>,

    /// Time at which the agent expires (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

impl Profile {
    pub(super) fn into_fields(self) -> Fields {
        Fields::default()
            .with("agent_type", self.agent_type)
            .with("display_name", self.display_name)
            .with("description", self.description)
            .with_list("scopes", self.scope)
            .with("metadata", self.metadata)
            .with("trust_level", self.trust_level)
            .with("trust_score", self.trust_score)
            .with("public_key", self.public_key)
            .with("key_id", self.key_id)
            .with("parent_agent_id", self.parent)
            .with("created_by_user_id", self.created_by)
            .with("expires_at", self.expires_at)
    }
}

impl Register {
    pub(super) async fn run(self) -> CommandResult {
        let fields = self.profile.into_fields().with("agent_id", self.id);
        let path = ["v1", "agents"];
        self.change.send(Method::POST, &path, fields).await
    }
}
