//! `rebuild`: rebuilds the read model from the log.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::app::rebuild::{self, Comparison, Rebuilt, Request, Step};
use crate::app::telemetry::{self, LogFormat};
use crate::cli::nats::NatsArgs;
use crate::cli::progress::Progress;
use crate::cli::{CommandResult, output};

const AFTER_HELP: &str = "\
Examples:
  session-ledger rebuild --data-dir ./ledger
  session-ledger rebuild --data-dir ./ledger \\
    --nats-url nats://127.0.0.1:4222

Stop the server first. The command folds the log into a second file. At the
position of the live read model it compares both to the byte. Then the new file
replaces the live one, whether or not they are equal. If anything fails before
that, the live file stays.

An old file that is not equal is kept as model.replaced-POSITION.redb, beside a
.json with the reasons; POSITION is 0 if the file cannot be read. A file that
only has the layout of another build is not kept.

If the log was cut or replaced on purpose, --accept-truncation builds the read
model from the records that the log has, and prints which positions are lost.";

/// Rebuild the read model from the log, compare it with the live one, and replace that.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Rebuild {
    /// Data directory of the ledger
    #[arg(long, env = "SESSION_LEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// Continue even if the log lacks records that the read model was built from, or has different
    /// ones
    #[arg(long)]
    accept_truncation: bool,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    nats: NatsArgs,
}

impl Rebuild {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let request = Request {
            data_dir: self.data_dir,
            log: self.nats.source()?,
            accept_truncation: self.accept_truncation,
        };
        let (started, bar) = (Instant::now(), Progress::new("folding"));
        let rebuilt = rebuild::run(request, |step| match step {
            Step::Folding { position, until } => bar.at(position, until),
            Step::Comparing => bar.phase("comparing"),
        })
        .await;
        bar.end();
        let rebuilt = rebuilt?;
        if self.json {
            output::json(&serde_json::to_string(&rebuilt)?)?;
        } else {
            output::data(&describe(&rebuilt))?;
        }
        let took = started.elapsed().as_secs_f64();
        output::note(format_args!("took {took:.1} s"));
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(rebuilt: &Rebuilt) -> String {
    let comparison = match &rebuilt.comparison {
        Comparison::NoLiveModel => "there was no read model to compare with".to_owned(),
        Comparison::Unreadable { why } => format!("the old read model cannot be read: {why}"),
        Comparison::OtherLog { position } => format!(
            "the old read model (position {position}) was built from records that the log no \
             longer has"
        ),
        Comparison::Equal { position } => {
            format!("equal: at position {position} both read models are equal byte for byte")
        }
        Comparison::Different {
            position,
            live_digest,
        } => format!(
            "DIFFERENT: at position {position} the old read model's digest is {live_digest}; the \
             rebuilt one has replaced it"
        ),
    };
    let mut lines = vec![format!(
        "rebuilt up to position {}\nchain   {}\ndigest  {}\n{comparison}",
        rebuilt.position, rebuilt.chain, rebuilt.digest
    )];
    if let Some(lost) = &rebuilt.lost {
        lines.push(format!(
            "LOST: positions {} to {}; the chain ended in {}",
            lost.first, lost.last, lost.chain
        ));
    }
    if let Some(kept) = &rebuilt.kept {
        lines.push(format!("the old file is kept as {}", kept.display()));
    }
    lines.push(String::new());
    lines.join("\n")
}
