//! Who may call a server: options of `serve`.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap::builder::BoolishValueParser;

use crate::app::{Access, CredentialConfig};
use crate::auth::RateLimit;
use crate::auth::jwt::{ClaimNames, ClaimRules, KeySetSource, Secret, TokenConfig};
use crate::cli::Usage;
use crate::domain::limits::HS256_SECRET_BYTES_MIN;

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

    /// Accept tokens (JWT) signed with a key of this key set (JWKS): RS256, ES256 or EdDSA. A file,
    /// read again when it changes, or a URL (https, or http on this machine), fetched every 5 min
    /// and when a token names an unknown key
    #[arg(long, env = "SESSION_LEDGER_JWT_JWKS", value_name = "FILE|URL")]
    #[arg(value_parser = KeySetSource::parse)]
    jwt_jwks: Option<KeySetSource>,

    /// Accept tokens signed with HS256 and the secret in this file: 32 bytes or more, one end of
    /// line at its end aside
    #[arg(
        long,
        env = "SESSION_LEDGER_JWT_HS256_SECRET_FILE",
        value_name = "FILE"
    )]
    jwt_hs256_secret_file: Option<PathBuf>,

    /// Issuer that tokens must name (`iss`). Without it, whoever has one of the keys is trusted
    #[arg(long, env = "SESSION_LEDGER_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,

    /// Audience that tokens must name (`aud`); repeat it to allow several. Without it, tokens that
    /// name any audience are refused: they are meant for somebody else
    #[arg(long, env = "SESSION_LEDGER_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: Vec<String>,

    /// Claim that holds a token's tenant, or a list of them. Without it, `tenant_id` and `tenants`
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_TENANT", value_name = "CLAIM")]
    jwt_claim_tenant: Option<String>,

    /// Claim that holds a token's roles: a list, or words with spaces between them. Other words
    /// than read, write, audit and admin are ignored
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_ROLES", value_name = "CLAIM")]
    #[arg(default_value = "roles")]
    jwt_claim_roles: String,

    /// Claim that holds the only agent on whose behalf a token's bearer may write
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_AGENT", value_name = "CLAIM")]
    #[arg(default_value = "agent_id")]
    jwt_claim_agent: String,

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
        let asks = self.jwt_jwks.is_some()
            || self.jwt_hs256_secret_file.is_some()
            || self.rate_limit.is_some();
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
                tokens: self.tokens()?,
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

    fn tokens(self) -> anyhow::Result<Option<TokenConfig>> {
        let secret = self.jwt_hs256_secret_file.as_deref();
        let secret = secret.map(read_secret).transpose()?;
        if self.jwt_jwks.is_none() && secret.is_none() {
            if self.jwt_issuer.is_some() || !self.jwt_audience.is_empty() {
                let why = "tokens need --jwt-jwks or --jwt-hs256-secret-file to be checked with";
                return Err(Usage(why.to_owned()).into());
            }
            return Ok(None);
        }
        let mut names = ClaimNames {
            roles: self.jwt_claim_roles,
            agent: self.jwt_claim_agent,
            ..ClaimNames::default()
        };
        if let Some(claim) = self.jwt_claim_tenant {
            names.tenants = vec![claim];
        }
        Ok(Some(TokenConfig {
            key_set: self.jwt_jwks,
            pace: None,
            secret,
            rules: ClaimRules {
                issuer: self.jwt_issuer,
                audiences: self.jwt_audience,
                names,
            },
        }))
    }
}

fn read_secret(file: &Path) -> anyhow::Result<Secret> {
    let bytes = fs::read(file)
        .with_context(|| format!("cannot read the secret file {}", file.display()))?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let secret = Secret::new(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    secret.ok_or_else(|| {
        let file = file.display();
        let why = format!(
            "--jwt-hs256-secret-file {file}: a secret needs {HS256_SECRET_BYTES_MIN} bytes or more"
        );
        Usage(why).into()
    })
}
