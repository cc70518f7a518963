//! `sessions refresh`: extends a session and replaces its tokens.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use super::token::Token;
use crate::cli::CommandResult;
use crate::cli::change::{Change, Fields, object};

const AFTER_HELP: &str = "\
Examples:
  SESSION_LEDGER_REFRESH_TOKEN=$(cat refresh-token) \\
    session-ledger sessions refresh s-1
  session-ledger sessions refresh s-1 --refresh-token - \\
    < refresh-token
  session-ledger sessions refresh s-1 --refresh-token - \\
    --ttl 600 --phase running < refresh-token

The token itself is refused as an argument: other users of this machine can see
the arguments of a process.

Exit code 1 if the ledger rejects the command. The reason `token_stale` means
that the token was replaced.";

/// Extend a session, and replace both of its tokens.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "The session")]
pub(super) struct Refresh {
    /// The session's id
    #[arg(value_name = "SESSION", help_heading = None::<&str>)]
    id: String,

    /// Latest refresh token of the session: `-` reads it from stdin. The token itself is refused here:
    /// other users of this machine could see it
    #[arg(id = "refresh_token", long = "refresh-token", value_name = "TOKEN")]
    #[arg(env = "SESSION_LEDGER_REFRESH_TOKEN", hide_env_values = true)]
    token: Token,

    /// Seconds from now until the session expires; by default as many as when it opened
    #[arg(long, value_name = "SECONDS", conflicts_with = "expires_at")]
    ttl: Option<u64>,

    /// Time at which the session expires (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// Phase of the session: initializing, ready, running or paused
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,

    /// Changes to the data of the caller, a JSON object: null removes a member
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    #[command(flatten)]
    change: Change,
}

impl Refresh {
    pub(super) async fn run(self) -> CommandResult {
        let fields = Fields::default()
            .with("refresh_token", Some(self.token.read()?))
            .with("ttl_seconds", self.ttl)
            .with("expires_at", self.expires_at)
            .with("phase", self.phase)
            .with("metadata", self.metadata);
        let path = ["v1", "agent-sessions", &self.id, "refresh"];
        self.change.send(Method::POST, &path, fields).await
    }
}
