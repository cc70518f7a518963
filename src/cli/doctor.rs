//! `doctor`: checks a server, a data directory or a NATS server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::app::clock::SystemClock;
use crate::app::files::DataDir;
use crate::app::secret;
use crate::app::secret_files::{SecretFile, exposed};
use crate::cli::client::{Api, Identity};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::nats::NatsArgs;
use crate::cli::target::{DEFAULT_URL, URL_VARIABLE};
use crate::cli::{CommandResult, output, table};
use crate::domain::{Clock as _, WithCauses};
use crate::log::jetstream::{self, InspectedStream, JetStreamConfig, JetStreamLog};
use crate::projection::{Store, StoreError};

/// Less free space than this, in bytes, is a failure: there may soon be no room for events.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// Less free space than this, in bytes, is a warning.
const FREE_BYTES_LOW: u64 = 2 * 1024 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

const AFTER_HELP: &str = "\
Examples:
  The server on this machine, http://127.0.0.1:8787:
    session-ledger doctor
  Another server, or as a health check of a container:
    session-ledger doctor --url http://ledger:8787
  A data directory:
    session-ledger doctor --data-dir ./ledger
  A NATS server and its stream:
    session-ledger doctor --nats-url nats://127.0.0.1:4222
  Also whether this node has the token secret of the other nodes:
    session-ledger doctor --nats-url nats://127.0.0.1:4222 --data-dir ./ledger

Exit code 1 if a check fails. The command writes no event and creates no stream.
In a data directory it creates and removes a temporary file, and repairs a read
model that was not closed, as a server does at its start.";

