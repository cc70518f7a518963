//! `demo`: runs a ledger with a simulated fleet of agent runtimes, for a first look.

mod fleet;
mod runtime;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use fastrand::Rng;
use indicatif::ProgressBar;
use reqwest::Url;
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::keys::{KeySource, OpenKeys};
use crate::app::signals::{self, Signals};
use crate::app::telemetry::{self, LogFormat};
use crate::app::{Access, Config, Running};
use crate::auth::{Author, Grant, Roles};
use crate::cli::client::{Api, Identity, read};
use crate::cli::duration::duration;
use crate::cli::{CommandResult, address, list, output, table, ui};
use crate::domain::TenantId;
use crate::http::dto::{SessionCount, SessionList};
use fleet::Tally;

/// The demo's tenant.
const TENANT: &str = "demo";
/// How long the fleet emits before the first listing is shown.
const WARM_UP: Duration = Duration::from_secs(3);
/// The interval at which the status line changes.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How long the runtimes may take to finish their last request.
const FLEET_WAIT: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Examples:
  Until Ctrl-C, on http://127.0.0.1:8787:
    session-ledger demo
  A short, busy one:
    session-ledger demo --for 20s --rate 2000
  One that keeps its files, for `session-ledger serve`:
    session-ledger demo --data-dir ./ledger";

/// Start a ledger with a simulated fleet, show its listing, and print calls to try.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Demo {
    /// Address to serve HTTP on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787", value_parser = address)]
    listen: SocketAddr,

    /// End after this time, such as 20s, 2m or 500ms; by default on Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    run_for: Option<Duration>,

    /// Runtimes of the fleet, one agent each
    #[arg(long, value_name = "N", default_value_t = 12)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    agents: u16,

    /// Events that the fleet emits in a second
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,

    /// Seed of the random numbers: with one seed, all runs have equal events except for their times
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Directory for the ledger's files; by default a temporary one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let mut signals = signals::listen()?;
        // Removed when this function ends.
        let temporary = match self.data_dir {
            Some(_) => None,
            None => Some(TempDir::with_prefix("session-ledger-demo-")?),
        };
        let dir = match (&self.data_dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(dir)) => dir.path().to_path_buf(),
            (None, None) => PathBuf::new(),
        };
        let config = Config {
            access: Access::Credentials(Box::default()),
            ..Config::local(dir, self.listen)
        };
        let key = issue_key(config.data_dir.clone()).await?;
        let running = crate::app::start(config)
            .await
            .context("the demo did not start; `--listen 127.0.0.1:0` takes any free port")?;
        let api = Api::new(&running.url(), Identity::key(key.clone()))?;
        let shown = self.show(&running, &api, &key, &mut signals).await;
        let stopped = running.stop().await;
        shown?;
        stopped.map(|()| ExitCode::SUCCESS)
    }

    fn introduce(&self, running: &Running, dashboard: &Url) {
        output::note(format_args!(
            "The ledger serves on {}; its files are in {}.\n{} runtimes emit about {} events a \
             second for the tenant `{TENANT}`.\n\
             The dashboard, signed in; the link works once, within a minute:\n  {dashboard}",
            running.url(),
            running.data_dir().display(),
            self.agents,
            self.rate,
        ));
    }

    async fn show(
        &self,
        running: &Running,
        api: &Api,
        key: &str,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        self.introduce(running, &ui::link(api).await?);
        let seed = self.seed.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1);
        let (fleet, tally) = fleet::start(api, self.agents, self.rate, Rng::with_seed(seed));
        let started = Instant::now();
        let first = self.run_for.unwrap_or(WARM_UP);
        let ended = watch(&tally, started, started.checked_add(first), signals).await;
        let shown = self.run_for.is_none() && !ended;
        if shown {
            running.catch_up().await?;
            let listed = listing(api).await?;
            print(&listed, &tally, started.elapsed())?;
            output::data(&calls("Calls to try:", &running.url(), key, &listed))?;
            watch(&tally, started, None, signals).await;
        }
        let took = started.elapsed();
        let late = fleet.stop(FLEET_WAIT).await;
        anyhow::ensure!(late.is_empty(), "{} runtimes did not stop", late.len());
        running.catch_up().await?;
        let listed = listing(api).await?;
        if shown {
            output::line("")?;
        }
        print(&listed, &tally, took)?;
        if !shown {
            let heading = "Calls to try while a demo runs (without --for it runs until Ctrl-C):";
            output::data(&calls(heading, &running.url(), key, &listed))?;
        }
        Ok(())
    }
}

