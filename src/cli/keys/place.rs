//! Where keys are changed: through a server, in a data directory without a server, or on NATS.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;

use crate::app::keys::{KeySource, OpenKeys};
use crate::app::open::OpenError;
use crate::app::telemetry::{self, LogFormat};
use crate::auth::{Author, Grant, KeyId};
use crate::cli::Usage;
use crate::cli::client::{Api, Identity, read};
use crate::cli::client_tls::ClientTlsArgs;
use crate::cli::nats::NatsArgs;
use crate::cli::target::{DEFAULT_URL, KeyArgs, NOBODY, URL_VARIABLE, tenant};
use crate::cli::typed::Typed;
use crate::domain::{AgentId, TenantId, Timestamp};
use crate::http::dto::{IssuedKey, Key, KeyList, NewKey};

/// The number of keys on a page that the server returns.
const PAGE_KEYS: &str = "200";

/// Where the keys are. It must be the last of a command's arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which ledger")]
pub(super) struct KeysArgs {
    #[command(flatten)]
    typed: Typed,

    /// Server to call; by default the one on this machine, port 8787
    #[arg(long, env = URL_VARIABLE, value_name = "URL")]
    url: Option<String>,

    // The key or token must have the role admin.
    #[command(flatten)]
    who: KeyArgs,

    #[command(flatten)]
    tls: ClientTlsArgs,

    /// Data directory of a ledger with the built-in log, instead of a server. No server may have it
    /// open; `issue` creates what is missing
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Tenant of the keys. Not needed with a key, which has a tenant
    #[arg(long, env = "SESSION_LEDGER_TENANT", value_name = "TENANT", value_parser = tenant)]
    tenant: Option<String>,

    #[command(flatten)]
    nats: NatsArgs,
}

impl KeysArgs {
    /// Opens the place of the keys. With `make` the data directory may be empty or missing.
    pub(super) async fn open(mut self, make: bool) -> anyhow::Result<Place> {
        if let Some(source) = self.log(make)? {
            let Some(tenant) = self.tenant else {
                let why = "--tenant is required: it names the tenant of the keys";
                return Err(Usage(why.to_owned()).into());
            };
            let tenant = TenantId::parse(&tenant)?;
            telemetry::init(LogFormat::Text, "warn")?;
            let keys = OpenKeys::open(source).await.map_err(with_advice)?;
            return Ok(Place::Log(Box::new(keys), tenant));
        }
        if !self.who.is_given() && self.tenant.is_none() {
            let other = "; for the first key of a ledger, --data-dir or --nats-url";
            return Err(Usage(format!("{NOBODY}{other}")).into());
        }
        let who = Identity {
            key: self.who.read()?,
            tenant: self.tenant,
        };
        let url = self.url.as_deref().unwrap_or(DEFAULT_URL);
        Ok(Place::Server(Api::with_tls(url, who, &self.tls.read()?)?))
    }
}

impl KeysArgs {
    /// Returns where the log of keys is; `None` means to use a server.
    fn log(&mut self, make: bool) -> Result<Option<KeySource>, anyhow::Error> {
        self.typed.refuse_both()?;
        let names_server = self.url.is_some() || self.who.is_given();
        if self.typed.server || (names_server && !self.typed.log) {
            return Ok(None);
        }
        Ok(match (self.data_dir.take(), self.nats.config()?) {
            (Some(_), Some(_)) if !self.typed.nats => {
                return Err(Usage(BUILT_IN_OR_NATS.to_owned()).into());
            }
            // As for `serve`: if there is a directory too, the logs are still on NATS.
            (_, Some(nats)) => Some(KeySource::JetStream(Box::new(nats))),
            (Some(dir), None) => Some(KeySource::Directory { dir, make }),
            (None, None) => None,
        })
    }
}

const BUILT_IN_OR_NATS: &str = "--data-dir is for a ledger with the built-in log, and the variable \
                                SESSION_LEDGER_NATS_URL names a log on NATS: remove one of them";

