//! `rules`: switches a ledger to the rules of a newer build.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::app::rules::{self, Ledger};
use crate::app::telemetry::{self, LogFormat};
use crate::cli::nats::NatsArgs;
use crate::cli::{CommandResult, Usage, output};
use crate::domain::Rules as Version;

const AFTER_HELP: &str = "\
Examples:
  A ledger with the built-in log; stop its server first:
    session-ledger rules adopt --data-dir ./ledger
  A ledger on NATS, while its servers run:
    session-ledger rules adopt --nats-url nats://127.0.0.1:4222

Upgrade every server of the ledger first: a server that does not know the new
rules stops at the switch and logs why. Records before the switch keep their
verdicts. A new ledger begins with the newest rules and needs no switch. If the
ledger has the newest rules already, the command changes nothing.";

const EXAMPLES: &str = "\
Examples:
  After the upgrade of every server of a ledger on NATS:
    session-ledger rules adopt --nats-url nats://127.0.0.1:4222";

/// Switch a ledger to the rules of a newer build.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adopt(Box<Adopt>),
}

/// Switch a ledger to the newest rules that this build knows.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
struct Adopt {
    /// Data directory of a ledger with the built-in log. No server may have it open
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    nats: NatsArgs,
}

impl Rules {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let Command::Adopt(adopt) = self.command;
        let ledger = match (adopt.data_dir, adopt.nats.config()?) {
            (Some(dir), None) => Ledger::Directory(dir),
            (None, Some(nats)) => Ledger::Nats(Box::new(nats)),
            (Some(_), Some(_)) => {
                return Err(Usage("give --data-dir or --nats-url, not both".to_owned()).into());
            }
            (None, None) => {
                let which = "name the ledger: --data-dir for the built-in log, --nats-url for NATS";
                return Err(Usage(which.to_owned()).into());
            }
        };
        let position = rules::adopt(ledger).await?;
        let version = Version::LATEST.number();
        output::line(format!(
            "from position {} on the ledger uses rules version {version}",
            position.next()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
