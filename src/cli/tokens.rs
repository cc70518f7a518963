//! Options of `serve` that decide which tokens (JWT) the server accepts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use strum::VariantNames;

use crate::app::secret_files::SecretFile;
use crate::auth::Role;
use crate::auth::jwt::{
    ClaimName, ClaimRules, KeySetSource, RoleRules, RoleWords, Secret, TenantRule, TokenConfig,
};
use crate::cli::Usage;
use crate::domain::TenantId;
use crate::domain::limits::{CLAIM_NAMES_MAX, HS256_SECRET_BYTES_MIN};

/// Which tokens the server accepts, and how it reads them.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names are the options'")]
pub(super) struct TokenArgs {
    /// Accept tokens (JWT) signed with a key of this key set (JWKS): RS256, ES256 or EdDSA
    /// (Ed25519). Either a file, which the server reads again when it changes, or a URL (https, or
    /// http on this machine), which the server fetches every 5 min and when a token names an
    /// unknown key
    #[arg(long, env = "SESSION_LEDGER_JWT_JWKS", value_name = "FILE|URL")]
    #[arg(value_parser = KeySetSource::parse)]
    jwt_jwks: Option<KeySetSource>,

    /// Accept tokens signed with HS256 and the secret in this file: 32 bytes or more. A line end at
    /// the end of the file is not part of it
    #[arg(
        long,
        env = "SESSION_LEDGER_JWT_HS256_SECRET_FILE",
        value_name = "FILE"
    )]
    jwt_hs256_secret_file: Option<PathBuf>,

    /// Issuer that tokens must name (`iss`). Without it, the server trusts every issuer that has
    /// one of the keys
    #[arg(long, env = "SESSION_LEDGER_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,

    /// Audience that tokens must name (`aud`); repeat it to allow several. Without it, the server
    /// rejects tokens that name an audience: they are meant for another service
    #[arg(long, env = "SESSION_LEDGER_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: Vec<String>,

    /// Tenant of all tokens, whatever they claim. For an issuer that serves only one tenant
    #[arg(long, env = "SESSION_LEDGER_JWT_TENANT", value_name = "TENANT")]
    #[arg(value_parser = TenantId::parse, conflicts_with = "jwt_claim_tenant")]
    jwt_tenant: Option<TenantId>,

    /// Claim that holds a token's tenant, a list of tenants, or an object with tenants as names. To
    /// use several claims, repeat it or separate them with commas. By default `tenant_id` and
    /// `tenants`. A name with dots is the name of a claim or else a path: `a.b` is `b` within `a`
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_TENANT", value_name = "CLAIM")]
    #[arg(value_delimiter = ',', value_parser = ClaimName::parse)]
    jwt_claim_tenant: Vec<ClaimName>,

    /// Claim that holds a token's roles: a list, words separated by spaces or commas, or an object
    /// with roles as names. To use several claims, repeat it or separate them with commas. By
    /// default `roles`
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_ROLES", value_name = "CLAIM")]
    #[arg(value_delimiter = ',', value_parser = ClaimName::parse)]
    jwt_claim_roles: Vec<ClaimName>,

    /// Prefix of roles in the issuer's words: with `ledger/`, the word `ledger/read` gives the role
    /// read, and `read` gives none
    #[arg(long, env = "SESSION_LEDGER_JWT_ROLE_PREFIX", value_name = "PREFIX")]
    jwt_role_prefix: Option<String>,

    /// A word of the issuer and the role that it gives; repeat it, or separate several with commas.
    /// Without this option and --jwt-role-prefix, the words read, write, audit and admin give these
    /// roles; with either option, they do not. Other words are ignored
    #[arg(long, env = "SESSION_LEDGER_JWT_ROLE_MAP", value_name = "WORD=ROLE")]
    #[arg(value_delimiter = ',', value_parser = pair)]
    jwt_role_map: Vec<(String, Role)>,

    /// Claim that holds the agent to which a token is bound, for reads and writes. Without it,
    /// `agent_id`
    #[arg(long, env = "SESSION_LEDGER_JWT_CLAIM_AGENT", value_name = "CLAIM")]
    #[arg(value_parser = ClaimName::parse)]
    jwt_claim_agent: Option<ClaimName>,
}

