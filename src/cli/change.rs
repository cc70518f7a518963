//! What all commands that change a session or an agent share: options, the body of the request, and
//! the printing of the answer.

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use crate::cli::client::{Api, ApiError, read};
use crate::cli::target::Target;
use crate::cli::{CommandResult, agents, output, show, table};
use crate::ledger::IdempotencyKey;

/// The members of an answer that come first, after the session or agent.
const FIRST: [&str; 3] = ["token", "refresh_token", "ended_sessions"];

/// How to send a request and print its answer. It must be the last of a command's arguments.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Text that is new for each command and repeated with its retries, so that a command takes
    /// effect once. Generated if omitted, and printed if the command is not confirmed
    #[arg(long, value_name = "KEY", value_parser = idempotency_key, help_heading = "The request")]
    idempotency_key: Option<String>,

    /// More fields of the request, a JSON object; the options above take precedence
    #[arg(long, value_name = "JSON", value_parser = object, help_heading = "The request")]
    data: Option<Map<String, Value>>,

    /// The API's JSON instead of fields; a problem document if the ledger rejects the command
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// The fields of a request, without options that were not given.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        self.0
            .extend(value.map(|value| (name.to_owned(), value.into())));
        self
    }

    /// Adds a list, unless it is empty: then the option was not given.
    pub(super) fn with_list(self, name: &str, list: Vec<String>) -> Self {
        self.with(name, Some(list).filter(|list| !list.is_empty()))
    }
}

impl Change {
    /// Sends a request and prints the answer.
    pub(super) async fn send(self, method: Method, path: &[&str], fields: Fields) -> CommandResult {
        let Self {
            idempotency_key: key,
            data,
            json,
            target,
        } = self;
        let mut body = data.unwrap_or_default();
        body.extend(fields.0);
        // Generated before the first attempt, so that every retry has this key.
        let key = key.unwrap_or_else(|| Uuid::now_v7().to_string());
        target
            .with_api(async |api: &Api| {
                let answer = api.change(method, path, Some(&key), &body).await;
                print(answer, &key, json)
            })
            .await
    }
}

fn print(answer: Result<String, ApiError>, key: &str, json: bool) -> CommandResult {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if let ApiError::Problem(problem) = &error
                && json
            {
                output::json(&serde_json::to_string(problem)?)?;
            }
            return Err(error.with_advice(|| {
                format!(
                    "the command is not confirmed: it may or may not have taken effect. Repeat it with \
                     --idempotency-key {key}: then it takes effect once"
                )
            }));
        }
    };
    let mut fields: Map<String, Value> = read(&answer)?;
    // Other answers have the session or the agent instead.
    let is_pending = fields.contains_key("id");
    if json {
        output::json(&answer)?;
    } else {
        for (name, first) in [("session", show::FIRST), ("agent", agents::FIRST)] {
            if let Some(Value::Object(row)) = fields.remove(name) {
                output::data(&table::fields(&row, &first))?;
                output::line("")?;
            }
        }
        output::data(&table::fields(&fields, &FIRST))?;
    }
    if fields
        .get("verdict")
        .is_some_and(|verdict| verdict == "pending")
    {
        let at = &fields["position"];
        output::note(format_args!(
            "the command is on the log at position {at} and has no verdict yet; to see it later: \
             session-ledger events --after {before} --limit 1",
            before = at.as_u64().unwrap_or_default().saturating_sub(1),
        ));
    } else if is_pending {
        output::note(format_args!(
            "the agent is revoked, and the ledger has not ended all of its sessions yet; repeat \
             the command with --idempotency-key {key} to wait for them",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn idempotency_key(text: &str) -> Result<String, String> {
    IdempotencyKey::parse(text)
        .map(|_key| text.to_owned())
        .map_err(|error| error.to_string())
}

/// Reads an option whose value is a JSON object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

/// Reads an option whose value is a number. Keeps its spelling.
pub(super) fn number(text: &str) -> Result<Number, String> {
    text.parse().map_err(|_error| "not a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{SILENT, Server};

    #[tokio::test]
    async fn the_error_of_an_unconfirmed_command_has_its_key() {
        let server = Server::start(&[SILENT; 20]).await;
        let body = Map::new();
        let answer = server
            .api()
            .change(Method::POST, &["v1"], Some("k-1"), &body)
            .await;
        let message = print(answer, "k-1", false).unwrap_err().to_string();
        assert!(message.contains("--idempotency-key k-1"), "{message}");
    }
}
