//! `restore`: makes the logs of a new ledger of a backup, or checks a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::app::backup::Step;
use crate::app::restore::{self, Checked, Request, Restored, SeenPoint};
use crate::app::telemetry::{self, LogFormat};
use crate::backup::LogKind;
use crate::cli::client::Api;
use crate::cli::progress::Progress;
use crate::cli::remote_log::{self, OperatorArgs};
use crate::cli::{CommandResult, Usage, output};
use crate::domain::Position;
use crate::http::dto::LogEnd;

const AFTER_HELP: &str = "\
Examples:
  session-ledger restore ./backup --data-dir ./new-ledger
  session-ledger restore ./backup --check

The command reads all of the backup, and checks each file and the hash chain. It
puts the logs into the directory only if everything is right. It replaces no
log. Then start the server: it makes the read model from the log.

If the directory has a read model or a keys.seen that has seen more than the
backup has, the command names the records that would be lost, and fails.
--accept-loss restores nevertheless. If the directory has a read model, then run
`session-ledger rebuild --accept-truncation`.";

/// What to do about a replica with `--no-auth`.
const INSTEAD: &str = "such a server cannot be asked, so restore without --replica";

/// Restore a backup into a new ledger, or check it.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Restore {
    /// Directory of the backup
    #[arg(value_name = "BACKUP")]
    from: PathBuf,

    /// Data directory of the new ledger, which has no log yet
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Server of the same ledger that still runs, with a key that has the role operator. The backup must
    /// have what this server has read of both logs, with the same hash chains
    #[arg(long, value_name = "URL", conflicts_with = "check")]
    replica: Option<String>,

    /// Another backup of the same ledger, such as its newest one. The backup must have what this one has,
    /// with the same hash chains; repeat it for several
    #[arg(long, value_name = "BACKUP", conflicts_with = "check")]
    seen: Vec<PathBuf>,

    // For the replica.
    #[command(flatten)]
    operator: OperatorArgs,

    /// Only check the backup
    #[arg(long, conflicts_with_all = ["data_dir", "accept_loss"])]
    check: bool,

    /// Restore although the backup lacks records that were seen
    #[arg(long)]
    accept_loss: bool,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let bar = Progress::new(if self.check { "checking" } else { "restoring" });
        let on_step = |step: Step| bar.at(step.position, step.until);
        if self.check {
            let checked = restore::check(&self.from, on_step).await;
            bar.end();
            let checked = checked?;
            if self.json {
                output::json(&serde_json::to_string(&checked)?)?;
            } else {
                output::data(&format!("ok: {}", describe(&checked)))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let Some(data_dir) = self.data_dir else {
            let which = "name the directory of the new ledger: --data-dir; or add --check";
            return Err(Usage(which.to_owned()).into());
        };
        let mut seen = Vec::new();
        for other in &self.seen {
            seen.extend(restore::seen_in(other)?);
        }
        if let Some(url) = self.replica {
            let api = self.operator.api(&url, INSTEAD)?;
            seen.extend(seen_by(&url, &api).await?);
        }
        let request = Request {
            from: self.from,
            data_dir,
            seen,
            accept_loss: self.accept_loss,
        };
        let restored = Box::pin(restore::run(request, on_step)).await;
        bar.end();
        let restored = restored?;
        if self.json {
            output::json(&serde_json::to_string(&restored)?)?;
        } else {
            output::data(&describe_restored(&restored))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a server of the ledger has read of both logs.
async fn seen_by(url: &str, api: &Api) -> anyhow::Result<Vec<SeenPoint>> {
    let ends = remote_log::ends(api).await?;
    let seen = |kind, end: &LogEnd| -> anyhow::Result<SeenPoint> {
        let mut chain = [0; 32];
        hex::decode_to_slice(&end.chain, &mut chain).context("the server's chain is no hash")?;
        Ok(SeenPoint {
            by: format!("the server at {url}"),
            kind,
            position: Position::new(end.position),
            chain,
        })
    };
    Ok(vec![
        seen(LogKind::Events, &ends.events)?,
        seen(LogKind::Keys, &ends.keys)?,
    ])
}

fn describe(backup: &Checked) -> String {
    let mut text = format!(
        "a backup of {} up to position {}\nchain   {}\nkeys    up to position {}\n",
        backup.made_at, backup.position, backup.chain, backup.keys_position
    );
    if backup.lost_records != 0 {
        let lost = backup.lost_records.to_string();
        text.extend([&lost, " of its records stand in the place of lost ones\n"]);
    }
    text
}

fn describe_restored(restored: &Restored) -> String {
    let mut text = format!("restored {}", describe(&restored.backup));
    for loss in &restored.lost {
        text.extend(["LOST: ", &loss.to_string(), "\n"]);
    }
    text
}
