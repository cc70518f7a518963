//! `streams`: creates the streams of a ledger on NATS.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::app::telemetry::{self, LogFormat};
use crate::cli::nats::NatsArgs;
use crate::cli::{CommandResult, Usage, output};
use crate::domain::WithCauses;
use crate::log::jetstream::{self, Prepared, PreparedStream};

const AFTER_HELP: &str = "\
Examples:
  On a server whose configuration is deploy/nats/nats-server.conf:
    session-ledger streams create --nats-url nats://127.0.0.1:4222 \\
      --nats-user ledger-setup --nats-password-file setup.password \\
      --nats-inbox-prefix _INBOX_ledger-setup
  On a cluster; also to raise the replicas of streams that exist:
    session-ledger streams create --nats-url nats://n1:4222,nats://n2:4222 \\
      --nats-replicas 3

The command is safe to run again. Of a stream that exists, it changes only two
settings: it allows atomic batches and raises the replicas. It changes nothing
on a stream that has another wrong setting.
Exit code 1 if a stream is not as the ledger needs it. The command then names
each wrong setting.";

const EXAMPLES: &str = "\
Examples:
  Before the first start of a ledger whose NATS user may not create streams:
    session-ledger streams create --nats-url nats://127.0.0.1:4222";

/// Create the streams of a ledger on NATS.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Streams {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<Create>),
}

/// Create the stream of events and the stream of API keys, or bring them up to date.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
struct Create {
    #[command(flatten)]
    nats: NatsArgs,
}

impl Streams {
    pub(super) async fn run(self) -> CommandResult {
        telemetry::init(LogFormat::Text, "error")?;
        let Command::Create(create) = self.command;
        let Some(config) = create.nats.config()? else {
            let which = "name the NATS server: --nats-url";
            return Err(Usage(which.to_owned()).into());
        };
        let mut code = ExitCode::SUCCESS;
        // Boxed because its future is large.
        let streams = Box::pin(jetstream::prepare(&config)).await?;
        for PreparedStream { name, prepared } in streams {
            match prepared {
                Ok(Prepared::Created) => output::line(format_args!("stream {name}: created"))?,
                Ok(Prepared::Changed(changes)) => {
                    output::line(format_args!("stream {name}: {}", changes.join(", ")))?;
                }
                Ok(Prepared::Unchanged) => {
                    output::line(format_args!("stream {name}: nothing to do"))?;
                }
                Err(error) => {
                    output::note(format_args!("error: {}", WithCauses(&error)));
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}
