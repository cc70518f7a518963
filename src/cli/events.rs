//! `events`: prints a tenant's history as NDJSON, oldest first.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Deserialize;
use serde_json::value::RawValue;
use strum::VariantNames;

use crate::cli::CommandResult;
use crate::cli::client::{Api, ApiError, Query, read};
use crate::cli::output;
use crate::cli::target::Target;
use crate::domain::EventType;
use crate::domain::limits::EVENTS_PAGE_MAX;
use crate::http::dto::AsOf;

/// How long to wait before asking for new events again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);
/// How long to wait before a retry if the server does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  session-ledger events > history.ndjson
  session-ledger events --type session.terminated --limit 10
  session-ledger events --after 4711 --follow |
    jq -c '[.position, .verdict, .type]'

Every line is one event with its position and verdict; `.event` is the unchanged
CloudEvent. To continue later, give the last position that you have seen as
--after.";

/// Print events, oldest first: one JSON object per line.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "Which events")]
pub(super) struct Events {
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,

    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = types())]
    event_type: Option<String>,

    /// Only events about this agent or its sessions
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Only events about this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Stop after this number of events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Wait for new events and print them, until Ctrl-C
    #[arg(long)]
    follow: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next_after: Option<u64>,
    as_of: AsOf,
}

struct Replay {
    filter: Vec<(&'static str, Option<String>)>,
    after: u64,
    left: u64,
    follow: bool,
}

impl Events {
    pub(super) async fn run(self) -> CommandResult {
        let replay = Replay {
            filter: vec![
                ("type", self.event_type),
                ("agent_id", self.agent),
                ("session_id", self.session),
            ],
            after: self.after,
            left: self.limit.unwrap_or(u64::MAX),
            follow: self.follow,
        };
        self.target
            .with_api(async |api| replay.print(api).await)
            .await
    }
}

impl Replay {
    async fn print(mut self, api: &Api) -> CommandResult {
        let mut page = self.next_page(api).await?;
        loop {
            for event in &page.events {
                output::json(&on_one_line(event.get()))?;
                self.left -= 1;
            }
            match page.next_after {
                _ if self.left == 0 => return Ok(ExitCode::SUCCESS),
                Some(after) => self.after = after,
                None if self.follow => {
                    self.after = self.after.max(page.as_of.position);
                    tokio::time::sleep(FOLLOW_PAUSE).await;
                }
                None => return Ok(ExitCode::SUCCESS),
            }
            page = self.next_page(api).await?;
        }
    }

    /// Returns the next page. With `follow`, waits until a server that does not answer is back.
    async fn next_page(&self, api: &Api) -> anyhow::Result<Page> {
        if !self.follow {
            let page = self.page(api, Api::get).await;
            let page = page.map_err(|error| {
                let after = self.after;
                error.with_advice(|| format!("to continue where it stopped: --after {after}"))
            });
            return read(&page?);
        }
        let mut announced = false;
        loop {
            match self.page(api, Api::get_once).await {
                Ok(page) => return read(&page),
                Err(error) if error.is_passing() => {
                    if !announced {
                        output::note(format_args!("{error}; trying again"));
                        announced = true;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn page(
        &self,
        api: &Api,
        get: impl AsyncFn(&Api, &[&str], &Query<'_>) -> Result<String, ApiError>,
    ) -> Result<String, ApiError> {
        let after = self.after.to_string();
        let limit = self.left.min(u64::from(EVENTS_PAGE_MAX)).to_string();
        let mut query: Query<'_> = vec![("after", &after), ("limit", &limit)];
        for (name, value) in &self.filter {
            query.extend(value.as_deref().map(|value| (*name, value)));
        }
        get(api, &["v1", "events"], &query).await
    }
}

/// Replaces line ends with spaces. JSON has them only outside of strings, where they have no
/// meaning.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn types() -> PossibleValuesParser {
    PossibleValuesParser::new(<EventType as VariantNames>::VARIANTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{SILENT, Server};

    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 82\r\n\r\n\
        {\"events\":[],\"next_after\":41,\"as_of\":{\"position\":50,\"time\":null,\"caught_up\":true}}";

    #[tokio::test]
    async fn the_error_of_an_interrupted_replay_says_where_to_continue() {
        let mut answers = vec![PAGE];
        answers.extend([SILENT; 20]);
        let server = Server::start(&answers).await;
        let replay = Replay {
            filter: Vec::new(),
            after: 0,
            left: u64::MAX,
            follow: false,
        };
        let message = replay.print(&server.api()).await.unwrap_err().to_string();
        assert!(
            message.ends_with("to continue where it stopped: --after 41"),
            "{message}"
        );
    }
}
