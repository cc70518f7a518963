//! Options of `serve` for TLS.

use std::path::PathBuf;

use clap::Args;

use crate::app::secret_files::SecretFile;
use crate::app::tls::TlsFiles;

/// With which files the server speaks TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
#[expect(clippy::struct_field_names, reason = "the names are the options'")]
pub(super) struct ServeTlsArgs {
    /// Certificate of the server in PEM, followed by those of its CAs. With it and --tls-key, every
    /// address serves only TLS, also those of dialects. The server reads both files again when they
    /// change
    #[arg(long, env = "SESSION_LEDGER_TLS_CERT", value_name = "FILE")]
    #[arg(requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate in PEM, without a password
    #[arg(long, env = "SESSION_LEDGER_TLS_KEY", value_name = "FILE")]
    #[arg(requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// CAs of clients in PEM. With it, only clients with a certificate of one of them can connect.
    /// They need a key or token all the same
    #[arg(long, env = "SESSION_LEDGER_TLS_CLIENT_CA", value_name = "FILE")]
    #[arg(requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

impl ServeTlsArgs {
    /// Returns the files; `None` serves plain HTTP.
    pub(super) fn files(self) -> Option<TlsFiles> {
        let (cert, key) = self.tls_cert.zip(self.tls_key)?;
        Some(TlsFiles::new(cert, key, self.tls_client_ca))
    }

    /// The file with the private key.
    pub(super) fn secret_file(&self) -> Option<SecretFile> {
        SecretFile::given("--tls-key", self.tls_key.as_ref())
    }
}
