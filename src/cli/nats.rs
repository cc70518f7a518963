//! Options for NATS, which several commands share.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::app::LogSource;
use crate::app::secret_files::SecretFile;
use crate::cli::Usage;
use crate::cli::nats_tls::NatsTlsArgs;
use crate::cli::nats_url::NatsUrls;
use crate::cli::secret_file::first_line;
use crate::log::jetstream::{Credentials, JetStreamConfig};

/// Where the log is, if it is not in the data directory. Arguments after these need their own help
/// heading.
#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(super) struct NatsArgs {
    /// NATS server with the log, as `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS only; separate
    /// several servers of one cluster with commas. Without it the ledger uses the built-in log in the
    /// data directory. In the variable, `nats://USER:PASSWORD@HOST` and `nats://TOKEN@HOST` log in,
    /// with %-escapes for special characters. Such an argument is refused: other users of this machine
    /// could see it
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

    // Hidden because it exists for the variable: `secret_args` refuses it as an argument.
    #[arg(long, env = "SESSION_LEDGER_NATS_PASSWORD", hide = true)]
    #[arg(hide_env_values = true)]
    nats_password: Option<String>,

    /// File whose first line is a token to log in with instead of a user and password; or set the
    /// variable `SESSION_LEDGER_NATS_TOKEN`
    #[arg(long, env = "SESSION_LEDGER_NATS_TOKEN_FILE", value_name = "FILE")]
    nats_token_file: Option<PathBuf>,

    // Hidden because it exists for the variable: `secret_args` refuses it as an argument.
    #[arg(long, env = "SESSION_LEDGER_NATS_TOKEN", hide = true)]
    #[arg(hide_env_values = true)]
    nats_token: Option<String>,

    /// Credentials file (a JWT and its seed) to log in with instead of user and password
    #[arg(long, env = "SESSION_LEDGER_NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,

    /// File whose first line is the seed of an nkey to log in with instead of user and password
    #[arg(long, env = "SESSION_LEDGER_NATS_NKEY_FILE", value_name = "FILE")]
    nats_nkey_file: Option<PathBuf>,

    #[command(flatten)]
    tls: NatsTlsArgs,

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
                     (SESSION_LEDGER_NATS_USER, _PASSWORD, _TOKEN, _CREDS, _NKEY_FILE): remove one of \
                     them",
                ));
            }
        };
        Ok(Some(JetStreamConfig {
            credentials,
            tls: self.tls.read()?,
            stream: self.stream.clone(),
            replicas: self.nats_replicas.into(),
            inbox_prefix: self.nats_inbox_prefix.clone(),
            ..JetStreamConfig::new(urls)
        }))
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let password = secret(self.nats_password.as_deref(), self.password_file().as_ref())?;
        let token = secret(self.nats_token.as_deref(), self.token_file().as_ref())?;
        let seed = self.nkey_file().map(|file| seed(&file)).transpose()?;
        let given = (&self.nats_creds, &self.nats_user, password, token, seed);
        match given {
            (None, None, None, None, None) => Ok(Credentials::None),
            (Some(file), None, None, None, None) => Ok(Credentials::File(file.clone())),
            (None, None, None, Some(token), None) => Ok(Credentials::Token(token)),
            (None, None, None, None, Some(seed)) => Ok(seed),
            (None, Some(user), Some(password), None, None) => Ok(Credentials::UserPassword {
                user: user.clone(),
                password,
            }),
            (None, Some(_), None, None, None) => Err(usage(
                "--nats-user needs a password: give --nats-password-file, or set \
                 SESSION_LEDGER_NATS_PASSWORD",
            )),
            (None, None, Some(_), None, None) => Err(usage("a NATS password needs --nats-user")),
            _ => Err(usage(
                "give only one of --nats-creds, --nats-nkey-file, a user with a password, and a \
                 token",
            )),
        }
    }

    fn password_file(&self) -> Option<SecretFile> {
        SecretFile::given("--nats-password-file", self.nats_password_file.as_ref())
    }

    fn token_file(&self) -> Option<SecretFile> {
        SecretFile::given("--nats-token-file", self.nats_token_file.as_ref())
    }

    fn nkey_file(&self) -> Option<SecretFile> {
        SecretFile::given("--nats-nkey-file", self.nats_nkey_file.as_ref())
    }

    /// The files with secrets that these options name.
    pub(super) fn secret_files(&self) -> Vec<SecretFile> {
        let creds = SecretFile::given("--nats-creds", self.nats_creds.as_ref());
        let files = [
            self.password_file(),
            self.token_file(),
            self.nkey_file(),
            creds,
            self.tls.secret_file(),
        ];
        files.into_iter().flatten().collect()
    }
}

/// Returns a secret from a file, or else from its variable. The file goes first: a container may have
/// the variable for another user.
fn secret(value: Option<&str>, file: Option<&SecretFile>) -> anyhow::Result<Option<String>> {
    match (value, file) {
        (_, Some(file)) => first_line(file).map(Some),
        (value, None) => Ok(value.map(str::to_owned)),
    }
}

/// Reads the seed of a user.
fn seed(file: &SecretFile) -> anyhow::Result<Credentials> {
    let seed = first_line(file)?;
    Credentials::nkey(seed.trim().to_owned()).with_context(|| {
        format!(
            "{file}: the first line must be the seed of a NATS user, which begins with SU; `nsc \
             generate nkey --user` makes one"
        )
    })
}

fn usage(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}
