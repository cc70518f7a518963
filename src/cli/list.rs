//! `list`: prints pages of sessions, newest first.

use clap::Args;
use clap::builder::PossibleValuesParser;
use strum::VariantNames;

use crate::app::clock::SystemClock;
use crate::cli::list_follow::Followed;
use crate::cli::moment::{AsOfArgs, moment};
use crate::cli::pages::{Listed, PageArgs, Pages};
use crate::cli::target::Target;
use crate::cli::{CommandResult, table};
use crate::domain::Clock as _;
use crate::domain::session::{Outcome, Status};
use crate::http::dto::{AsOf, Session, SessionList};

const AFTER_HELP: &str = "\
Examples:
  session-ledger list
  session-ledger list --agent triage-1 --status active --limit 10
  session-ledger list --roots --agent triage-1 --agent triage-2
  session-ledger list --parent call-42 --status active
  session-ledger list --created-after 2026-01-31T00:00:00Z --all
  session-ledger list --created-after '2 days' --created-before 1h
  session-ledger list --status active --follow
  session-ledger list --agent triage-1 --as-of 2026-01-27T14:00:00Z
  session-ledger list --as-of now --all
  session-ledger list --json | jq '.sessions[].session_id'

Times are shown in UTC, to the second; --json has them to the microsecond.";

/// List sessions, newest first, with their total.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "Which sessions")]
pub(super) struct List {
    /// Only sessions of this agent; repeat it for several
    #[arg(long, value_name = "ID", conflicts_with_all = ["project", "parent", "user"])]
    agent: Vec<String>,

    /// Only sessions of this project
    #[arg(long, value_name = "ID", conflicts_with_all = ["parent", "user"])]
    project: Option<String>,

    /// Only sessions that this session opened, by creation or by a hand-off
    #[arg(long, value_name = "SESSION", conflicts_with = "user")]
    parent: Option<String>,

    /// Only sessions that run for this person, as their events say
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// Only sessions without a parent
    #[arg(long)]
    roots: bool,

    /// Only sessions in this status; repeat it for several
    #[arg(long, value_name = "STATUS")]
    #[arg(value_parser = PossibleValuesParser::new(<Status as VariantNames>::VARIANTS))]
    status: Vec<String>,

    /// Only sessions that were terminated with this outcome; repeat it for several
    #[arg(long, value_name = "OUTCOME")]
    #[arg(value_parser = PossibleValuesParser::new(<Outcome as VariantNames>::VARIANTS))]
    outcome: Vec<String>,

    /// Only sessions created at this time or later: RFC 3339, or how long ago (`1h`, `2 days`), or
    /// `today` or `yesterday`, which begin at midnight UTC
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,

    /// Only sessions created before this time, in the forms of --created-after
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,

    #[command(flatten)]
    as_of: AsOfArgs,

    #[command(flatten)]
    page: PageArgs,

    /// Show the newest rows and each change of them, until Ctrl-C: a table in a terminal, otherwise a
    /// line for each change
    #[arg(long, help_heading = "Which page", conflicts_with_all = ["all", "as_of", "cursor", "offset"])]
    follow: bool,

    /// The API's JSON instead of a table; with --all one page per line, with --follow one frame
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl List {
    pub(super) async fn run(self) -> CommandResult {
        let now = SystemClock.now();
        let created_after = moment("--created-after", self.created_after, now)?;
        let created_before = moment("--created-before", self.created_before, now)?;
        let mut filters = vec![
            ("project_id", self.project),
            ("parent_session_id", self.parent),
            ("user_id", self.user),
            ("root", self.roots.then(|| true.to_string())),
            ("created_after", created_after),
            ("created_before", created_before),
            self.as_of.parameter(now)?,
        ];
        filters.extend(self.agent.into_iter().map(|id| ("agent_id", Some(id))));
        filters.extend(self.status.into_iter().map(|word| ("status", Some(word))));
        filters.extend(self.outcome.into_iter().map(|word| ("outcome", Some(word))));
        if self.follow {
            let followed = Followed::new(filters, &self.page, self.json);
            return self
                .target
                .with_api(async |api| followed.follow(api).await)
                .await;
        }
        let pages = Pages::new(&["v1", "agent-sessions"], filters, self.page);
        let json = self.json;
        self.target
            .with_api(async |api| pages.print::<SessionList>(api, json, sessions).await)
            .await
    }
}

impl Listed for SessionList {
    type Row = Session;
    const NAME: &'static str = "sessions";

    fn rows(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.sessions)
    }

    fn total(&self) -> (u64, &AsOf) {
        (self.total, &self.as_of)
    }

    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A table of sessions.
pub(super) fn sessions(sessions: &[Session]) -> String {
    let mut rows = table::table(&[
        "SESSION", "AGENT", "STATUS", "PHASE", "CREATED", "ACTIVE", "EXPIRES",
    ]);
    for session in sessions {
        rows.add_row(cells(session));
    }
    table::text(&rows)
}

/// The cells of a session's row.
pub(super) fn cells(session: &Session) -> [String; 7] {
    let expires = session.expires_at.as_deref().map(table::time);
    [
        session.session_id.clone(),
        session.agent_id.clone(),
        session.status.clone(),
        table::or_dash(session.phase.as_deref()).to_owned(),
        table::time(&session.created_at),
        table::time(&session.last_activity_at),
        table::or_dash(expires.as_deref()).to_owned(),
    ]
}
