//! Who may call a server: options of `serve`.

use std::num::NonZeroU32;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::app::{Access, CredentialConfig};
use crate::auth::RateLimit;
use crate::cli::Usage;
use crate::cli::tokens::TokenArgs;

/// How many times the rate a credential may use at once, if nobody says.
const BURST_FACTOR: u32 = 2;

/// Who may call the API.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Ask nobody for credentials; the tenant comes from the header `X-Tenant-ID`. Serves this
    /// machine alone
    #[arg(long, env = "SESSION_LEDGER_NO_AUTH", value_parser = BoolishValueParser::new())]
    no_auth: bool,

    /// With --no-auth, serve on an address that other machines can reach. Only where something else
    /// keeps strangers out: whoever reaches it reads and writes everything
    #[arg(long, env = "SESSION_LEDGER_TRUST_NETWORK", value_parser = BoolishValueParser::new())]
    trust_network: bool,

    #[command(flatten)]
    tokens: TokenArgs,

    /// Requests a second that each credential may make on this server; more are answered with 429
    #[arg(long, env = "SESSION_LEDGER_RATE_LIMIT", value_name = "N")]
    rate_limit: Option<NonZeroU32>,

    /// With --rate-limit, requests that a credential may make at once after a rest; twice the limit
    /// if not given
    #[arg(
        long,
        env = "SESSION_LEDGER_RATE_BURST",
        value_name = "N",
        requires = "rate_limit"
    )]
    rate_burst: Option<NonZeroU32>,
}

impl AccessArgs {
    /// Whom the arguments let in.
    pub(super) fn access(self) -> anyhow::Result<Access> {
        let asks = self.tokens.is_given() || self.rate_limit.is_some();
        match (self.no_auth, self.trust_network) {
            (true, _) if asks => Err(Usage(
                "--no-auth asks nobody for credentials: leave it out, or leave out --jwt-... and \
                 --rate-limit"
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

    fn limit(&self) -> Option<RateLimit> {
        let per_second = self.rate_limit?;
        let twice = per_second.saturating_mul(NonZeroU32::new(BURST_FACTOR)?);
        Some(RateLimit {
            per_second,
            burst: self.rate_burst.unwrap_or(twice),
        })
    }
}
