//! `events`: prints a tenant's history as NDJSON, oldest or newest first.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Deserialize;
use serde_json::value::RawValue;
use strum::VariantNames;

use crate::app::clock::SystemClock;
use crate::cli::CommandResult;
use crate::cli::client::{Api, ApiError, Query, read};
use crate::cli::follow::{Follower, follow};
use crate::cli::moment::moment;
use crate::cli::output;
use crate::cli::target::Target;
use crate::domain::limits::EVENTS_PAGE_MAX;
use crate::domain::{Clock as _, EventType, VerdictKind};
use crate::http::dto::AsOf;
use crate::projection::RejectionCode;

const AFTER_HELP: &str = "\
Examples:
  session-ledger events > history.ndjson
  session-ledger events --newest --limit 10 --type session.terminated
  session-ledger events --verdict rejected --project checkout
  session-ledger events --agent triage-1 --recorded-after yesterday
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

    /// Only events before this position
    #[arg(long, value_name = "POSITION", conflicts_with = "follow")]
    before: Option<u64>,

    /// Only events that the log recorded at this time or later: RFC 3339, or how long ago (`1h`, `2 days`), or
    /// `today` or `yesterday`, which begin at midnight UTC
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    recorded_after: Option<String>,

    /// Only events that the log recorded before this time, in the forms of --recorded-after
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    recorded_before: Option<String>,

    /// Print the newest first
    #[arg(long, conflicts_with = "follow")]
    newest: bool,

    /// Only events of this type; repeat it for several
    #[arg(long = "type", value_name = "TYPE", value_parser = words::<EventType>())]
    types: Vec<String>,

    /// Only events with this verdict; repeat it for several
    #[arg(long = "verdict", value_name = "VERDICT", value_parser = words::<VerdictKind>())]
    verdicts: Vec<String>,

    /// Only events that were rejected for this reason, or `parked` ones; repeat it for several
    #[arg(long = "reason", value_name = "REASON", value_parser = reasons(), hide_possible_values = true)]
    reasons: Vec<String>,

    /// Only events about this agent or its sessions
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Only events about this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Only events about sessions of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,

    /// Only events with exactly this source
    #[arg(long)]
    source: Option<String>,

    /// Only events with exactly this actor
    #[arg(long)]
    actor: Option<String>,

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
    next_before: Option<u64>,
}

/// How the line of a frame with an event begins. The members of the event follow.
const EVENT_FRAME: &str = r#"{"frame":"event","#;

/// What `--follow` needs of a frame.
#[derive(Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
enum Frame {
    Reset,
    Event { position: u64 },
    Searched { position: u64 },
    Synced { as_of: AsOf },
    Bye,
}

struct Replay {
    filter: Vec<(&'static str, String)>,
    after: u64,
    before: Option<u64>,
    newest: bool,
    left: u64,
}

impl Events {
    pub(super) async fn run(self) -> CommandResult {
        let now = SystemClock.now();
        let recorded_after = moment("--recorded-after", self.recorded_after, now)?;
        let recorded_before = moment("--recorded-before", self.recorded_before, now)?;
        let several = [
            ("type", self.types),
            ("verdict", self.verdicts),
            ("reason", self.reasons),
        ];
        let one = [
            ("agent_id", self.agent),
            ("session_id", self.session),
            ("project_id", self.project),
            ("source", self.source),
            ("actor", self.actor),
            ("recorded_after", recorded_after),
            ("recorded_before", recorded_before),
        ];
        let several = several
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| (name, value)));
        let one = one
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let replay = Replay {
            filter: several.chain(one).collect(),
            after: self.after,
            before: self.before,
            newest: self.newest,
            left: self.limit.unwrap_or(u64::MAX),
        };
        let follow = self.follow;
        self.target
            .with_api(async |api| {
                if follow {
                    replay.follow(api).await
                } else {
                    replay.print(api).await
                }
            })
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
            match (page.next_after, page.next_before) {
                _ if self.left == 0 => return Ok(ExitCode::SUCCESS),
                (Some(after), _) => self.after = after,
                (None, Some(before)) => self.before = Some(before),
                (None, None) => return Ok(ExitCode::SUCCESS),
            }
            page = self.next_page(api).await?;
        }
    }

    async fn follow(mut self, api: &Api) -> CommandResult {
        follow(api, &["v1", "events", "stream"], &mut self).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn next_page(&self, api: &Api) -> anyhow::Result<Page> {
        let page = self.page(api).await.map_err(|error| {
            error.with_advice(|| format!("to continue where it stopped: {}", self.place()))
        });
        read(&page?)
    }

    /// The option that continues at the next page.
    fn place(&self) -> String {
        match self.before {
            Some(before) if self.newest => format!("--before {before}"),
            _ => format!("--after {}", self.after),
        }
    }

    async fn page(&self, api: &Api) -> Result<String, ApiError> {
        let after = self.after.to_string();
        let before = self.before.map(|before| before.to_string());
        let limit = self.left.min(u64::from(EVENTS_PAGE_MAX)).to_string();
        let mut query: Query<'_> = vec![("after", &after), ("limit", &limit)];
        query.extend(before.as_deref().map(|before| ("before", before)));
        query.extend(self.newest.then_some(("order", "newest")));
        for (name, value) in &self.filter {
            query.push((name, value));
        }
        api.get(&["v1", "events"], &query).await
    }
}

impl Follower for Replay {
    type Frame = Frame;

    fn query(&self) -> Vec<(&'static str, String)> {
        let after = ("after", self.after.to_string());
        [after].into_iter().chain(self.filter.clone()).collect()
    }

    fn take(&mut self, frame: Frame, line: &str) -> anyhow::Result<ControlFlow<()>> {
        match frame {
            Frame::Event { position } => {
                self.after = position;
                let members = line.strip_prefix(EVENT_FRAME).unwrap_or(line);
                output::json(&format!("{{{members}"))?;
                self.left -= 1;
            }
            Frame::Searched { position } => self.after = position,
            Frame::Synced { as_of } => self.after = as_of.position,
            Frame::Reset => {
                let after = std::mem::take(&mut self.after);
                output::note(format_args!(
                    "the log does not have position {after} any more; printing it from its beginning"
                ));
            }
            Frame::Bye => {}
        }
        Ok(match self.left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }
}

/// Replaces line ends with spaces. JSON has them only outside of strings, where they have no
/// meaning.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn words<T: VariantNames>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::VARIANTS)
}

fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(RejectionCode::all().map(RejectionCode::as_str))
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
            before: None,
            newest: false,
            left: u64::MAX,
        };
        let message = replay.print(&server.api()).await.unwrap_err().to_string();
        assert!(
            message.ends_with("to continue where it stopped: --after 41"),
            "{message}"
        );
    }
}
