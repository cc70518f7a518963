//! Options for NATS, which several commands share.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::app::LogSource;
use crate::cli::Usage;
use crate::cli::nats_url::NatsUrls;
use crate::log::jetstream::{Credentials, JetStreamConfig};

/// Where the log is, if it is not in the data directory. Arguments after these need their own help
/// heading.
#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(super) struct NatsArgs {
    /// NATS server with the log, as `nats://HOST:PORT`; separate several servers of one cluster
    /// with commas. Without it the ledger uses the built-in log in the data directory.
    /// `nats://USER:PASSWORD@HOST` and `nats://TOKEN@HOST` log in, with %-escapes for special
    /// characters. Write those only into the variable: other users of this machine can see
    /// arguments
    #[arg(long, env = "SESSION_LEDGER_NATS_URL", value_name = "URL")]
    #[arg(value_delimiter = ',', hide_env_values = true)]
    pub(super) nats_url: Vec<String>,

    /// User to log in as; its password comes from --nats-password-file or the variable
    /// `SESSION_LEDGER_NATS_PASSWORD`
    #[arg(long, env = "SESSION_LEDGER_NATS_USER", value_name = "NAME")]
    nats_user: Option<String>,

    /// File whose first line is the user's password
    #[arg(long, env = "SESSION_LEDGER_NATS_PASSWORD_FILE", value_name = "FILE")]
    nats_password_file: Option<PathBuf>,

    // Hidden because it exists for the variable: arguments of a process are not secret.
    #[arg(long, env = "SESSION_LEDGER_NATS_PASSWORD", hide = true)]
    #[arg(hide_env_values = true)]
    nats_password: Option<String>,

    /// File whose first line is a token to log in with instead of a user and password; or set the
    /// variable `SESSION_LEDGER_NATS_TOKEN`
    #[arg(long, env = "SESSION_LEDGER_NATS_TOKEN_FILE", value_name = "FILE")]
    nats_token_file: Option<PathBuf>,

    // Hidden because it exists for the variable: arguments of a process are not secret.
    #[arg(long, env = "SESSION_LEDGER_NATS_TOKEN", hide = true)]
    #[arg(hide_env_values = true)]
    nats_token: Option<String>,

    /// Credentials file (a JWT and its seed) to log in with instead of user and password
    #[arg(long, env = "SESSION_LEDGER_NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,

    /// Least number of replicas of the stream: 1, or 3 on a cluster
    #[arg(long, env = "SESSION_LEDGER_NATS_REPLICAS", value_name = "N")]
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    nats_replicas: u8,

    /// Prefix of the subjects on which the ledger receives answers of NATS. Choose one that no
    /// other user may subscribe to
    #[arg(long, env = "SESSION_LEDGER_NATS_INBOX_PREFIX", value_name = "PREFIX")]
    #[arg(default_value = "_INBOX")]
    nats_inbox_prefix: String,

    /// Name of the stream
    #[arg(long, env = "SESSION_LEDGER_STREAM", value_name = "NAME")]
    #[arg(default_value = "LEDGER")]
    stream: String,
}

impl NatsArgs {
    /// Returns where the log is.
    pub(super) fn source(&self) -> anyhow::Result<LogSource> {
        Ok(self
            .config()?
            .map_or(LogSource::Embedded, LogSource::JetStream))
    }

    /// Returns the configuration of the log on NATS; `None` if there is no `--nats-url`.
    pub(super) fn config(&self) -> anyhow::Result<Option<JetStreamConfig>> {
        if self.nats_url.is_empty() {
            return Ok(None);
        }
        let NatsUrls { urls, login } = NatsUrls::read(&self.nats_url)?;
        let credentials = match (self.credentials()?, login) {
            (Credentials::None, Some(login)) => login,
            (credentials, None) => credentials,
            (_, Some(_)) => {
                return Err(usage(
                    "--nats-url has a login, and another option or variable has one too \
                     (SESSION_LEDGER_NATS_USER, _PASSWORD, _TOKEN, _CREDS): remove one of them",
                ));
            }
        };
        Ok(Some(JetStreamConfig {
            credentials,
            stream: self.stream.clone(),
            replicas: self.nats_replicas.into(),
            inbox_prefix: self.nats_inbox_prefix.clone(),
            ..JetStreamConfig::new(urls)
        }))
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let password = secret(
            self.nats_password.as_deref(),
            self.nats_password_file.as_deref(),
        )?;
        let token = secret(self.nats_token.as_deref(), self.nats_token_file.as_deref())?;
        match (&self.nats_creds, &self.nats_user, password, token) {
            (None, None, None, None) => Ok(Credentials::None),
            (Some(file), None, None, None) => Ok(Credentials::File(file.clone())),
            (None, None, None, Some(token)) => Ok(Credentials::Token(token)),
            (None, Some(user), Some(password), None) => Ok(Credentials::UserPassword {
                user: user.clone(),
                password,
            }),
            (None, Some(_), None, None) => Err(usage(
                "--nats-user needs a password: give --nats-password-file, or set \
                 SESSION_LEDGER_NATS_PASSWORD",
            )),
            (None, None, Some(_), None) => Err(usage("a NATS password needs --nats-user")),
            _ => Err(usage(
                "give only one of --nats-creds, a user with a password, and a token",
            )),
        }
    }
}

/// Returns a secret from its variable, or else from the first line of a file.
fn secret(value: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (value, file) {
        (Some(secret), _) => Ok(Some(secret.to_owned())),
        (None, Some(file)) => first_line(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the secret file {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn usage(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}
