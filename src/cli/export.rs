//! `export`: writes the events of a tenant into a directory or a stream, to carry away.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::cli::client::Api;
use crate::cli::moment::state;
use crate::cli::progress::Progress;
use crate::cli::remote_export::RemoteExport;
use crate::cli::target::Target;
use crate::cli::{CommandResult, output};
use crate::domain::Clock as _;
use crate::export::{self, ExportError, Manifest, SegmentSize};

const AFTER_HELP: &str = "\
Examples:
  With a key that has the role audit:
    export SESSION_LEDGER_KEY=slk_...
    session-ledger export --to ./acme-events
    session-ledger verify-export ./acme-events
  Up to the end of January, as a tar archive:
    session-ledger export --until 2026-02-01T00:00:00Z --to - > acme.tar

An export has every event of the tenant with its exact bytes, its verdict and
the tenant's hash chain. The directory gets only the events that it lacks. So
the command is safe to run again after it was interrupted.

The command computes the chain again, and compares it with that of the server.";

/// Export the events of a tenant, with their hash chain.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Export {
    /// Directory of the export; `-` writes a tar archive to stdout
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// End at a position of the log or at a time: RFC 3339, how long ago (`1h`, `2 days`), `today` or
    /// `yesterday`, which begin at midnight UTC. By default, export everything up to now
    #[arg(long, value_name = "STATE")]
    until: Option<String>,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// What an export has.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    tenant: String,
    until: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished_until: Option<u64>,
    events: u64,
    first_position: Option<u64>,
    last_position: Option<u64>,
    chain: String,
}

#[derive(Serialize)]
struct Exported {
    #[serde(flatten)]
    export: Summary,
    /// The number of events that this run added.
    added: u64,
}

impl Export {
    pub(super) async fn run(self) -> CommandResult {
        let until = state("--until", self.until, SystemClock.now())?;
        let (to, json) = (self.to, self.json);
        let work = async |api: &Api| {
            let to_stdout = to.as_os_str() == "-";
            let exported = Box::pin(export(api, to, until.as_deref())).await?;
            let text = format!(
                "export up to position {}, {} events added\n{}",
                exported.export.until,
                exported.added,
                exported.export.describe()
            );
            if to_stdout {
                // The archive is on stdout.
                output::note(format_args!("{}", text.trim_end()));
            } else if json {
                output::json(&serde_json::to_string(&exported)?)?;
            } else {
                output::data(&text)?;
            }
            Ok(ExitCode::SUCCESS)
        };
        self.target.with_api(work).await
    }
}

async fn export(api: &Api, to: PathBuf, until: Option<&str>) -> anyhow::Result<Exported> {
    let source = RemoteExport::new(api.clone());
    let goal = source.end_at(until).await?;
    let now = SystemClock.now();
    let to_stdout = to.as_os_str() == "-";
    let target = if to_stdout {
        export::Target::stream(Box::new(io::stdout()), now)?
    } else {
        export::Target::directory(&to, now)?
    };
    let before = target.manifest().events;
    let bar = Progress::of_events("exporting");
    let how = (SegmentSize::default(), now);
    let done = export::export(target, &source, &goal, how, |done, all| {
        bar.count(done, all);
    })
    .await;
    bar.end();
    let target = done.map_err(|error| match error {
        ExportError::Source(_) if !to_stdout => {
            anyhow::anyhow!("{error}\nto continue where it stopped, run the same command again")
        }
        other => other.into(),
    })?;
    let manifest = target.finish(now)?;
    Ok(Exported {
        added: manifest.events - before,
        export: Summary::of(&manifest),
    })
}

impl Summary {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            tenant: manifest.tenant.clone(),
            until: manifest.until.get(),
            unfinished_until: manifest.unfinished_until,
            events: manifest.events,
            first_position: manifest.first.map(|first| first.position.get()),
            last_position: manifest.last.map(|last| last.position.get()),
            chain: hex::encode(manifest.chain().head),
        }
    }

    /// The events and their chain, in lines for people.
    pub(super) fn describe(&self) -> String {
        let positions = match (self.first_position, self.last_position) {
            (Some(first), Some(last)) => format!(", positions {first} to {last}"),
            _ => String::new(),
        };
        let Self {
            tenant,
            events,
            chain,
            ..
        } = self;
        let mut text =
            format!("{events} events of the tenant {tenant}{positions}\nchain   {chain}\n");
        if let Some(until) = self.unfinished_until {
            let until = until.to_string();
            text.extend([
                "INTERRUPTED: the last run was to go to position ",
                &until,
                ". To continue, run `session-ledger export` again\n",
            ]);
        }
        text
    }
}