/// Issues a key of the demo's tenant with every role. Must run before the server starts, which
/// would warn that there is no key.
async fn issue_key(dir: PathBuf) -> anyhow::Result<String> {
    let grant = Grant {
        tenant: TenantId::parse(TENANT)?,
        name: Some("demo".into()),
        roles: Roles::ALL,
        agent: None,
        expires_at: None,
    };
    let open = OpenKeys::open(KeySource::Directory { dir, make: true }).await?;
    let issued = open
        .keys
        .issue(grant, Author::Operator, open.clock.now())
        .await;
    open.close().await;
    let (key, _entry) = issued?;
    Ok(key.reveal())
}

/// The first page of sessions, and their counts.
struct Listed {
    page: SessionList,
    count: SessionCount,
}

async fn listing(api: &Api) -> anyhow::Result<Listed> {
    let page = api
        .get(&["v1", "agent-sessions"], &vec![("limit", "10")])
        .await?;
    let count = api
        .get(&["v1", "agent-sessions", "count"], &Vec::new())
        .await?;
    Ok(Listed {
        page: read(&page)?,
        count: read(&count)?,
    })
}

/// Shows a status line until the time is up or a signal arrives. Returns whether a signal arrived.
async fn watch(
    tally: &Tally,
    started: Instant,
    until: Option<Instant>,
    signals: &mut Signals,
) -> bool {
    let line = ProgressBar::new_spinner();
    let mut ticks = tokio::time::interval(SHOW_EVERY);
    let interrupted = loop {
        let time_up = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_up => break false,
            _signal = signals.next() => break true,
            _ = ticks.tick() => {
                let (sent, rate) = (tally.sent(), rate(tally, started.elapsed()));
                let hint = if until.is_none() { "; Ctrl-C ends it" } else { "" };
                line.set_message(format!("{sent} events, {rate:.0} a second{hint}"));
                line.tick();
            }
        }
    };
    line.finish_and_clear();
    interrupted
}

fn print(listed: &Listed, tally: &Tally, took: Duration) -> anyhow::Result<()> {
    output::line("The newest sessions:")?;
    output::data(&list::sessions(&listed.page.sessions))?;
    output::line("")?;
    let mut totals = table::table(&["STATUS", "SESSIONS"]);
    for (status, total) in &listed.count.by_status {
        totals.add_row([status.clone(), total.to_string()]);
    }
    totals.add_row(["total".to_owned(), listed.count.total.to_string()]);
    output::data(&table::text(&totals))?;
    output::line(format_args!(
        "\n{} events in {:.1} s, {:.0} a second: {}.\nAs of position {} of the log.",
        tally.sent(),
        took.as_secs_f64(),
        rate(tally, took),
        tally.describe(),
        listed.page.as_of.position,
    ))?;
    Ok(())
}

fn rate(tally: &Tally, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only for display")]
    let sent = tally.sent() as f64;
    sent / took.as_secs_f64().max(0.001)
}

/// Calls for people to try, with ids that exist.
fn calls(heading: &str, url: &str, key: &str, listed: &Listed) -> String {
    let newest = listed.page.sessions.first();
    let session = newest.map_or("SESSION", |session| &session.session_id);
    let agent = newest.map_or("AGENT", |session| &session.agent_id);
    let curl = "curl -s -H \"X-API-Key: $SESSION_LEDGER_KEY\"";
    format!(
        "
{heading}
  export SESSION_LEDGER_KEY={key}
  {curl} '{url}/v1/agent-sessions?status=active&limit=5'
  {curl} '{url}/v1/agent-sessions?agent_id={agent}&offset=20'
  {curl} '{url}/v1/agent-sessions/count'
  {curl} '{url}/v1/agent-sessions/{session}'
  {curl} '{url}/v1/agent-sessions/{session}/events'
  {curl} '{url}/v1/rejections?limit=3'
  {curl} -H 'Content-Type: application/cloudevents+json' '{url}/v1/events' -d \\
    '{{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"urn:me\",\"type\":\"session.created\",\
\"subject\":\"my-session\",\"data\":{{\"agent_id\":\"{agent}\"}}}}'
  session-ledger ui --url {url}
  session-ledger list --url {url} --agent {agent}
  session-ledger events --url {url} --follow
  session-ledger keys list --url {url}
"
    )
}
