//! `serve`: runs a ledger until a signal stops it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use strum::VariantNames;

use crate::app::secret_files::SecretFile;
use crate::app::telemetry::{self, LogFormat};
use crate::app::{Config, DialectAddress, Snapshots, signals};
use crate::cli::access::AccessArgs;
use crate::cli::nats::NatsArgs;
use crate::cli::serve_tls::ServeTlsArgs;
use crate::cli::serve_traces::{PROTOCOL, TraceArgs};
use crate::cli::{CommandResult, Usage, address};
use crate::dialects::Dialect;
use crate::http::Origin;

const AFTER_HELP: &str = "\
Examples:
  Everything on this machine, the log included, and a key to call it with:
    session-ledger keys issue --data-dir ./ledger --tenant acme --role admin
    session-ledger serve --data-dir ./ledger
  Without keys, for every caller on this machine:
    session-ledger serve --data-dir ./ledger --no-auth
  The log on a NATS server, 2.12.3 or later, with JetStream:
    session-ledger serve --data-dir ./ledger --nats-url nats://127.0.0.1:4222
  Tokens of an identity provider as well as keys:
    session-ledger serve --data-dir ./ledger --jwt-audience session-ledger \\
      --jwt-issuer https://id.example --jwt-jwks https://id.example/jwks.json
  Clients of another API, at an address of their own (docs/dialects.md):
    session-ledger serve --data-dir ./ledger --dialect agi=127.0.0.1:8081
  Over TLS (docs/operations.md has how to make certificates):
    session-ledger serve --data-dir ./ledger --listen 0.0.0.0:8787 \\
      --tls-cert cert.pem --tls-key key.pem
  Settings from the environment:
    export SESSION_LEDGER_DATA_DIR=./ledger SESSION_LEDGER_RATE_LIMIT=100
    session-ledger serve

SIGTERM and Ctrl-C stop the server: it finishes the requests under way, and
loses nothing that it acknowledged. A second signal ends it at once.";

/// Run a ledger: accept events, fold them, and serve the HTTP API.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Serve {
    /// Directory for the ledger's files; created if it does not exist. Only one server at a time
    /// can use it
    #[arg(long, env = "SESSION_LEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// Address to serve HTTP on. Port 0 takes any free port, which the server logs
    #[arg(long, env = "SESSION_LEDGER_LISTEN", value_name = "ADDR")]
    #[arg(default_value = "127.0.0.1:8787", value_parser = address)]
    listen: SocketAddr,

    /// Address that serves only one dialect, at its root path; repeat it for more. Every dialect is
    /// also at `/compat/NAME` of the address above. In the variable, separate several with commas
    #[arg(
        long = "dialect",
        env = "SESSION_LEDGER_DIALECTS",
        value_name = "NAME=ADDR"
    )]
    #[arg(value_delimiter = ',', value_parser = dialect)]
    dialects: Vec<DialectAddress>,

    /// Origin whose pages may call the API from a browser (CORS), such as `https://app.example`;
    /// repeat it for more, `*` is any. By default none may. Pages need a credential like every
    /// other caller. In the variable, separate several with commas
    #[arg(
        long = "cors-origin",
        env = "SESSION_LEDGER_CORS_ORIGINS",
        value_name = "ORIGIN"
    )]
    #[arg(value_delimiter = ',', value_parser = Origin::parse)]
    origins: Vec<Origin>,

    #[command(flatten)]
    nats: NatsArgs,

    #[command(flatten)]
    access: AccessArgs,

    /// File with the secret that session tokens are made from, as 64 hex digits (`openssl rand -hex
    /// 32`). All servers of a ledger should have one secret, so that a retried command gets the
    /// same tokens from any of them. By default the server creates one in the data directory
    #[arg(long, env = "SESSION_LEDGER_TOKEN_SECRET_FILE", value_name = "FILE")]
    #[arg(help_heading = "Access")]
    token_secret_file: Option<PathBuf>,

    #[command(flatten)]
    tls: ServeTlsArgs,

    /// Directory that the nodes of a ledger share, with snapshots of the read model. A node without a read
    /// model starts from the newest snapshot that fits its log, instead of folding the whole log
    #[arg(long, env = "SESSION_LEDGER_SNAPSHOTS", value_name = "DIR")]
    #[arg(help_heading = "Snapshots")]
    snapshots: Option<PathBuf>,

    /// Write a snapshot when the newest one is so many records behind
    #[arg(long, env = "SESSION_LEDGER_SNAPSHOT_RECORDS", value_name = "N")]
    #[arg(default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(help_heading = "Snapshots")]
    snapshot_records: u64,

    /// Keep no history file, which the server needs to show past states (`as_of`). The events and their verdicts
    /// are kept in any case
    #[arg(long, env = "SESSION_LEDGER_NO_HISTORY", value_parser = BoolishValueParser::new())]
    #[arg(help_heading = "History")]
    no_history: bool,

    #[command(flatten)]
    traces: TraceArgs,

    /// Format of log lines on stderr
    #[arg(long, env = "SESSION_LEDGER_LOG_FORMAT", value_name = "FORMAT")]
    #[arg(value_enum, default_value_t = Format::Text, help_heading = "Logging")]
    log_format: Format,

    /// Log level: error, warn, info, debug, trace or off; or a level per module, such as
    /// `session_ledger=debug,warn`
    #[arg(long, env = "SESSION_LEDGER_LOG_LEVEL", value_name = "LEVEL")]
    #[arg(default_value = telemetry::DEFAULT_DIRECTIVES, help_heading = "Logging")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

