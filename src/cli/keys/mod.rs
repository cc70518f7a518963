//! `keys`: issues, lists and revokes API keys, through a server or directly on the log of keys.

mod place;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use strum::VariantNames;

use crate::app::clock::SystemClock;
use crate::auth::{KeyId, Role};
use crate::cli::duration::duration;
use crate::cli::{CommandResult, output, table};
use crate::domain::{Clock as _, Timestamp};
use crate::http::dto::{IssuedKey, Key, NewKey};
use place::KeysArgs;

const AFTER_HELP: &str = "\
Examples:
  The first key of a ledger with the built-in log, while no server runs on it:
    session-ledger keys issue --data-dir ./ledger --tenant acme --role admin
  The first key of a ledger on NATS, also while servers run:
    session-ledger keys issue --nats-url nats://127.0.0.1:4222 \\
      --tenant acme --role admin
  More keys, through a server, with one that has the role admin:
    export SESSION_LEDGER_KEY=slk_...
    session-ledger keys issue --role read --role write --name ci --expires 30d
    session-ledger keys list
    session-ledger keys revoke 0123456789abcdef

Roles: `read` lists and shows sessions and agents, `write` emits events and
changes sessions and agents, `audit` reads the history, `admin` issues and
revokes keys. No role implies another. `operator` backs up the whole ledger; a
server cannot give it, only --data-dir and --nats-url.";

const AFTER_ISSUE: &str = "\
Examples:
  session-ledger keys issue --data-dir ./ledger --tenant acme \\
    --role read --role write --name ci --expires 30d
  session-ledger keys issue --role write --agent triage-1 --json

The key is shown only once. If it is lost, issue another and revoke this one.";

/// Issue, list and revoke API keys.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Issue(Issue),
    List(List),
    Revoke(Revoke),
}

/// Issue a key and print it. It cannot be printed again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_ISSUE, next_help_heading = "The key")]
struct Issue {
    /// Role of the key; repeat it for several
    #[arg(long, value_name = "ROLE", required = true)]
    #[arg(value_parser = PossibleValuesParser::new(<Role as VariantNames>::VARIANTS))]
    role: Vec<String>,

    /// The agent to which the key is bound, for reads and writes; without it, the key is not bound
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Name for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// When the key expires: a duration such as 30d, 12h or 15m, or a time (RFC 3339). By default
    /// never
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Timestamp>,

    /// JSON instead of lines
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    keys: KeysArgs,
}

/// List the tenant's keys, newest first, including revoked ones.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  session-ledger keys list --data-dir ./ledger --tenant acme")]
struct List {
    /// JSON instead of a table: one array
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    keys: KeysArgs,
}

/// Revoke a key. A second revocation changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  session-ledger keys revoke 0123456789abcdef")]
struct Revoke {
    /// The key's id; the key itself is not needed
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,

    /// JSON instead of a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    keys: KeysArgs,
}

impl Keys {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            Command::Issue(issue) => issue.run().await,
            Command::List(list) => list.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl Issue {
    async fn run(self) -> CommandResult {
        let new = NewKey {
            name: self.name,
            roles: self.role,
            agent_id: self.agent,
            expires_at: self.expires.map(|time| time.to_string()),
        };
        let place = self.keys.open(true).await?;
        let issued = place.done(async |place| place.issue(new).await).await?;
        if self.json {
            output::json(&serde_json::to_string(&issued)?)?;
        } else {
            let IssuedKey { key, entry } = issued;
            output::line(format_args!("key_id  {}\nkey     {key}", entry.key_id))?;
            output::note(format_args!("This is the only time that the key is shown."));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self) -> CommandResult {
        let place = self.keys.open(false).await?;
        let keys = place.done(async |place| place.list().await).await?;
        if self.json {
            output::json(&serde_json::to_string(&keys)?)?;
        } else {
            output::data(&described(&keys))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    async fn run(self) -> CommandResult {
        let place = self.keys.open(false).await?;
        let id = self.id;
        let key = place.done(async |place| place.revoke(id).await).await?;
        if self.json {
            output::json(&serde_json::to_string(&key)?)?;
        } else {
            let revoked_at = key.revoked_at.as_deref().map(table::time);
            let revoked_at = table::or_dash(revoked_at.as_deref());
            output::line(format_args!("revoked  {id}  {revoked_at}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn described(keys: &[Key]) -> String {
    let mut rows = table::table(&[
        "KEY",
        "NAME",
        "ROLES",
        "AGENT",
        "ISSUED",
        "ISSUED_BY",
        "EXPIRES",
        "REVOKED",
        "REVOKED_BY",
    ]);
    let time = |time: &Option<String>| {
        let shown = time.as_deref().map(table::time);
        table::or_dash(shown.as_deref()).to_owned()
    };
    for key in keys {
        rows.add_row([
            key.key_id.clone(),
            table::or_dash(key.name.as_deref()).to_owned(),
            key.roles.join(","),
            table::or_dash(key.agent_id.as_deref()).to_owned(),
            table::time(&key.issued_at),
            table::or_dash(key.issued_by.as_deref()).to_owned(),
            time(&key.expires_at),
            time(&key.revoked_at),
            table::or_dash(key.revoked_by.as_deref()).to_owned(),
        ]);
    }
    table::text(&rows)
}

fn expiry(text: &str) -> Result<Timestamp, String> {
    if let Some(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    let after = duration(text)
        .map_err(|_other| "write a time such as 30d, 12h or 2027-01-31T00:00:00Z".to_owned())?;
    let micros = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    Ok(SystemClock.now().plus_micros(micros))
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::parse(text).ok_or_else(|| "a key's id has 16 hexadecimal digits".to_owned())
}
