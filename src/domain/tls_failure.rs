//! Why TLS failed, found among the causes of an error.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Why a TLS connection to a server failed. The caller knows which option to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFailure {
    /// The certificate of the server is not from a CA that we trust.
    UnknownIssuer,
    /// The certificate of the server is for other host names.
    WrongName,
    /// The certificate of the server has expired, or is not valid yet.
    NotValidNow,
    /// The server rejects our certificate, or requires one and got none.
    OurCertificate,
    /// The server does not speak TLS at this address.
    NotTls,
    /// Anything else, in the words of the library.
    Other(String),
}

/// Finds the failure of TLS among the causes of an error; `None` if TLS did not fail.
pub fn tls_failure(error: &(dyn Error + 'static)) -> Option<TlsFailure> {
    if let Some(failure) = error.downcast_ref::<TlsError>() {
        return Some(TlsFailure::from(failure));
    }
    // The source of an I/O error is that of the error inside it, so `source` alone would skip it.
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inside| tls_failure(inside));
    inside.or_else(|| error.source().and_then(tls_failure))
}

impl From<&TlsError> for TlsFailure {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library has dozens of errors, and adds more"
    )]
    fn from(error: &TlsError) -> Self {
        match error {
            TlsError::InvalidCertificate(why) => match why {
                // A CA of the same name has another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownIssuer
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::NotValidNow,
                _ => Self::Other(error.to_string()),
            },
            TlsError::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => Self::OurCertificate,
            TlsError::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::causes::because;

    #[test]
    fn the_failure_is_found_behind_other_errors() {
        let found = |error: TlsError| {
            let inside = because("cannot connect", io::Error::other(error));
            tls_failure(&io::Error::other(inside))
        };
        let issuer = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(found(issuer), Some(TlsFailure::UnknownIssuer));
        let required = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(found(required), Some(TlsFailure::OurCertificate));
        let other = found(TlsError::DecryptError);
        assert!(matches!(other, Some(TlsFailure::Other(_))), "{other:?}");
        assert_eq!(tls_failure(&io::Error::other("reset")), None);
    }
}