/// Check a server, a data directory, or a NATS server and its stream.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Doctor {
    /// Server to check. Without any target, the command checks the server in the variable
    /// `SESSION_LEDGER_URL`, or the one on this machine
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    // Separate from `url`, because the command uses the variable only if nothing else is to be
    // checked. Hidden, because users set the variable and not this option.
    #[arg(long, env = URL_VARIABLE, default_value = DEFAULT_URL, hide = true)]
    default_url: String,

    /// Data directory to check
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// JSON instead of a table
    #[arg(long)]
    json: bool,

    /// File with the secret that session tokens are made from, to compare with the last events of the log
    /// on NATS. By default the one in the data directory
    #[arg(long, env = "SESSION_LEDGER_TOKEN_SECRET_FILE", value_name = "FILE")]
    token_secret_file: Option<PathBuf>,

    #[command(flatten)]
    tls: ClientTlsArgs,

    #[command(flatten)]
    nats: NatsArgs,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Check {
    #[serde(rename = "check")]
    what: &'static str,
    result: Finding,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Finding {
    Ok,
    Warn,
    Fail,
}

type Checks = Vec<Check>;

impl Doctor {
    pub(super) async fn run(self) -> CommandResult {
        let mut checks = Checks::new();
        // With --url, NATS is not checked. As a health check, the command inherits the NATS settings
        // of the server's container.
        let nats = match self.url {
            Some(_) => None,
            None => self.nats.config()?,
        };
        if let Some(dir) = &self.data_dir {
            directory(dir, &mut checks);
        }
        if let Some(config) = &nats {
            nats_server(config, &mut checks).await;
            secret_files(self.nats.secret_files(), &mut checks);
            if let Some(file) = self.token_secret() {
                token_secret(&file, config, &mut checks).await;
            }
        }
        if checks.is_empty() || self.url.is_some() {
            let url = self.url.as_ref().unwrap_or(&self.default_url);
            let api = Api::with_tls(url, Identity::tenant("doctor"), &self.tls.read()?)?;
            server(&api, url, &mut checks).await;
            secret_files(self.tls.secret_file(), &mut checks);
        }
        if self.json {
            output::json(&serde_json::to_string(&checks)?)?;
        } else {
            output::data(&describe(&checks))?;
        }
        let failed = checks.iter().any(|check| check.result == Finding::Fail);
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl Doctor {
    fn token_secret(&self) -> Option<PathBuf> {
        let own = self.data_dir.as_deref().map(DataDir::new);
        let own = own
            .map(|dir| dir.token_secret())
            .filter(|file| file.exists());
        self.token_secret_file.clone().or(own)
    }
}

fn describe(checks: &Checks) -> String {
    let mut rows = table::table(&["CHECK", "RESULT", "DETAIL"]);
    for check in checks {
        let result = match check.result {
            Finding::Ok => "ok",
            Finding::Warn => "warn",
            Finding::Fail => "FAIL",
        };
        rows.add_row([check.what, result, &check.detail]);
    }
    table::text(&rows)
}

fn add(checks: &mut Checks, what: &'static str, result: Finding, detail: impl Into<String>) {
    let detail = detail.into();
    checks.push(Check {
        what,
        result,
        detail,
    });
}

async fn server(api: &Api, url: &str, checks: &mut Checks) {
    // Both routes are for operators and ignore the tenant.
    for (check, path, good) in [
        ("server alive", "healthz", "it answers"),
        (
            "server ready",
            "readyz",
            "the log accepts writes, and the fold and the keys keep up",
        ),
    ] {
        match api.get_once(&[path], &Vec::new()).await {
            Ok(_answer) => add(checks, check, Finding::Ok, format!("{url}: {good}")),
            Err(error) => {
                add(checks, check, Finding::Fail, error.to_string());
                break;
            }
        }
    }
    if let Some(validity) = api.certificate() {
        let now = SystemClock.now();
        let result = if validity.is_near_end(now) {
            Finding::Warn
        } else {
            Finding::Ok
        };
        let detail = validity.describe(now);
        add(checks, "server certificate", result, detail);
    }
}

fn secret_files(files: impl IntoIterator<Item = SecretFile>, checks: &mut Checks) {
    for warning in files.into_iter().filter_map(|file| exposed(&file)) {
        add(checks, "secret file", Finding::Warn, warning);
    }
}

async fn nats_server(config: &JetStreamConfig, checks: &mut Checks) {
    let found = match jetstream::inspect(config).await {
        Ok(found) => found,
        Err(error) => {
            return add(
                checks,
                "nats server",
                Finding::Fail,
                WithCauses(&error).to_string(),
            );
        }
    };
    let version = format!("version {}", found.version);
    add(checks, "nats server", Finding::Ok, version);
    if found.asks_for_credentials {
        add(checks, "nats credentials", Finding::Ok, "it requires them");
    } else if config.tls.own.is_some() {
        // NATS does not say whether it would accept a connection without a certificate.
        let detail = "it requires no login: everyone with a certificate of its CA can write events, \
                      and everyone at all if it does not verify certificates (`verify: true`)";
        add(checks, "nats credentials", Finding::Warn, detail);
    } else {
        let detail = "it requires no credentials: anyone who can connect can write events";
        add(checks, "nats credentials", Finding::Fail, detail);
    }
    match found.too_small {
        None => add(checks, "nats max_payload", Finding::Ok, "every event fits"),
        Some(detail) => add(checks, "nats max_payload", Finding::Fail, detail),
    }
    for InspectedStream { name, found } in found.streams {
        match found {
            Some(Ok(head)) => {
                let detail = format!(
                    "{name} is set up correctly, accepts writes, and ends at position {head}"
                );
                add(checks, "nats stream", Finding::Ok, detail);
            }
            Some(Err(error)) => {
                let detail = format!("{name}: {}", WithCauses(&error));
                add(checks, "nats stream", Finding::Fail, detail);
            }
            None => {
                let detail = format!(
                    "there is no stream {name} yet; `streams create` creates it, and so does \
                     `serve` if its user may"
                );
                add(checks, "nats stream", Finding::Warn, detail);
            }
        }
    }
}

/// Compares the secret of a server with the tokens on the log that the servers share.
async fn token_secret(file: &Path, config: &JetStreamConfig, checks: &mut Checks) {
    let compared = async {
        let secret = secret::read(file)?;
        let log = JetStreamLog::connect(config, true).await?;
        anyhow::Ok(secret::last_foreign(&log, &secret).await?)
    };
    let (result, detail) = match compared.await {
        Ok(None) => (
            Finding::Ok,
            "the last events have no tokens of another one".to_owned(),
        ),
        Ok(Some(position)) => (Finding::Warn, secret::foreign_warning(position)),
        Err(error) => (Finding::Fail, format!("{error:#}")),
    };
    add(checks, "token secret", result, detail);
}

fn directory(path: &Path, checks: &mut Checks) {
    let dir = DataDir::new(path);
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_file) => {
            let detail = format!("{shown} is not a directory");
            return add(checks, "data directory", Finding::Fail, detail);
        }
        Err(error) => {
            let detail = format!("{shown}: {error}");
            return add(checks, "data directory", Finding::Fail, detail);
        }
    }
    match tempfile::tempfile_in(path) {
        Ok(_file) => add(
            checks,
            "data directory",
            Finding::Ok,
            format!("{shown} is writable"),
        ),
        Err(error) => {
            let detail = format!("cannot write in {shown}: {error}");
            add(checks, "data directory", Finding::Fail, detail);
        }
    }
    space(path, checks);
    model(&dir, checks);
    if dir.rebuilding().exists() {
        let detail = "a rebuild was interrupted; the next one removes its file";
        add(checks, "rebuild", Finding::Warn, detail);
    }
}

fn space(path: &Path, checks: &mut Checks) {
    let found = match rustix::fs::statvfs(path) {
        Ok(found) => found,
        Err(error) => return add(checks, "free space", Finding::Warn, error.to_string()),
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let result = match free {
        _ if free < FREE_BYTES_MIN => Finding::Fail,
        _ if free < FREE_BYTES_LOW => Finding::Warn,
        _ => Finding::Ok,
    };
    add(checks, "free space", result, format!("{} MiB", free / MIB));
}

fn model(dir: &DataDir, checks: &mut Checks) {
    if !dir.model().exists() {
        let detail = "there is none yet; `serve` creates it";
        return add(checks, "read model", Finding::Warn, detail);
    }
    let opened = Store::open(&dir.model()).and_then(|store| {
        let position = store.snapshot()?.progress().position;
        Ok(position)
    });
    match opened {
        Ok(position) => {
            add(checks, "lock", Finding::Ok, "no server holds the directory");
            let detail = format!("this build can use its layout; it is at position {position}");
            add(checks, "read model", Finding::Ok, detail);
        }
        Err(StoreError::InUse) => {
            let detail = "a running server holds the directory; check that server with --url";
            add(checks, "lock", Finding::Ok, detail);
        }
        Err(error) => {
            let detail = WithCauses(&error).to_string();
            add(checks, "read model", Finding::Fail, detail);
        }
    }
}