impl TokenArgs {
    /// Whether any of these options is set.
    pub(super) fn is_given(&self) -> bool {
        self.jwt_jwks.is_some() || self.jwt_hs256_secret_file.is_some() || self.needs_keys()
    }

    /// Whether an option is set that needs a key set or a secret.
    fn needs_keys(&self) -> bool {
        self.jwt_issuer.is_some()
            || !self.jwt_audience.is_empty()
            || self.jwt_tenant.is_some()
            || !self.jwt_claim_tenant.is_empty()
            || !self.jwt_claim_roles.is_empty()
            || self.jwt_role_prefix.is_some()
            || !self.jwt_role_map.is_empty()
            || self.jwt_claim_agent.is_some()
    }

    /// The file with a secret that these options name.
    pub(super) fn secret_file(&self) -> Option<SecretFile> {
        let path = self.jwt_hs256_secret_file.as_ref();
        SecretFile::given("--jwt-hs256-secret-file", path)
    }

    /// Returns the configuration for tokens; `None` if the options accept none.
    pub(super) fn config(self) -> anyhow::Result<Option<TokenConfig>> {
        let secret = self.jwt_hs256_secret_file.as_deref();
        let secret = secret.map(read_secret).transpose()?;
        if self.jwt_jwks.is_none() && secret.is_none() {
            if self.needs_keys() {
                let why = "to check tokens, give --jwt-jwks or --jwt-hs256-secret-file";
                return Err(usage(why));
            }
            return Ok(None);
        }
        let usual = ClaimRules::default();
        let roles = RoleRules {
            claims: several(
                "--jwt-claim-roles",
                self.jwt_claim_roles,
                usual.roles.claims,
            )?,
            words: RoleWords::new(self.jwt_role_prefix, self.jwt_role_map)
                .map_err(|why| usage(format!("--jwt-role-prefix and --jwt-role-map: {why}")))?,
        };
        let tenant = match (self.jwt_tenant, usual.tenant) {
            (Some(tenant), _) => TenantRule::Fixed(tenant),
            (None, TenantRule::Claims(names)) => {
                let names = several("--jwt-claim-tenant", self.jwt_claim_tenant, names)?;
                TenantRule::Claims(names)
            }
            (None, fixed @ TenantRule::Fixed(_)) => fixed,
        };
        Ok(Some(TokenConfig {
            key_set: self.jwt_jwks,
            pace: None,
            secret,
            rules: ClaimRules {
                issuer: self.jwt_issuer,
                audiences: self.jwt_audience,
                tenant,
                roles,
                agent: self.jwt_claim_agent.unwrap_or(usual.agent),
            },
        }))
    }
}

/// Returns the given names, or the default ones if there are none.
fn several(
    option: &str,
    given: Vec<ClaimName>,
    usual: Vec<ClaimName>,
) -> anyhow::Result<Vec<ClaimName>> {
    if CLAIM_NAMES_MAX < given.len() {
        let why = format!("{option} may name {CLAIM_NAMES_MAX} claims at most");
        return Err(usage(why));
    }
    Ok(if given.is_empty() { usual } else { given })
}

/// Parses `WORD=ROLE`. The word may contain an equals sign.
fn pair(text: &str) -> Result<(String, Role), String> {
    let (word, role) = text.rsplit_once('=').ok_or("write WORD=ROLE")?;
    let role = role.parse().map_err(|_no_role| {
        let roles = <Role as VariantNames>::VARIANTS.join(", ");
        format!("after the last `=` there must be a role: {roles}")
    })?;
    Ok((word.to_owned(), role))
}

fn read_secret(file: &Path) -> anyhow::Result<Secret> {
    let bytes = fs::read(file)
        .with_context(|| format!("cannot read the secret file {}", file.display()))?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let secret = Secret::new(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    secret.ok_or_else(|| {
        let file = file.display();
        usage(format!(
            "--jwt-hs256-secret-file {file}: a secret needs {HS256_SECRET_BYTES_MIN} bytes or more"
        ))
    })
}

fn usage(why: impl Into<String>) -> anyhow::Error {
    Usage(why.into()).into()
}
