//! `verify`: checks the log and the read model of a directory.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::telemetry::{self, LogFormat};
use crate::app::verify::{self, Request, Step, Verified};
use crate::cli::nats::NatsArgs;
use crate::cli::progress::Progress;
use crate::cli::{CommandResult, output};

const AFTER_HELP: &str = "\
Examples:
  session-ledger verify --data-dir ./ledger
  session-ledger verify --data-dir ./ledger --json \\
    --nats-url nats://127.0.0.1:4222

Stop the server first. The command reads the whole log, and computes its hash
chain again. It checks that no position is missing, and that the chain is the
one that the read model was built from. Then it folds the log a second time,
into a temporary file in the data directory, and compares every table of the
read model with that. It also compares every total with the number of its rows.
Exit code 1 if anything differs.";

/// Check the log and the read model of a directory from start to end.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Verify {
    /// Data directory of the ledger
    #[arg(long, env = "SESSION_LEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    nats: NatsArgs,
}

impl Verify {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let request = Request {
            data_dir: self.data_dir,
            log: self.nats.source()?,
        };
        let bar = Progress::new("reading");
        let verified = verify::run(request, |step| match step {
            Step::Reading { position, until } => bar.at(position, until),
            Step::Folding { position, until } => {
                bar.phase("folding again");
                bar.at(position, until);
            }
            Step::Counting => bar.phase("comparing"),
        })
        .await;
        bar.end();
        let verified = verified?;
        if self.json {
            output::json(&serde_json::to_string(&verified)?)?;
        } else {
            output::data(&describe(&verified))?;
        }
        Ok(if verified.differences.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn describe(verified: &Verified) -> String {
    let mut text = format!(
        "log         {} records, chain {}\nread model  position {}, chain {}, digest {}\n",
        verified.log_position,
        verified.log_chain,
        verified.model_position,
        verified.model_chain,
        verified.model_digest
    );
    if verified.differences.is_empty() {
        text.push_str(
            "ok: no position is missing, the chains agree at the read model's position, every table is \
             what the log gives, and every total equals the counted rows\n",
        );
    }
    for difference in &verified.differences {
        text.extend(["DIFFERENCE: ", difference, "\n"]);
    }
    if let Some(advice) = verified.advice {
        text.extend([advice, "\n"]);
    }
    text
}
