//! Which server a command calls, for commands that need one that runs already.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::cli::Usage;
use crate::cli::client::{Api, Identity};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::target::{DEFAULT_URL, KeyArgs, NOBODY, URL_VARIABLE, absolute, tenant};

/// The server, and the caller. It must be the last of the command's arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which ledger")]
pub(super) struct ServerArgs {
    /// Server to call
    #[arg(long, env = URL_VARIABLE, value_name = "URL")]
    #[arg(default_value = DEFAULT_URL)]
    url: String,

    #[command(flatten)]
    who: KeyArgs,

    #[command(flatten)]
    tls: ClientTlsArgs,

    /// Tenant: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. Not needed with a key, which has a tenant
    #[arg(long, env = "SESSION_LEDGER_TENANT", value_name = "TENANT", value_parser = tenant)]
    tenant: Option<String>,
}

impl ServerArgs {
    /// A client that repeats calls.
    pub(super) fn api(self) -> anyhow::Result<Api> {
        let tls = self.tls.read()?;
        Api::with_tls(&self.url.clone(), self.identity()?, &tls)
    }

    /// A client that makes each call once, and waits at most for this time.
    pub(super) fn hurried_api(self, at_most: Duration) -> anyhow::Result<Api> {
        let tls = self.tls.read()?;
        Api::hurried(&self.url.clone(), self.identity()?, &tls, at_most)
    }

    fn identity(self) -> anyhow::Result<Identity> {
        let who = Identity {
            key: self.who.read()?,
            tenant: self.tenant,
        };
        if who.key.is_none() && who.tenant.is_none() {
            bail!(Usage(NOBODY.to_owned()));
        }
        Ok(who)
    }

    /// A text that differs between ledgers and keys, which may be of different tenants. Not to be shown.
    pub(super) fn secret_name(&self) -> String {
        format!(
            "{}\n{:?}\n{}",
            self.url,
            self.tenant,
            self.who.secret_name()
        )
    }

    /// The options that differ from their defaults, for a command that may run in another directory.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let mut given = Vec::new();
        if self.url != DEFAULT_URL {
            given.push(("--url", self.url.clone()));
        }
        let key_file = self.who.key_file();
        given.extend(key_file.map(|file| ("--key-file", absolute(file))));
        let tls = self.tls.given();
        given.extend(tls.map(|(name, file)| (name, absolute(file))));
        given.extend(self.tenant.clone().map(|tenant| ("--tenant", tenant)));
        given
    }
}
