//! The settings of a connection to a stream.

use std::fmt;
use std::path::PathBuf;

use nkeys::{KeyPair, KeyPairType};

use crate::wire::{ADMIN_STREAM_SUBJECTS, stream_subjects};

/// The servers, the stream and our credentials.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// The servers of one cluster, `nats://` or `tls://`.
    pub urls: Vec<String>,
    /// Our credentials.
    pub credentials: Credentials,
    /// How the connections are encrypted.
    pub tls: NatsTls,
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
            tls: NatsTls::default(),
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

/// How the connections to the servers are encrypted.
///
/// With any of these settings, TLS is required; otherwise the servers and the scheme of their addresses decide. The client reads the files for each
/// connection, so it uses renewed certificates from the next connection on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// The file of the CAs to trust; `None` is those of the system.
    pub ca: Option<PathBuf>,
    /// The files of our certificate and of its key, for servers that require one.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Whether to start TLS before the server says anything.
    pub first: bool,
}

impl NatsTls {
    /// Whether TLS is required.
    pub(super) fn is_required(&self) -> bool {
        self.ca.is_some() || self.own.is_some() || self.first
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
    /// A key pair of a user of the server's configuration.
    Nkey {
        /// The seed, which is the secret.
        seed: String,
        /// The public key, by which the server knows the user.
        public: String,
    },
}

impl Credentials {
    /// Returns the credentials with this seed; `None` if it is not the seed of a user.
    pub fn nkey(seed: String) -> Option<Self> {
        let pair = KeyPair::from_seed(&seed).ok()?;
        let is_user = pair.key_pair_type() == KeyPairType::User;
        let public = pair.public_key();
        is_user.then_some(Self::Nkey { seed, public })
    }
}

impl fmt::Debug for Credentials {
    /// Prints no password, token or seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, password: _ } => write!(f, "UserPassword({user:?}, ..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Nkey { seed: _, public } => write!(f, "Nkey({public}, ..)"),
        }
    }
}
