//! Which ledger gets the events of hooks: always a running server, because a hook has no time to start one.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::cli::Usage;
use crate::cli::client::{Api, Identity};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::target::{DEFAULT_URL, KeyArgs, NOBODY, URL_VARIABLE, tenant};
use crate::domain::limits::HOOK_BUDGET_MS;

/// The server, and the caller. It must be the last of the command's arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which ledger")]
pub(super) struct LedgerArgs {
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

impl LedgerArgs {
    /// A client that makes each call once. The command ends before its timeouts do.
    pub(super) fn api(self) -> anyhow::Result<Api> {
        let who = Identity {
            key: self.who.read()?,
            tenant: self.tenant,
        };
        if who.key.is_none() && who.tenant.is_none() {
            bail!(Usage(NOBODY.to_owned()));
        }
        let at_most = Duration::from_millis(2 * HOOK_BUDGET_MS);
        Api::hurried(&self.url, who, &self.tls.read()?, at_most)
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

    /// The options that differ from their defaults.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let mut given = Vec::new();
        if self.url != DEFAULT_URL {
            given.push(("--url", self.url.clone()));
        }
        let key_file = self.who.key_file();
        given.extend(key_file.map(|file| ("--key-file", file.display().to_string())));
        let tls = self.tls.given();
        given.extend(tls.map(|(name, file)| (name, file.display().to_string())));
        given.extend(self.tenant.clone().map(|tenant| ("--tenant", tenant)));
        given
    }
}
