//! The settings of a connection to a stream.

use std::fmt;
use std::path::PathBuf;

use crate::wire::{ADMIN_STREAM_SUBJECTS, stream_subjects};

/// The servers, the stream and our credentials.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// The servers of one cluster, `nats://` or `tls://`.
    pub urls: Vec<String>,
    /// Our credentials.
    pub credentials: Credentials,
    /// The name of the stream.
    pub stream: String,
    /// The description of the stream, for operators.
    pub description: &'static str,
    /// All subjects of the stream.
    pub subjects: Vec<String>,
    /// The number of replicas that the stream needs.
    pub replicas: usize,
    /// The prefix of our inboxes. Permissions on it keep other users from reading answers to us.
    pub inbox_prefix: String,
}

impl JetStreamConfig {
    /// Returns the defaults: the stream `LEDGER` for events, one replica, no credentials.
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            credentials: Credentials::None,
            stream: "LEDGER".to_owned(),
            description: "Events of the session ledger",
            subjects: stream_subjects(),
            replicas: 1,
            inbox_prefix: "_INBOX".to_owned(),
        }
    }

    /// Returns a subject of the stream that no runtime publishes on.
    pub(super) fn probe_subject(&self) -> String {
        let last = self.subjects.last().map_or("", String::as_str);
        last.replace('*', "probe")
    }

    /// Returns the settings of the stream of API keys, which is `LEDGER_ADMIN` for `LEDGER`.
    #[must_use]
    pub fn admin(&self) -> Self {
        Self {
            stream: format!("{}_ADMIN", self.stream),
            description: "Keys of the session ledger",
            subjects: ADMIN_STREAM_SUBJECTS.map(str::to_owned).to_vec(),
            ..self.clone()
        }
    }
}

/// How the ledger logs in to the server.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Without credentials.
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
    /// Prints no password and no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, password: _ } => write!(f, "UserPassword({user:?}, ..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}
