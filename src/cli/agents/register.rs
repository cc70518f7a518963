//! `agents register`, and the fields of an agent.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Number, Value};

use crate::cli::Outcome;
use crate::cli::change::{Change, Fields, number, object};

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents register triage-1 --type worker \\
    --display-name 'Triage of mail' --scope 'mail:*' --scope '!mail:send'
  session-ledger agents register --idempotency-key setup-1 \\
    --type bot --trust-level authenticated --trust-score 0.5

An agent that only sessions spoke of so far is filled in.

Exit code 1 if the ledger refuses.";

/// Make an agent known.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The agent")]
pub(super) struct Register {
    /// Id of the agent; made up if not given
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
    /// What kind of agent it is: any text
    #[arg(long = "type", value_name = "TYPE")]
    agent_type: Option<String>,

    /// Its name
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,

    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Something that its sessions may do; repeat it for several. Without any there is no bound
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// The caller's own data, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// How far it is trusted: any text
    #[arg(long, value_name = "LEVEL")]
    trust_level: Option<String>,

    /// How far it is trusted, from 0 to 1
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    trust_score: Option<Number>,

    /// Its public key
    #[arg(long, value_name = "TEXT")]
    public_key: Option<String>,

    /// The id of that key
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,

    /// The agent that it came from
    #[arg(long, value_name = "ID")]
    parent: Option<String>,

    /// Who registers it
    #[arg(long, value_name = "ID")]
    created_by: Option<String>,

    /// Time at which it ends by itself (RFC 3339)
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
    pub(super) async fn run(self) -> Outcome {
        let fields = self.profile.into_fields().with("agent_id", self.id);
        let path = ["v1", "agents"];
        self.change.send(Method::POST, &path, fields).await
    }
}
