//! Options for TLS on the connections to NATS.

use std::path::PathBuf;

use clap::Args;

use crate::app::secret_files::SecretFile;
use crate::app::tls::{ClientTls, NamedFile, TlsError};
use crate::log::jetstream::NatsTls;

/// How to encrypt the connections to NATS.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names are the options'")]
pub(super) struct NatsTlsArgs {
    /// CAs of the NATS servers in PEM, instead of those of this machine. With it, every connection to
    /// NATS must use TLS
    #[arg(long, env = "SESSION_LEDGER_NATS_CA", value_name = "FILE")]
    nats_ca: Option<PathBuf>,

    /// Certificate of the ledger in PEM, for NATS servers that require one (`verify: true`). The
    /// ledger reads the file again for every connection
    #[arg(long, env = "SESSION_LEDGER_NATS_CLIENT_CERT", value_name = "FILE")]
    #[arg(requires = "nats_client_key")]
    nats_client_cert: Option<PathBuf>,

    /// Private key of that certificate in PEM, without a password
    #[arg(long, env = "SESSION_LEDGER_NATS_CLIENT_KEY", value_name = "FILE")]
    #[arg(requires = "nats_client_cert")]
    nats_client_key: Option<PathBuf>,

    /// Start TLS before NATS says anything, for servers with `handshake_first`
    #[arg(long, env = "SESSION_LEDGER_NATS_TLS_FIRST")]
    #[arg(value_parser = clap::builder::BoolishValueParser::new())]
    nats_tls_first: bool,
}

impl NatsTlsArgs {
    /// Returns the settings. Checks the files, which the client of NATS reads for each connection.
    pub(super) fn read(&self) -> Result<NatsTls, TlsError> {
        let own = NamedFile::given("--nats-client-cert", self.nats_client_cert.as_ref()).zip(
            NamedFile::given("--nats-client-key", self.nats_client_key.as_ref()),
        );
        let ca = NamedFile::given("--nats-ca", self.nats_ca.as_ref());
        ClientTls::read(ca, own)?;
        Ok(NatsTls {
            ca: self.nats_ca.clone(),
            own: self
                .nats_client_cert
                .clone()
                .zip(self.nats_client_key.clone()),
            first: self.nats_tls_first,
        })
    }

    /// The file with the private key.
    pub(super) fn secret_file(&self) -> Option<SecretFile> {
        SecretFile::given("--nats-client-key", self.nats_client_key.as_ref())
    }
}
