//! How to reach NATS: options that several commands share.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::app::LogSource;
use crate::cli::Usage;
use crate::log::jetstream::{Credentials, JetStreamConfig};

/// Where the log is, if it is not in the data directory. Where it is not the last of a command's
/// arguments, those after it need headings of their own.
#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(super) struct NatsArgs {
    /// NATS server that carries the log, as `nats://HOST:PORT`; several servers of one cluster with
    /// commas. Without it the log is built in, in the data directory
    #[arg(long, env = "SESSION_LEDGER_NATS_URL", value_name = "URL")]
    #[arg(value_delimiter = ',')]
    pub(super) nats_url: Vec<String>,

    /// User to log in as; its password comes from --nats-password-file or the variable
    /// `SESSION_LEDGER_NATS_PASSWORD`
    #[arg(long, env = "SESSION_LEDGER_NATS_USER", value_name = "NAME")]
    nats_user: Option<String>,

    /// File whose first line is the user's password
    #[arg(long, env = "SESSION_LEDGER_NATS_PASSWORD_FILE", value_name = "FILE")]
    nats_password_file: Option<PathBuf>,

    // Hidden because the arguments of a process are no secret; the variable is what it is for.
    #[arg(long, env = "SESSION_LEDGER_NATS_PASSWORD", hide = true)]
    #[arg(hide_env_values = true)]
    nats_password: Option<String>,

    /// Credentials file (a JWT and its seed) to log in with instead of user and password
    #[arg(long, env = "SESSION_LEDGER_NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,

    /// Replicas that the stream has at least: 1, or 3 on a cluster
    #[arg(long, env = "SESSION_LEDGER_NATS_REPLICAS", value_name = "N")]
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    nats_replicas: u8,

    /// Prefix of the subjects on which NATS answers the ledger. Give it one that no other user may
    /// subscribe to
    #[arg(long, env = "SESSION_LEDGER_NATS_INBOX_PREFIX", value_name = "PREFIX")]
    #[arg(default_value = "_INBOX")]
    nats_inbox_prefix: String,

    /// Name of the stream
    #[arg(long, env = "SESSION_LEDGER_STREAM", value_name = "NAME")]
    #[arg(default_value = "LEDGER")]
    stream: String,
}

impl NatsArgs {
    /// The log that the arguments name.
    pub(super) fn source(&self) -> anyhow::Result<LogSource> {
        Ok(self
            .config()?
            .map_or(LogSource::Embedded, LogSource::JetStream))
    }

    /// How to reach the stream; `None` if no server is named.
    pub(super) fn config(&self) -> anyhow::Result<Option<JetStreamConfig>> {
        if self.nats_url.is_empty() {
            return Ok(None);
        }
        let credentials = self.credentials()?;
        Ok(Some(JetStreamConfig {
            credentials,
            stream: self.stream.clone(),
            replicas: self.nats_replicas.into(),
            inbox_prefix: self.nats_inbox_prefix.clone(),
            ..JetStreamConfig::new(self.nats_url.clone())
        }))
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let password = match (&self.nats_password, &self.nats_password_file) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(file)) => Some(first_line(file)?),
            (None, None) => None,
        };
        match (&self.nats_creds, &self.nats_user, password) {
            (Some(file), None, None) => Ok(Credentials::File(file.clone())),
            (None, None, None) => Ok(Credentials::None),
            (None, Some(user), Some(password)) => Ok(Credentials::UserPassword {
                user: user.clone(),
                password,
            }),
            (Some(_), _, _) => Err(usage("give --nats-creds, or a user and password, not both")),
            (None, Some(_), None) => Err(usage(
                "--nats-user needs a password: give --nats-password-file, or set \
                 SESSION_LEDGER_NATS_PASSWORD",
            )),
            (None, None, Some(_)) => Err(usage("a NATS password needs --nats-user")),
        }
    }
}

fn first_line(file: &PathBuf) -> anyhow::Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the password file {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn usage(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}
