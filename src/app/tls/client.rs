//! The files with which the ledger and its commands connect to other servers by TLS.

use crate::app::tls::pem::{NamedFile, TlsError, pair};
use crate::domain::TlsFailure;

/// The files that a client of TLS needs, and their contents: PEM texts that were checked.
#[derive(Default)]
pub struct ClientTls {
    /// The CAs to trust; `None` is those of the system.
    pub ca: Option<(NamedFile, Vec<u8>)>,
    /// Our certificate with its chain, and then its key.
    pub own: Option<(NamedFile, Vec<u8>)>,
}

/// The files of a [`ClientTls`], for messages.
#[derive(Debug, Clone)]
pub struct ClientTlsFiles {
    ca: Option<NamedFile>,
    own: Option<NamedFile>,
}

impl ClientTls {
    /// Reads the files and checks that they can be used. `own` has our certificate and its key.
    pub fn read(
        ca: Option<NamedFile>,
        own: Option<(NamedFile, NamedFile)>,
    ) -> Result<Self, TlsError> {
        let mut read = Self::default();
        if let Some(ca) = ca {
            let pem = ca.read()?;
            ca.roots(&pem)?;
            read.ca = Some((ca, pem));
        }
        if let Some((cert, key)) = own {
            let (mut chain, secret) = (cert.read()?, key.read()?);
            pair(&cert, &key, (&chain, &secret))?;
            chain.push(b'\n');
            chain.extend(secret);
            read.own = Some((cert, chain));
        }
        Ok(read)
    }

    /// Whether there are any files.
    pub fn is_given(&self) -> bool {
        self.ca.is_some() || self.own.is_some()
    }

    /// Returns the files without their contents.
    pub fn files(&self) -> ClientTlsFiles {
        ClientTlsFiles {
            ca: self.ca.as_ref().map(|(file, _)| file.clone()),
            own: self.own.as_ref().map(|(file, _)| file.clone()),
        }
    }
}

impl ClientTlsFiles {
    /// Says what is wrong with a TLS connection to a ledger, and which option helps.
    pub fn explain(&self, failure: &TlsFailure) -> String {
        match (failure, &self.ca, &self.own) {
            (TlsFailure::UnknownIssuer, None, _) => {
                "its certificate is not from a CA that this machine trusts; name the file of its CA \
                 with --ca-cert"
                    .to_owned()
            }
            (TlsFailure::UnknownIssuer, Some(ca), _) => {
                format!("its certificate is not from a CA in {ca}; give the CA of this server")
            }
            (TlsFailure::WrongName, ..) => "its certificate is for other host names; use one of \
                                            them in --url, or give the server a certificate for \
                                            this one"
                .to_owned(),
            (TlsFailure::NotValidNow, ..) => "its certificate has expired or is not valid yet; renew \
                                              it, or correct the clock of this machine"
                .to_owned(),
            (TlsFailure::OurCertificate, _, None) => {
                "it requires a certificate of its clients; give one with --client-cert and \
                 --client-key"
                    .to_owned()
            }
            (TlsFailure::OurCertificate, _, Some(own)) => format!(
                "it rejects the certificate in {own}; give one that is valid, of a CA in the \
                 server's --tls-client-ca"
            ),
            (TlsFailure::NotTls, ..) => "it does not speak TLS; write http:// in --url".to_owned(),
            (TlsFailure::Other(why), ..) => why.clone(),
        }
    }
}
