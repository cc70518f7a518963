//! `backup`: copies the logs of a ledger into a directory or a stream.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::LogSource;
use crate::app::backup::{self, BackedUp, Destination, Options, Step};
use crate::app::files::DataDir;
use crate::app::open::OpenError;
use crate::app::telemetry::{self, LogFormat};
use crate::cli::nats::NatsArgs;
use crate::cli::progress::Progress;
use crate::cli::remote_log::{self, OperatorArgs};
use crate::cli::target::{DEFAULT_URL, URL_VARIABLE};
use crate::cli::typed::Typed;
use crate::cli::{CommandResult, Usage, output};

const AFTER_HELP: &str = "\
Examples:
  A server that runs, with a key that has the role operator:
    export SESSION_LEDGER_KEY=slk_...
    session-ledger backup --url http://127.0.0.1:8787 --to ./backup
  A directory that no server uses:
    session-ledger backup --data-dir ./ledger --to ./backup
  The streams of a ledger on NATS, also while its servers run:
    session-ledger backup --nats-url nats://127.0.0.1:4222 --to ./backup
  As a tar archive, to another machine:
    session-ledger backup --data-dir ./ledger --to - | ssh host 'cat > b.tar'

These options take precedence over variables such as SESSION_LEDGER_URL.

A directory that has a backup of this ledger gets only the records that it
lacks. So the command is safe to run again after it was interrupted. It checks
every record that it copies. `session-ledger restore --check DIR` checks all of
a backup, and `session-ledger restore` makes a new ledger of it.

If the log has lost records, the command names them and fails. --fill-from takes
them from another backup of this ledger. --accept-loss puts records in their
places that say so; restore that backup into a new log, so that all nodes agree.";

/// Back up the logs of a ledger: events and API keys.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Backup {
    #[command(flatten)]
    typed: Typed,

    /// Directory of the backup; `-` writes a tar archive to stdout
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Data directory of a ledger with the built-in log. No server may have it open
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Server to back up, with a key that has the role operator; by default the one on this machine,
    /// port 8787, unless --data-dir or --nats-url name the ledger
    #[arg(long, env = URL_VARIABLE, value_name = "URL")]
    url: Option<String>,

    #[command(flatten)]
    operator: OperatorArgs,

    /// Also back up the secret of session tokens, token.secret in the data directory
    #[arg(long, requires = "data_dir")]
    with_secret: bool,

    /// Backup of this ledger from which to take records that the log has lost
    #[arg(long, value_name = "DIR")]
    fill_from: Option<PathBuf>,

    /// Put records in the places of lost ones, which say that they are lost
    #[arg(long)]
    accept_loss: bool,

    /// JSON instead of lines
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    nats: NatsArgs,
}

impl Backup {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "warn")?;
        let source = self.source()?;
        let to_stdout = self.to.as_os_str() == "-";
        let destination = if to_stdout {
            Destination::Stream(Box::new(io::stdout()))
        } else {
            Destination::Directory(self.to)
        };
        let dir = self.data_dir.as_deref();
        let secret = dir.filter(|_| self.with_secret).map(DataDir::new);
        let options = Options {
            fill_from: self.fill_from,
            accept_loss: self.accept_loss,
            secret_file: secret.map(|dir| dir.token_secret()),
        };
        let bar = Progress::new("copying");
        let on_step = |step: Step| bar.at(step.position, step.until);
        let done = if let Some(source) = source {
            Box::pin(backup::run(dir, &source, destination, &options, on_step)).await
        } else {
            let url = self.url.as_deref().unwrap_or(DEFAULT_URL);
            let api = self.operator.api(url, INSTEAD)?;
            Box::pin(remote_log::back_up(api, destination, &options, on_step)).await
        };
        bar.end();
        let done = done.map_err(with_advice)?;
        let text = describe(&done);
        if to_stdout {
            // The archive is on stdout.
            output::note(format_args!("{}", text.trim_end()));
        } else if self.json {
            output::json(&serde_json::to_string(&done)?)?;
        } else {
            output::data(&text)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Backup {
    /// Returns where the logs are; `None` means to ask a server.
    fn source(&self) -> anyhow::Result<Option<LogSource>> {
        self.typed.refuse_both()?;
        if self.data_dir.is_some() && self.typed.nats && !self.with_secret {
            return Err(Usage(BUILT_IN_OR_NATS.to_owned()).into());
        }
        if self.data_dir.is_some() && !self.typed.nats {
            if self.with_secret && self.nats.config()?.is_some() {
                // A node on NATS has such a directory, perhaps with an old log in it.
                return Err(Usage(BUILT_IN_OR_VARIABLE.to_owned()).into());
            }
            return Ok(Some(LogSource::Embedded));
        }
        if self.typed.server || (self.url.is_some() && !self.typed.log) {
            return Ok(None);
        }
        Ok(self.nats.config()?.map(LogSource::JetStream))
    }
}

const BUILT_IN_OR_NATS: &str = "--data-dir and --nats-url name different logs: give one of them. With \
                                --with-secret, both are needed for a ledger on NATS";
const BUILT_IN_OR_VARIABLE: &str = "--data-dir is for a ledger with the built-in log, and the variable \
                                    SESSION_LEDGER_NATS_URL names a log on NATS. For a ledger on NATS, \
                                    give --nats-url, too; otherwise remove the variable";
/// What to do about a server with `--no-auth`.
const INSTEAD: &str = "back up its --data-dir, once it is stopped, or its --nats-url";

fn describe(done: &BackedUp) -> String {
    let mut text = format!(
        "backup up to position {}, {} records added\nchain   {}\nkeys    up to position {}\n",
        done.backup.position, done.added, done.backup.chain, done.backup.keys_position
    );
    if done.filled != 0 {
        let filled = done.filled.to_string();
        text.extend([
            "FILLED: ",
            &filled,
            " lost records come from the other backup\n",
        ]);
    }
    if done.lost != 0 {
        let lost = done.lost.to_string();
        text.extend([
            "LOST: ",
            &lost,
            " records cannot be read, and the backup says so in their places. Restore it into a new \
             log, and use that on every node\n",
        ]);
    }
    text
}

fn with_advice(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Held(dir)) => anyhow::anyhow!(
            "a server holds the directory {}: back up the server instead, with --url and a key that has \
             the role operator",
            dir.display()
        ),
        _ => error,
    }
}
