//! `agents list`: prints pages of agents, newest first.

use clap::Args;
use clap::builder::PossibleValuesParser;
use strum::VariantNames;

use crate::app::clock::SystemClock;
use crate::cli::moment::AsOfArgs;
use crate::cli::pages::{Listed, PageArgs, Pages};
use crate::cli::target::Target;
use crate::cli::{CommandResult, table};
use crate::domain::{AgentStatus, Clock as _};
use crate::http::dto::{Agent, AgentList, AsOf};

const AFTER_HELP: &str = "\
Examples:
  session-ledger agents list
  session-ledger agents list --type worker --trust-level high
  session-ledger agents list --status suspended --status revoked
  session-ledger agents list --as-of yesterday
  session-ledger agents list --json | jq '.agents[].agent_id'

An agent that is known only from sessions has the type `unknown`. ACTIVE counts
the active sessions, SESSIONS counts all of them.";

/// List agents, newest first, with their total.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, next_help_heading = "Which agents")]
pub(super) struct List {
    /// Only agents of this type
    #[arg(long = "type", value_name = "TYPE")]
    agent_type: Option<String>,

    /// Only agents in this status; repeat it for several
    #[arg(long, value_name = "STATUS")]
    #[arg(value_parser = PossibleValuesParser::new(<AgentStatus as VariantNames>::VARIANTS))]
    status: Vec<String>,

    /// Only agents of this trust level
    #[arg(long, value_name = "LEVEL")]
    trust_level: Option<String>,

    #[command(flatten)]
    as_of: AsOfArgs,

    #[command(flatten)]
    page: PageArgs,

    /// The API's JSON instead of a table; with --all one page per line
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl List {
    pub(super) async fn run(self) -> CommandResult {
        let mut filters = vec![
            ("agent_type", self.agent_type),
            ("trust_level", self.trust_level),
            self.as_of.parameter(SystemClock.now())?,
        ];
        filters.extend(self.status.into_iter().map(|word| ("status", Some(word))));
        let pages = Pages::new(&["v1", "agents"], filters, self.page);
        let json = self.json;
        self.target
            .with_api(async |api| pages.print::<AgentList>(api, json, agents).await)
            .await
    }
}

impl Listed for AgentList {
    type Row = Agent;
    const NAME: &'static str = "agents";

    fn rows(&mut self) -> Vec<Agent> {
        std::mem::take(&mut self.agents)
    }

    fn total(&self) -> (u64, &AsOf) {
        (self.total, &self.as_of)
    }

    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

fn agents(agents: &[Agent]) -> String {
    let mut rows = table::table(&[
        "AGENT", "TYPE", "STATUS", "TRUST", "ACTIVE", "SESSIONS", "CREATED",
    ]);
    for agent in agents {
        rows.add_row([
            agent.agent_id.clone(),
            table::or_dash(agent.agent_type.as_deref()).to_owned(),
            agent.status.clone(),
            table::or_dash(agent.trust_level.as_deref()).to_owned(),
            agent.active_session_count.to_string(),
            agent.session_count.to_string(),
            table::time(&agent.created_at),
        ]);
    }
    table::text(&rows)
}
