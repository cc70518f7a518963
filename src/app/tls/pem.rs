//! Reads certificates and private keys from PEM files. Each error names the option and the fix.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys, RootCertStore};

use crate::domain::limits::TLS_FILE_BYTES_MAX;

/// A file, and the option of the command line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The option, such as `--tls-key`.
    pub option: &'static str,
    /// The path.
    pub path: PathBuf,
}

/// Why a certificate or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{0}: the file cannot be read: it must exist, and this user must be able to read it")]
    Unreadable(NamedFile, #[source] io::Error),
    /// The file is too long.
    #[error(
        "{0}: the file has more than {TLS_FILE_BYTES_MAX} bytes: give a PEM file with only the \
         certificates or the key"
    )]
    TooLong(NamedFile),
    /// The file has no certificate.
    #[error(
        "{0}: the file has no certificate: give a PEM file with `-----BEGIN CERTIFICATE-----`; \
         `openssl x509 -inform der -in FILE` converts a DER file"
    )]
    NoCertificate(NamedFile),
    /// The file has no private key that can be read without a password.
    #[error(
        "{0}: the file has no private key: give a PEM file with `-----BEGIN PRIVATE KEY-----`; \
         `openssl pkey -in FILE` converts a DER file, and removes the password of an encrypted key"
    )]
    NoKey(NamedFile),
    /// The key belongs to another certificate.
    #[error(
        "{key}: this is not the key of the first certificate in {cert}: give the certificate and the \
         key of one pair. The server's or client's own certificate comes first, then those of its \
         CAs"
    )]
    Mismatch {
        /// The file with the certificate.
        cert: NamedFile,
        /// The file with the key.
        key: NamedFile,
    },
    /// The file is damaged, or has an algorithm that the ledger does not know.
    #[error(
        "{0}: the content cannot be used: give an RSA, ECDSA (P-256, P-384) or Ed25519 key, and \
         certificates that are not damaged"
    )]
    Unusable(NamedFile, #[source] RustlsError),
    /// A PEM block is damaged.
    #[error("{0}: the PEM text is damaged: write the file again")]
    Damaged(NamedFile),
}

impl NamedFile {
    /// The file that an option names.
    pub fn new(option: &'static str, path: PathBuf) -> Self {
        Self { option, path }
    }

    /// The file that an option names; `None` if the option is not given.
    pub fn given(option: &'static str, path: Option<&PathBuf>) -> Option<Self> {
        Some(Self::new(option, path?.clone()))
    }

    /// Reads the whole file.
    pub(super) fn read(&self) -> Result<Vec<u8>, TlsError> {
        let unreadable = |error| TlsError::Unreadable(self.clone(), error);
        let file = File::open(&self.path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        let mut bounded = file.take(TLS_FILE_BYTES_MAX + 1);
        bounded.read_to_end(&mut bytes).map_err(unreadable)?;
        if TLS_FILE_BYTES_MAX < bytes.len() as u64 {
            return Err(TlsError::TooLong(self.clone()));
        }
        Ok(bytes)
    }

    /// Reads the certificates of a PEM text: one or more.
    pub(super) fn certificates(
        &self,
        pem: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let read = read.map_err(|_error| TlsError::Damaged(self.clone()))?;
        if read.is_empty() {
            return Err(TlsError::NoCertificate(self.clone()));
        }
        Ok(read)
    }

    /// Reads the certificates of a PEM text as CAs to trust.
    pub(super) fn roots(&self, pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(pem)? {
            let added = roots.add(certificate);
            added.map_err(|error| TlsError::Unusable(self.clone(), error))?;
        }
        Ok(Arc::new(roots))
    }
}

impl fmt::Display for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.path.display())
    }
}

/// Reads a certificate with its chain, and its key. `texts` are the contents of the two files.
pub(super) fn pair(
    cert: &NamedFile,
    key: &NamedFile,
    texts: (&[u8], &[u8]),
) -> Result<CertifiedKey, TlsError> {
    let chain = cert.certificates(texts.0)?;
    let secret = PrivateKeyDer::from_pem_slice(texts.1).map_err(|error| match error {
        PemError::NoItemsFound => TlsError::NoKey(key.clone()),
        _damaged => TlsError::Damaged(key.clone()),
    })?;
    // The library finds faults of the certificate first when it compares the two.
    let provider = ring::default_provider();
    let usable = provider.key_provider.load_private_key(secret);
    let usable = usable.map_err(|error| TlsError::Unusable(key.clone(), error))?;
    let pair = CertifiedKey::new(chain, usable);
    match pair.keys_match() {
        Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(RustlsError::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            cert: cert.clone(),
            key: key.clone(),
        }),
        Err(other) => Err(TlsError::Unusable(cert.clone(), other)),
    }
}
