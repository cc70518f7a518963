//! Options for TLS of the commands that call a server.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::app::secret_files::SecretFile;
use crate::app::tls::{ClientTls, NamedFile, TlsError};

/// How to connect to a server whose URL begins with `https://`.
#[derive(Debug, Args)]
pub(super) struct ClientTlsArgs {
    /// CAs to trust for an `https://` server, in PEM, instead of those of this machine
    #[arg(long, env = "SESSION_LEDGER_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,

    /// Certificate in PEM for a server that requires one of its clients (`serve --tls-client-ca`)
    #[arg(long, env = "SESSION_LEDGER_CLIENT_CERT", value_name = "FILE")]
    #[arg(requires = "client_key")]
    client_cert: Option<PathBuf>,

    /// Private key of that certificate in PEM, without a password
    #[arg(long, env = "SESSION_LEDGER_CLIENT_KEY", value_name = "FILE")]
    #[arg(requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl ClientTlsArgs {
    /// Reads the files.
    pub(super) fn read(&self) -> Result<ClientTls, TlsError> {
        let own = NamedFile::given("--client-cert", self.client_cert.as_ref())
            .zip(NamedFile::given("--client-key", self.client_key.as_ref()));
        let ca = NamedFile::given("--ca-cert", self.ca_cert.as_ref());
        ClientTls::read(ca, own)
    }

    /// The options that are given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("--ca-cert", &self.ca_cert),
            ("--client-cert", &self.client_cert),
            ("--client-key", &self.client_key),
        ];
        let given = files.into_iter();
        given.filter_map(|(name, file)| Some((name, file.as_deref()?)))
    }

    /// The file with the private key.
    pub(super) fn secret_file(&self) -> Option<SecretFile> {
        SecretFile::given("--client-key", self.client_key.as_ref())
    }
}