fn with_advice(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Held(dir)) => held(dir),
        _ => error,
    }
}

fn held(dir: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "a server holds the directory {}. Call that server with a key that has the role admin: \
         put the key into the variable SESSION_LEDGER_KEY, and give --url http://HOST:PORT instead \
         of --data-dir. If there is no such key yet, stop the server, run this command again, and \
         restart the server",
        dir.display()
    )
}

/// A place where keys can be changed.
#[expect(clippy::large_enum_variant, reason = "a command has one")]
pub(super) enum Place {
    /// A server.
    Server(Api),
    /// The log of keys, for one tenant.
    Log(Box<OpenKeys>, TenantId),
}

impl Place {
    /// Runs `work`, and then closes the log.
    pub(super) async fn done<R>(
        self,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<R>,
    ) -> anyhow::Result<R> {
        let done = work(&self).await;
        if let Self::Log(keys, _) = self {
            keys.close().await;
        }
        done
    }

    pub(super) async fn issue(&self, new: NewKey) -> anyhow::Result<IssuedKey> {
        match self {
            Self::Server(api) => {
                let path = ["v1", "keys"];
                let issued = api.change(Method::POST, &path, None, &new).await;
                read(&issued.map_err(|error| {
                    error.with_advice(|| {
                        "the key may have been issued nevertheless, and its text is lost: find it \
                         with `keys list` and revoke it"
                            .to_owned()
                    })
                })?)
            }
            Self::Log(log, tenant) => {
                let grant = grant(tenant.clone(), new)?;
                let (key, entry) = log
                    .keys
                    .issue(grant, Author::Operator, log.clock.now())
                    .await?;
                Ok(IssuedKey {
                    key: key.reveal(),
                    entry: Key::from(&*entry),
                })
            }
        }
    }

    pub(super) async fn list(&self) -> anyhow::Result<Vec<Key>> {
        match self {
            Self::Server(api) => {
                let mut keys = Vec::new();
                loop {
                    let offset = keys.len().to_string();
                    let query = vec![("limit", PAGE_KEYS), ("offset", &offset)];
                    let page: KeyList = read(&api.get(&["v1", "keys"], &query).await?)?;
                    let count = page.keys.len();
                    keys.extend(page.keys);
                    if count == 0 || page.total <= keys.len() as u64 {
                        return Ok(keys);
                    }
                }
            }
            Self::Log(log, tenant) => {
                let keys = log.keys.list(tenant);
                Ok(keys.iter().map(|entry| Key::from(&**entry)).collect())
            }
        }
    }

    pub(super) async fn revoke(&self, id: KeyId) -> anyhow::Result<Key> {
        match self {
            Self::Server(api) => {
                let (id, nothing) = (id.to_string(), serde_json::Map::new());
                let path = ["v1", "keys", &id];
                read(&api.change(Method::DELETE, &path, None, &nothing).await?)
            }
            Self::Log(log, tenant) => {
                let revoked = log
                    .keys
                    .revoke(tenant, id, Author::Operator, log.clock.now())
                    .await?;
                let entry = revoked.with_context(|| format!("there is no key {id} of {tenant}"))?;
                Ok(Key::from(&*entry))
            }
        }
    }
}

fn grant(tenant: TenantId, new: NewKey) -> anyhow::Result<Grant> {
    let agent = new.agent_id.map(|id| AgentId::parse(&id)).transpose();
    Ok(Grant {
        tenant,
        name: new.name.map(String::into_boxed_str),
        // clap has checked the words and the time.
        roles: new
            .roles
            .iter()
            .filter_map(|word| word.parse().ok())
            .collect(),
        agent: agent.map_err(|error| Usage(format!("--agent: {error}")))?,
        expires_at: new.expires_at.and_then(|time| Timestamp::parse(&time)),
    })
}
