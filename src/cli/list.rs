//! `list`: pages of sessions, newest first.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::Outcome;
use crate::cli::client::{Api, Query, read};
use crate::cli::target::Target;
use crate::cli::{output, table};
use crate::domain::limits::PAGE_ROWS_MAX;
use crate::domain::session::Status;
use crate::http::dto::{Session, SessionList};

const AFTER_HELP: &str = "\
Examples:
  session-ledger list --tenant demo
  session-ledger list --tenant demo --agent triage-1 --status active --limit 10
  session-ledger list --tenant demo --created-after 2026-01-31T00:00:00Z --all
  session-ledger list --tenant demo --json | jq '.sessions[].session_id'

Times are shown in UTC, to the second; --json has them to the microsecond.";

/// List sessions, newest first, with their total.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "Which sessions")]
pub(super) struct List {
    /// Only sessions of this agent
    #[arg(long, value_name = "ID", conflicts_with = "project")]
    agent: Option<String>,

    /// Only sessions of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,

    /// Only sessions in this status; repeat it for several
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    status: Vec<String>,

    /// Only sessions created at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,

    /// Only sessions created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,

    /// Sessions of a page
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        help_heading = "Which page"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGE_ROWS_MAX)))]
    limit: u16,

    /// Skip so many sessions
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "cursor",
        help_heading = "Which page"
    )]
    offset: Option<u64>,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR", help_heading = "Which page")]
    cursor: Option<String>,

    /// Every page, not just one
    #[arg(long, help_heading = "Which page")]
    all: bool,

    /// Wait until the ledger shows this position: what an append answered with
    #[arg(long, value_name = "POSITION", help_heading = "Which page")]
    min_position: Option<u64>,

    /// The API's JSON instead of a table; with --all one page per line
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl List {
    pub(super) async fn run(self) -> Outcome {
        let Self { target, .. } = self;
        let pages = Pages {
            fixed: vec![
                ("agent_id", self.agent),
                ("project_id", self.project),
                ("created_after", self.created_after),
                ("created_before", self.created_before),
                ("min_position", self.min_position.map(|at| at.to_string())),
                ("limit", Some(self.limit.to_string())),
            ],
            status: self.status,
            offset: self.offset.map(|offset| offset.to_string()),
            cursor: self.cursor,
        };
        let (json, all) = (self.json, self.all);
        target
            .with_api(async |api| pages.print(api, json, all).await)
            .await
    }
}

struct Pages {
    fixed: Vec<(&'static str, Option<String>)>,
    status: Vec<String>,
    offset: Option<String>,
    cursor: Option<String>,
}

impl Pages {
    async fn print(mut self, api: &Api, json: bool, all: bool) -> Outcome {
        let mut rows = Vec::new();
        let mut last: SessionList;
        loop {
            let answer = api.get(&["v1", "agent-sessions"], &self.query()).await?;
            last = read(&answer)?;
            if json {
                output::line(&answer)?;
            } else {
                rows.append(&mut last.sessions);
            }
            if !all || last.next_cursor.is_none() {
                break;
            }
            (self.offset, self.cursor) = (None, last.next_cursor.clone());
        }
        if !json {
            output::data(&sessions(&rows))?;
            footer(rows.len(), &last);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn query(&self) -> Query<'_> {
        let mut query = Query::new();
        for (name, value) in &self.fixed {
            query.extend(value.as_deref().map(|value| (*name, value)));
        }
        query.extend(self.status.iter().map(|status| ("status", status.as_str())));
        query.extend(self.offset.as_deref().map(|offset| ("offset", offset)));
        query.extend(self.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        query
    }
}

/// A table of sessions.
pub(super) fn sessions(sessions: &[Session]) -> String {
    let mut rows = table::table(&[
        "SESSION", "AGENT", "STATUS", "PHASE", "CREATED", "ACTIVE", "EXPIRES",
    ]);
    for session in sessions {
        let expires = session.expires_at.as_deref().map(table::time);
        rows.add_row([
            session.session_id.clone(),
            session.agent_id.clone(),
            session.status.clone(),
            table::or_dash(session.phase.as_deref()).to_owned(),
            table::time(&session.created_at),
            table::time(&session.last_activity_at),
            table::or_dash(expires.as_deref()).to_owned(),
        ]);
    }
    table::text(&rows)
}

fn footer(shown: usize, last: &SessionList) {
    let at = last.as_of.position;
    output::note(format_args!(
        "{shown} of {} sessions, as of position {at}",
        last.total
    ));
    if !last.as_of.caught_up {
        output::note(format_args!("more events are on the log and being folded"));
    }
    if let Some(cursor) = &last.next_cursor {
        output::note(format_args!("more: --cursor {cursor}, or --all"));
    }
}

fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str))
}
