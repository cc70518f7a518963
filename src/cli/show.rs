//! `show`: prints one session and its events, or its lineage.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::clock::SystemClock;
use crate::cli::CommandResult;
use crate::cli::client::{Api, read};
use crate::cli::moment::AsOfArgs;
use crate::cli::target::Target;
use crate::cli::{lineage, output, table};
use crate::domain::Clock as _;
use crate::http::dto::Event;

const AFTER_HELP: &str = "\
Examples:
  session-ledger show 0198c7a0-5e0f-7d3a-9c43-1f6a2b3c4d5e
  session-ledger show s-1 --tenant acme --data-dir ./ledger --json
  session-ledger show s-1 --tree
  session-ledger show s-1 --as-of 2026-01-27T14:00:00Z

--as-of changes the session or the tree: the events are always all.

Exit code 1 if the tenant has no such session.";

/// The fields that are shown first, in this order.
pub(super) const FIRST: [&str; 8] = [
    "session_id",
    "agent_id",
    "status",
    "phase",
    "outcome",
    "created_at",
    "last_activity_at",
    "expires_at",
];

/// The parameter for a past state, and its value.
pub(super) type State = (&'static str, String);

/// Show one session with its events, or with those above and below it.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Show {
    /// The session's id
    #[arg(value_name = "SESSION")]
    id: String,

    /// The sessions above and below it instead of its events. An asterisk marks the session
    #[arg(long)]
    tree: bool,

    #[command(flatten)]
    as_of: AsOfArgs,

    /// The API's JSON: an object with `session` and `events`, or the lineage
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// A page of the history, with unparsed events.
#[derive(Deserialize)]
struct History {
    events: Vec<Box<RawValue>>,
    next_after: Option<u64>,
}

impl Show {
    pub(super) async fn run(self) -> CommandResult {
        let (id, tree, json) = (self.id, self.tree, self.json);
        let (name, state) = self.as_of.parameter(SystemClock.now())?;
        let state = state.map(|state| (name, state));
        self.target
            .with_api(async |api| {
                if tree {
                    return lineage::print(api, &id, state, json).await;
                }
                print(api, &id, state, json).await
            })
            .await
    }
}

async fn print(api: &Api, id: &str, state: Option<State>, json: bool) -> CommandResult {
    let state = state.iter().map(|(name, state)| (*name, state.as_str()));
    let path = ["v1", "agent-sessions", id];
    let session = api.get(&path, &state.collect()).await?;
    let events = history(api, id).await?;
    if json {
        let events: Vec<&str> = events.iter().map(|event| event.get()).collect();
        let (session, events) = (session.trim_end(), events.join(","));
        output::json(&format!("{{\"session\":{session},\"events\":[{events}]}}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::data(&table::fields(&read(&session)?, &FIRST))?;
    output::line("")?;
    let mut rows = table::table(&["POSITION", "RECORDED", "TYPE", "SOURCE", "EVENT"]);
    for event in &events {
        rows.add_row(event_row(&read(event.get())?));
    }
    output::data(&table::text(&rows))?;
    Ok(ExitCode::SUCCESS)
}

async fn history(api: &Api, id: &str) -> anyhow::Result<Vec<Box<RawValue>>> {
    let mut events = Vec::new();
    let mut after = Some(0);
    while let Some(number) = after {
        let number = number.to_string();
        let query = vec![("after", number.as_str()), ("limit", "1000")];
        let path = ["v1", "agent-sessions", id, "events"];
        let page: History = read(&api.get(&path, &query).await?)?;
        events.extend(page.events);
        after = page.next_after;
    }
    Ok(events)
}

fn event_row(event: &Event) -> [String; 5] {
    let attribute = |name: &str| {
        let value = event.event.as_ref().and_then(|event| event.get(name));
        table::or_dash(value.and_then(Value::as_str)).to_owned()
    };
    [
        event.position.to_string(),
        table::time(&event.recorded_at),
        table::or_dash(event.r#type.as_deref()).to_owned(),
        attribute("source"),
        attribute("id"),
    ]
}
