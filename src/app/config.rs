//! The configuration of a ledger. The command line fills it in; tests and `demo` build it directly.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::app::secret_files::SecretFile;
use crate::app::snapshots::Snapshots;
use crate::app::tls::TlsFiles;
use crate::auth::jwt::TokenConfig;
use crate::auth::{ApiKey, RateLimit};
use crate::dialects::Dialect;
use crate::http::Origin;
use crate::log::jetstream::JetStreamConfig;

/// The configuration of a ledger.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory with its files.
    pub data_dir: PathBuf,
    /// The address of the HTTP server. Port 0 is any free port.
    pub listen: SocketAddr,
    /// Further addresses that serve one dialect only.
    pub dialects: Vec<DialectAddress>,
    /// Where the log is.
    pub log: LogSource,
    /// The file with the secret that session tokens are made from. `None` is the file in the data
    /// directory, which is created if it is missing.
    pub token_secret_file: Option<PathBuf>,
    /// The files for TLS on every address; `None` serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The files with secrets that the options name, to warn if others can read them.
    pub secret_files: Vec<SecretFile>,
    /// Who may call the API.
    pub access: Access,
    /// The origins whose pages may call the API from a browser (CORS).
    pub origins: Vec<Origin>,
    /// Where snapshots of the read model are; `None` neither reads nor writes any.
    pub snapshots: Option<Snapshots>,
    /// Whether the server keeps a history file, for answers as of a past position.
    pub history: bool,
    /// The URL of a trace, with `{trace_id}` in the place of its id.
    pub trace_url: Option<String>,
}

/// An address that serves one dialect only, at its root path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialectAddress {
    /// The dialect.
    pub dialect: Dialect,
    /// The address. Port 0 is any free port.
    pub listen: SocketAddr,
}

/// Where the log is.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a process has few of them")]
pub enum LogSource {
    /// The built-in log, in the data directory.
    Embedded,
    /// A stream of a NATS server.
    JetStream(JetStreamConfig),
}

/// Who may call the API.
#[derive(Debug, Clone)]
pub enum Access {
    /// Callers with a credential.
    Credentials(Box<CredentialConfig>),
    /// Every caller. The address must be on the loopback interface.
    Local,
    /// Every caller. The address may be any: the network is trusted.
    Network,
    /// Callers with this key, for any tenant. This process generated the key, and the key is on no
    /// log.
    Private(ApiKey),
}

/// Which credentials are accepted. Keys of the ledger always are.
#[derive(Debug, Clone, Default)]
pub struct CredentialConfig {
    /// Tokens of an identity provider; `None` accepts none.
    pub tokens: Option<TokenConfig>,
    /// The rate limit of each credential; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
}

/// Why a configuration is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Callers on other machines could use the API without credentials.
    #[error(
        "with --no-auth the server requires no credentials, and {0} can be reached from other \
         machines: listen on 127.0.0.1, or add --trust-network if something else controls who can \
         connect"
    )]
    Exposed(SocketAddr),
    /// Every web page could read and write everything.
    #[error(
        "with --no-auth the server requires no credentials, and --cors-origin '*' lets every page in \
         a browser on this machine read and write everything: name the origins of your own pages \
         instead"
    )]
    AnyOrigin,
}

impl Config {
    /// A ledger with the built-in log and without credentials, on the loopback interface.
    pub fn local(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data_dir,
            listen,
            dialects: Vec::new(),
            log: LogSource::Embedded,
            token_secret_file: None,
            tls: None,
            secret_files: Vec::new(),
            access: Access::Local,
            origins: Vec::new(),
            snapshots: None,
            history: true,
            trace_url: None,
        }
    }

    /// Rejects a configuration that would let strangers use the API.
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
        let serves_everybody = matches!(self.access, Access::Local | Access::Network);
        if serves_everybody && self.origins.contains(&Origin::Any) {
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
