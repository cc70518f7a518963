//! `sessions introspect`: shows whether an access token is active, and what it allows.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::token::Token;
use crate::cli::client::{Api, read};
use crate::cli::target::Target;
use crate::cli::{CommandResult, output, table};

const AFTER_HELP: &str = "\
Examples:
  SESSION_LEDGER_TOKEN=$(cat token) \\
    session-ledger sessions introspect
  session-ledger sessions introspect - < token
  session-ledger sessions introspect - < token > /dev/null &&
    echo active

The token itself is refused as an argument: other users of this machine can see
the arguments of a process.

Exit code 1 if the token is not active: it is unknown, replaced or of another
tenant, its session has ended, or its agent is not active.";

/// Show whether an access token is active, and what it allows.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Introspect {
    /// `-` reads the access token from stdin. The token itself is refused here: other users of this
    /// machine could see it
    #[arg(
        id = "access_token",
        env = "SESSION_LEDGER_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    token: Token,

    /// The API's JSON instead of fields
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Introspect {
    pub(super) async fn run(self) -> CommandResult {
        let json = self.json;
        let Value::Object(body) = json!({"token": self.token.read()?}) else {
            unreachable!("written as an object");
        };
        self.target
            .with_api(async |api: &Api| {
                let path = ["v1", "agent-sessions", "introspect"];
                let answer = api.ask(&path, &body).await?;
                print(&answer, json)
            })
            .await
    }
}

fn print(answer: &str, json: bool) -> CommandResult {
    let fields: Map<String, Value> = read(answer)?;
    let active = fields.get("active").is_some_and(|active| active == true);
    if json {
        output::json(answer)?;
    } else if active {
        output::data(&table::fields(&fields, &["active"]))?;
    } else {
        output::line("active  false")?;
    }
    Ok(if active {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
