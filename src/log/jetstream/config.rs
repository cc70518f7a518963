//! How to reach the stream.

use std::fmt;
use std::path::PathBuf;

/// Where the stream is, and who we are.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// Servers of one cluster, `nats://` or `tls://`.
    pub urls: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// Name of the stream.
    pub stream: String,
    /// Replicas that the stream needs.
    pub replicas: usize,
    /// Prefix of our inboxes: permissions on it keep others from reading our answers.
    pub inbox_prefix: String,
}

impl JetStreamConfig {
    /// The defaults: stream `LEDGER`, one replica, no credentials.
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            credentials: Credentials::None,
            stream: "LEDGER".to_owned(),
            replicas: 1,
            inbox_prefix: "_INBOX".to_owned(),
        }
    }
}

/// Who we are to the server.
#[derive(Clone)]
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// A user of the server's configuration.
    UserPassword {
        /// Its name.
        user: String,
        /// Its password.
        password: String,
    },
    /// A file with a JWT and its seed.
    File(PathBuf),
    /// A shared token.
    Token(String),
}

impl fmt::Debug for Credentials {
    /// Keeps passwords and tokens out of every log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, password: _ } => write!(f, "UserPassword({user:?}, ..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}
