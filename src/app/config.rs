//! What a ledger is started with. The command line fills it; tests and `demo` build it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::jwt::TokenConfig;
use crate::auth::{ApiKey, RateLimit};
use crate::dialects::Dialect;
use crate::http::Origin;
use crate::log::jetstream::JetStreamConfig;

/// Everything that a ledger is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// Where it serves HTTP. Port 0 is any free one.
    pub listen: SocketAddr,
    /// Where it serves one dialect alone.
    pub dialects: Vec<DialectAddress>,
    /// Where the log is.
    pub log: LogSource,
    /// The secret that tokens are made with; `None` is one in the data directory, made at need.
    pub token_secret_file: Option<PathBuf>,
    /// Who may call it.
    pub access: Access,
    /// Whose pages may call it from a browser.
    pub origins: Vec<Origin>,
}

/// An address that one dialect alone is served on, from its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialectAddress {
    /// Which one.
    pub dialect: Dialect,
    /// Where. Port 0 is any free one.
    pub listen: SocketAddr,
}

/// Where the log is.
#[derive(Debug, Clone)]
pub enum LogSource {
    /// In the data directory.
    Embedded,
    /// On a stream of a NATS server.
    JetStream(JetStreamConfig),
}

/// Who may call the API.
#[derive(Debug, Clone)]
pub enum Access {
    /// Callers must show credentials.
    Credentials(Box<CredentialConfig>),
    /// Everybody who reaches the address, which is on this machine alone.
    Local,
    /// Everybody who reaches the address: the network is trusted.
    Network,
    /// Who has a key that this process made up and nobody else knows; it is on no log. For any
    /// tenant.
    Private(ApiKey),
}

/// Which credentials are good. Keys of the ledger always are.
#[derive(Debug, Clone, Default)]
pub struct CredentialConfig {
    /// Tokens of somebody else, if any.
    pub tokens: Option<TokenConfig>,
    /// How many requests each credential may make, if that is limited.
    pub rate_limit: Option<RateLimit>,
}

/// Why a ledger must not start like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is reachable from other machines, and nobody would be asked for credentials.
    #[error(
        "--no-auth asks nobody for credentials, and {0} can be reached from other machines: \
         listen on 127.0.0.1, or add --trust-network if something else keeps strangers out"
    )]
    Exposed(SocketAddr),
    /// Every page could read and write everything.
    #[error(
        "--cors-origin '*' lets every page in a browser on this machine read and write everything \
         while --no-auth asks nobody for credentials: name the origins of your own pages"
    )]
    AnyOrigin,
}

impl Config {
    /// A ledger with the embedded log that only this machine can reach.
    pub fn local(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data_dir,
            listen,
            dialects: Vec::new(),
            log: LogSource::Embedded,
            token_secret_file: None,
            access: Access::Local,
            origins: Vec::new(),
        }
    }

    /// Refuses what would serve strangers.
    pub fn check(&self) -> Result<(), ConfigError> {
        let of_dialects = self.dialects.iter().map(|dialect| dialect.listen);
        let mut all = [self.listen].into_iter().chain(of_dialects);
        let exposed = match &self.access {
            Access::Local => all.find(|addr| !addr.ip().is_loopback()),
            Access::Network | Access::Credentials(_) | Access::Private(_) => None,
        };
        if let Some(addr) = exposed {
            return Err(ConfigError::Exposed(addr));
        }
        let asks_nobody = matches!(self.access, Access::Local | Access::Network);
        if asks_nobody && self.origins.contains(&Origin::Any) {
            return Err(ConfigError::AnyOrigin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, access: Access, expected: Result<(), ConfigError>) {
        let mut config = Config::local(PathBuf::new(), listen.parse().unwrap());
        config.access = access;
        assert_eq!(config.check(), expected, "{listen} {:?}", config.access);
    }

    #[test]
    fn without_credentials_only_this_machine_is_served_unless_the_network_is_trusted() {
        let outside = "0.0.0.0:1";
        check("127.0.0.1:1", Access::Local, Ok(()));
        check("[::1]:1", Access::Local, Ok(()));
        check(
            outside,
            Access::Local,
            Err(ConfigError::Exposed(outside.parse().unwrap())),
        );
        let listen = outside.parse().unwrap();
        let mut config = Config::local(PathBuf::new(), "127.0.0.1:1".parse().unwrap());
        let dialect = Dialect::Agi;
        config.dialects.push(DialectAddress { dialect, listen });
        assert_eq!(config.check(), Err(ConfigError::Exposed(listen)));
        let mut config = Config::local(PathBuf::new(), "127.0.0.1:1".parse().unwrap());
        config.origins.push(Origin::Any);
        assert_eq!(config.check(), Err(ConfigError::AnyOrigin));
        config.access = Access::Credentials(Box::default());
        assert_eq!(config.check(), Ok(()));
        check(outside, Access::Network, Ok(()));
        check(outside, Access::Credentials(Box::default()), Ok(()));
    }
}
