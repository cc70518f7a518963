//! Options of `serve` that decide who may call the server.

use std::num::NonZeroU32;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::app::secret_files::SecretFile;
use crate::app::{Access, CredentialConfig};
use crate::auth::RateLimit;
use crate::cli::Usage;
use crate::cli::tokens::TokenArgs;

/// The default burst, as a multiple of the rate limit.
const BURST_FACTOR: u32 = 2;

/// Who may call the API.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Ask for no credentials; the tenant comes from the header `X-Tenant-ID`. Serves callers on
    /// this machine only
    #[arg(long, env = "SESSION_LEDGER_NO_AUTH", value_parser = BoolishValueParser::new())]
    no_auth: bool,

    /// With --no-auth, allow an address that other machines can reach. Use it only if something
    /// else controls who can connect: everybody who can may read and write everything
    #[arg(long, env = "SESSION_LEDGER_TRUST_NETWORK", value_parser = BoolishValueParser::new())]
    trust_network: bool,

    #[command(flatten)]
    tokens: TokenArgs,

    /// Requests a second that each credential may make on this server; the server answers more with
    /// 429
    #[arg(long, env = "SESSION_LEDGER_RATE_LIMIT", value_name = "N")]
    rate_limit: Option<NonZeroU32>,

    /// With --rate-limit, requests that an idle credential may make at once; by default twice the
    /// limit
    #[arg(
        long,
        env = "SESSION_LEDGER_RATE_BURST",
        value_name = "N",
        requires = "rate_limit"
    )]
    rate_burst: Option<NonZeroU32>,
}

impl AccessArgs {
    /// Who may call the API, according to the arguments.
    pub(super) fn access(self) -> anyhow::Result<Access> {
        let needs_credentials = self.tokens.is_given() || self.rate_limit.is_some();
        match (self.no_auth, self.trust_network) {
            (true, _) if needs_credentials => Err(Usage(
                "with --no-auth the server requires no credentials: leave out --no-auth, or leave \
                 out --jwt-... and --rate-limit"
                    .to_owned(),
            )
            .into()),
            (true, false) => Ok(Access::Local),
            (true, true) => Ok(Access::Network),
            (false, _) => Ok(Access::Credentials(Box::new(CredentialConfig {
                rate_limit: self.limit(),
                tokens: self.tokens.config()?,
            }))),
        }
    }

    /// The file with a secret that these options name.
    pub(super) fn secret_file(&self) -> Option<SecretFile> {
        self.tokens.secret_file()
    }

    fn limit(&self) -> Option<RateLimit> {
        let per_second = self.rate_limit?;
        let twice = per_second.saturating_mul(NonZeroU32::new(BURST_FACTOR)?);
        Some(RateLimit {
            per_second,
            burst: self.rate_burst.unwrap_or(twice),
        })
    }
}
