//! How to reach the stream.

use std::fmt;
use std::path::PathBuf;

use crate::wire::{ADMIN_STREAM_SUBJECTS, stream_subjects};

/// Where the stream is, and who we are.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// Servers of one cluster, `nats://` or `tls://`.
    pub urls: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// Name of the stream.
    pub stream: String,
    /// What the stream is for, in words.
    pub description: &'static str,
    /// All subjects of the stream.
    pub subjects: Vec<String>,
    /// Replicas that the stream needs.
    pub replicas: usize,
    /// Prefix of our inboxes: permissions on it keep others from reading our answers.
    pub inbox_prefix: String,
}

impl JetStreamConfig {
    /// The defaults: stream `LEDGER` with the events, one replica, no credentials.
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

    /// A subject of the stream that no runtime publishes on.
    pub(super) fn probe_subject(&self) -> String {
        let last = self.subjects.last().map_or("", String::as_str);
        last.replace('*', "probe")
    }

    /// The stream beside this one that holds the keys: `LEDGER_ADMIN` beside `LEDGER`.
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

/// Who we are to the server.
#[derive(Clone, PartialEq, Eq)]
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
