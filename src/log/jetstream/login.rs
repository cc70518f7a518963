//! How a connection logs in to the server and is encrypted, and why the server refuses it.

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};

use super::config::{Credentials, JetStreamConfig, NatsTls};
use crate::domain::causes::{BoxError, because};
use crate::domain::{TlsFailure, tls_failure};
use crate::log::LogError;

/// Returns the options of a connection.
pub(super) async fn options(config: &JetStreamConfig) -> Result<ConnectOptions, LogError> {
    let options = encrypted(ConnectOptions::new(), &config.tls);
    Ok(match &config.credentials {
        Credentials::None => options,
        Credentials::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        Credentials::Token(token) => options.token(token.clone()),
        Credentials::Nkey { seed, .. } => options.nkey(seed.clone()),
        Credentials::File(path) => options.credentials_file(path).await.map_err(|error| {
            let what = format!(
                "--nats-creds {}: the file cannot be used: it must have a JWT and the seed of its user",
                path.display()
            );
            LogError::misconfigured(because(what, error))
        })?,
    })
}

fn encrypted(options: ConnectOptions, tls: &NatsTls) -> ConnectOptions {
    // A server in the middle could otherwise say that it does not need TLS.
    let mut options = options.require_tls(tls.is_required());
    if let Some(ca) = &tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &tls.own {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    if tls.first {
        options = options.tls_first();
    }
    options
}

/// Says why there is no connection, and which option helps.
pub(super) fn refused(config: &JetStreamConfig, error: ConnectError) -> BoxError {
    let advice = match (tls_failure(&error), error.kind()) {
        (Some(failure), _) => Some(tls_advice(&config.tls, &failure)),
        (None, ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication) => {
            Some(login_advice(&config.credentials))
        }
        (None, _) => None,
    };
    let what = "cannot connect to NATS";
    match advice {
        Some(advice) => because(format!("{what}: {advice}"), error),
        None => because(what, error),
    }
}

fn tls_advice(tls: &NatsTls, failure: &TlsFailure) -> String {
    match (failure, &tls.ca, &tls.own) {
        (TlsFailure::UnknownIssuer, None, _) => {
            "its certificate is not from a CA that this machine trusts; name the file of its CA with \
             --nats-ca"
                .to_owned()
        }
        (TlsFailure::UnknownIssuer, Some(ca), _) => format!(
            "its certificate is not from a CA in --nats-ca {}; give the CA of this server",
            ca.display()
        ),
        (TlsFailure::WrongName, ..) => "its certificate is for other host names; use one of them in \
                                        --nats-url"
            .to_owned(),
        (TlsFailure::NotValidNow, ..) => "its certificate has expired or is not valid yet; renew it, \
                                          or correct the clock of this machine"
            .to_owned(),
        (TlsFailure::OurCertificate, _, None) => {
            "it requires a certificate; give one with --nats-client-cert and --nats-client-key"
                .to_owned()
        }
        (TlsFailure::OurCertificate, _, Some((cert, _))) => format!(
            "it rejects the certificate in --nats-client-cert {}; give one that is valid, of a CA that \
             the server trusts",
            cert.display()
        ),
        (TlsFailure::NotTls, ..) if tls.first => {
            "it does not begin with TLS; leave out --nats-tls-first, or set `handshake_first` in its \
             configuration"
                .to_owned()
        }
        (TlsFailure::NotTls, ..) => {
            "it does not speak TLS; give it a certificate, or leave out the TLS options".to_owned()
        }
        (TlsFailure::Other(_), ..) => "TLS failed".to_owned(),
    }
}

fn login_advice(credentials: &Credentials) -> String {
    match credentials {
        Credentials::None => "it requires a login; give --nats-user and --nats-password-file, \
                              --nats-token-file, --nats-nkey-file or --nats-creds"
            .to_owned(),
        Credentials::UserPassword { user, .. } => {
            format!("it rejects the password of the user {user:?} (--nats-user), or the user")
        }
        Credentials::Token(_) => "it rejects the token (--nats-token-file)".to_owned(),
        Credentials::File(path) => format!(
            "it rejects the credentials in --nats-creds {}; they may be of another account or revoked",
            path.display()
        ),
        Credentials::Nkey { public, .. } => format!(
            "it rejects the nkey in --nats-nkey-file; its configuration must have a user with the nkey \
             {public}"
        ),
    }
}