impl Serve {
    pub(super) async fn run(self) -> CommandResult {
        let format = match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
        let traces = self.traces.start()?;
        let started = match &traces {
            Some(traces) => telemetry::init_with(format, &self.log_level, traces),
            None => telemetry::init(format, &self.log_level),
        };
        started.map_err(|error| Usage(format!("--log-level {:?}: {error}", self.log_level)))?;
        if let Some(asked) = self.traces.other_protocol() {
            tracing::warn!("spans are sent as {PROTOCOL}: the exporter does not speak {asked:?}");
        }
        let secret_files = self.secret_files();
        let config = Config {
            data_dir: self.data_dir,
            listen: self.listen,
            dialects: self.dialects,
            log: self.nats.source()?,
            token_secret_file: self.token_secret_file,
            tls: self.tls.files(),
            secret_files,
            access: self.access.access()?,
            origins: self.origins,
            snapshots: self.snapshots.map(|dir| Snapshots {
                dir,
                every_records: self.snapshot_records,
            }),
            history: !self.no_history,
            trace_url: self.traces.trace_url,
        };
        // Before the start, which can take long: a signal during it must stop the process.
        let mut signals = signals::listen()?;
        let running = tokio::select! {
            running = crate::app::start(config) => running?,
            _signal = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let name = tokio::select! {
            name = signals.next() => name,
            why = running.failed() => anyhow::bail!("the server ended itself: {why}"),
        };
        tracing::info!("{name}: stopping");
        let stop = async {
            let stopped = running.stop().await;
            if let Some(traces) = traces {
                traces.stop().await;
            }
            stopped
        };
        tokio::select! {
            stopped = stop => stopped?,
            name = signals.next() => anyhow::bail!("ended at once by a second signal ({name})"),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The files with secrets that the options name.
    fn secret_files(&self) -> Vec<SecretFile> {
        let of_tokens = self.token_secret_file.as_ref();
        let of_tokens = SecretFile::given("--token-secret-file", of_tokens);
        let given = [self.tls.secret_file(), of_tokens, self.access.secret_file()];
        let mut files: Vec<_> = given.into_iter().flatten().collect();
        files.extend(self.nats.secret_files());
        files
    }
}

/// Parses a dialect and its address: `agi=127.0.0.1:8081`.
fn dialect(text: &str) -> Result<DialectAddress, String> {
    let wrong = || {
        let names = <Dialect as VariantNames>::VARIANTS.join(", ");
        format!("write NAME=HOST:PORT, such as agi=127.0.0.1:8081; the names are: {names}")
    };
    let (name, listen) = text.split_once('=').ok_or_else(wrong)?;
    Ok(DialectAddress {
        dialect: name.parse().map_err(|_unknown| wrong())?,
        listen: address(listen)?,
    })
}
