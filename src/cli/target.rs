//! Which ledger a command uses: a running server, or a data directory without a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{self, Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::app::files::DataDir;
use crate::app::open::OpenError;
use crate::app::secret_files::SecretFile;
use crate::app::telemetry::{self, LogFormat};
use crate::app::{Access, Config, Running};
use crate::auth::ApiKey;
use crate::cli::client::{Api, Identity};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::secret_file::first_line;
use crate::cli::{CommandResult, Usage};
use crate::domain::TenantId;

/// The default of `--url`.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8787";

/// The variable for `--url`.
pub(super) const URL_VARIABLE: &str = "SESSION_LEDGER_URL";

/// Which ledger to use, and as which caller. It must be the last of a command's arguments: the help
/// would list later ones under its heading.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which ledger")]
pub(super) struct Target {
    /// Server to call
    #[arg(long, env = URL_VARIABLE, value_name = "URL")]
    #[arg(default_value = DEFAULT_URL)]
    url: String,

    #[command(flatten)]
    who: KeyArgs,

    #[command(flatten)]
    tls: ClientTlsArgs,

    /// Data directory to use instead of a server, with the built-in log only. No server may have it
    /// open
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Tenant: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. Not needed with a key, which has a tenant
    #[arg(long, env = "SESSION_LEDGER_TENANT", value_name = "TENANT", value_parser = tenant)]
    tenant: Option<String>,
}

/// The key or token for a server.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// File whose first line is a key or token for the server; or set the variable
    /// `SESSION_LEDGER_KEY`
    #[arg(long, env = "SESSION_LEDGER_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,

    // Hidden because it exists for the variable: `secret_args` refuses it as an argument.
    #[arg(long, env = KEY_VARIABLE, hide = true, hide_env_values = true)]
    key: Option<String>,
}

/// The variable with a key or token.
const KEY_VARIABLE: &str = "SESSION_LEDGER_KEY";

impl KeyArgs {
    /// Whether there is a key.
    pub(super) fn is_given(&self) -> bool {
        self.key_file.is_some() || self.key.is_some()
    }

    /// The file with the key.
    pub(super) fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// A text that differs between keys: the file with the key, or else the key. Not to be shown.
    pub(super) fn secret_name(&self) -> String {
        // Two projects may name two files by one relative path.
        let file = self.key_file.as_deref().map(absolute);
        file.or_else(|| self.key.clone()).unwrap_or_default()
    }

    /// Returns the key: from the file, or else from the variable.
    pub(super) fn read(self) -> anyhow::Result<Option<String>> {
        match self.key_file {
            Some(path) => first_line(&SecretFile::new("--key-file", path)).map(Some),
            None => Ok(self.key),
        }
    }
}

impl Target {
    /// Runs `work` with a client of the ledger's API.
    pub(super) async fn with_api(
        self,
        work: impl AsyncFnOnce(&Api) -> CommandResult,
    ) -> CommandResult {
        let Some(dir) = &self.data_dir else {
            let who = Identity {
                key: self.who.read()?,
                tenant: self.tenant,
            };
            if who.key.is_none() && who.tenant.is_none() {
                return Err(Usage(NOBODY.to_owned()).into());
            }
            return work(&Api::with_tls(&self.url, who, &self.tls.read()?)?).await;
        };
        let Some(tenant) = self.tenant else {
            let why = "--tenant is required with --data-dir";
            return Err(Usage(why.to_owned()).into());
        };
        telemetry::init(LogFormat::Text, "warn")?;
        let (running, key) = open(dir).await?;
        let who = Identity {
            key: Some(key.reveal()),
            tenant: Some(tenant),
        };
        let api = Api::new(&running.url(), who)?;
        let outcome = work(&api).await;
        // An error of `work` matters more than one of the stop.
        let stopped = running.stop().await;
        let code = outcome?;
        stopped.map(|()| code)
    }
}

/// The error if there is neither a key nor a tenant.
pub(super) const NOBODY: &str = "a key is required, in the variable SESSION_LEDGER_KEY or in a \
                                 --key-file; or --tenant, for a server that requires no credentials";

/// Starts a server on a directory, so that commands always use the HTTP API. Other users of this
/// machine can connect to it, so it accepts only a key that is generated here.
async fn open(dir: &Path) -> anyhow::Result<(Running, ApiKey)> {
    if !DataDir::new(dir).log().exists() {
        let dir = dir.to_path_buf();
        let file = "log.redb (if its log is on NATS, use the server with --url)";
        return Err(OpenError::Missing { dir, file }.into());
    }
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let key = ApiKey::generate().context("the operating system provides no random bytes")?;
    let running = crate::app::start(Config {
        access: Access::Private(key.clone()),
        ..Config::local(dir.to_path_buf(), any_port)
    });
    let running = running.await?;
    running.catch_up().await?;
    Ok((running, key))
}

/// Checks the id of a tenant.
pub(super) fn tenant(text: &str) -> Result<String, String> {
    TenantId::parse(text)
        .map(|tenant| tenant.to_string())
        .map_err(|error| error.to_string())
}

/// The absolute path of a file.
pub(super) fn absolute(file: &Path) -> String {
    let path = path::absolute(file).unwrap_or_else(|_| file.to_owned());
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::ApiError;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_server_of_a_command_accepts_only_its_own_key() {
        crate::cli::install_tls();
        let dir = tempfile::tempdir().unwrap();
        let local = ([127, 0, 0, 1], 0).into();
        let made = crate::app::start(Config::local(dir.path().to_owned(), local));
        made.await.unwrap().stop().await.unwrap();

        let (running, key) = open(dir.path()).await.unwrap();
        let codes = async |key: Option<&ApiKey>| {
            let who = Identity {
                key: key.map(ApiKey::reveal),
                tenant: Some("acme".to_owned()),
            };
            let api = Api::new(&running.url(), who).unwrap();
            let listed = api.get(&["v1", "agent-sessions"], &Vec::new()).await;
            let role = serde_json::json!({"roles": ["admin"]});
            let path = ["v1", "keys"];
            let issued = api.change(reqwest::Method::POST, &path, None, &role).await;
            [listed, issued].map(|answer| match answer {
                Ok(_) => "ok".to_owned(),
                Err(ApiError::Problem(problem)) => problem.code,
                Err(other) => panic!("{other}"),
            })
        };
        assert_eq!(codes(Some(&key)).await, ["ok", "credentials_off"]);
        assert_eq!(codes(None).await, ["credential_required"; 2]);
        let other = ApiKey::generate().unwrap();
        assert_eq!(codes(Some(&other)).await, ["invalid_credential"; 2]);
        running.stop().await.unwrap();
    }
}
