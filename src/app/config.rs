//! What a ledger is started with. The command line fills it; tests and `demo` build it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything that a ledger is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// Where it serves HTTP. Port 0 is any free one.
    pub listen: SocketAddr,
    /// Where the log is.
    pub log: LogSource,
    /// Who may call it.
    pub access: Access,
}

/// Where the log is.
#[derive(Debug, Clone)]
pub enum LogSource {
    /// In the data directory.
    Embedded,
    /// On a stream of a NATS server.
    JetStream(NatsOptions),
}

/// How to reach the stream, and who we are.
#[derive(Clone)]
pub struct NatsOptions {
    /// Servers of one cluster.
    pub urls: Vec<String>,
    /// User and password.
    pub user: Option<(String, String)>,
    /// File with a JWT and its seed, instead of user and password.
    pub creds: Option<PathBuf>,
    /// Name of the stream.
    pub stream: String,
    /// Replicas of the stream.
    pub replicas: usize,
    /// Prefix of the subjects on which the server answers us.
    pub inbox_prefix: String,
}

/// Who may call the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Callers must show credentials.
    Credentials,
    /// Everybody who reaches the address, which is on this machine alone.
    Local,
    /// Everybody who reaches the address: the network is trusted.
    Network,
}

/// Why a ledger must not start like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// This build cannot check credentials.
    #[error(
        "this build cannot check credentials yet, so it serves only if told to serve everybody: \
         add --no-auth (the tenant then comes from the header X-Tenant-ID)"
    )]
    NoCredentials,
    /// The address is reachable from other machines, and nobody would be asked for credentials.
    #[error(
        "--no-auth asks nobody for credentials, and {0} can be reached from other machines: \
         listen on 127.0.0.1, or add --trust-network if something else keeps strangers out"
    )]
    Exposed(SocketAddr),
}

impl Config {
    /// A ledger with the embedded log that only this machine can reach.
    pub fn local(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data_dir,
            listen,
            log: LogSource::Embedded,
            access: Access::Local,
        }
    }

    /// Refuses what would serve strangers.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.access {
            Access::Credentials => Err(ConfigError::NoCredentials),
            Access::Local if !self.listen.ip().is_loopback() => {
                Err(ConfigError::Exposed(self.listen))
            }
            Access::Local | Access::Network => Ok(()),
        }
    }
}

impl fmt::Debug for NatsOptions {
    /// Keeps the password out of every log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("urls", &self.urls)
            .field("user", &self.user.as_ref().map(|(user, _password)| user))
            .field("creds", &self.creds)
            .field("stream", &self.stream)
            .field("replicas", &self.replicas)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, access: Access, expected: Result<(), ConfigError>) {
        let mut config = Config::local(PathBuf::new(), listen.parse().unwrap());
        config.access = access;
        assert_eq!(config.check(), expected, "{listen} {access:?}");
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
        check(outside, Access::Network, Ok(()));
        check(
            "127.0.0.1:1",
            Access::Credentials,
            Err(ConfigError::NoCredentials),
        );
    }

    #[test]
    fn a_password_does_not_show() {
        let options = NatsOptions {
            urls: vec!["nats://h".to_owned()],
            user: Some(("ledger".to_owned(), "secret".to_owned())),
            creds: None,
            stream: "LEDGER".to_owned(),
            replicas: 1,
            inbox_prefix: "_INBOX".to_owned(),
        };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
