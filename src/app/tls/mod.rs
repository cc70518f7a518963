//! TLS of the server: builds its configuration from files, and builds it again when they change.
//!
//! The server reads the files every few seconds and compares their contents. So it notices every way
//! in which a tool can replace them, such as a rename, a symbolic link that changes (a Secret of
//! Kubernetes) or a write in place. No one has to send a signal.

mod client;
mod pem;
mod validity;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::TLS_EXPIRY_WARNING_US;
use crate::domain::{Clock, Timestamp, WithCauses};
use crate::metrics::Metrics;

pub use client::{ClientTls, ClientTlsFiles};
pub use pem::{NamedFile, TlsError};
pub use validity::Validity;

/// The protocols that the server offers (ALPN), the best one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files with which a server speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate of the server, followed by those of its CAs.
    pub cert: NamedFile,
    /// The private key of the certificate.
    pub key: NamedFile,
    /// The CAs of clients. With it, every client needs a certificate of one of them.
    pub client_ca: Option<NamedFile>,
}

/// What accepts TLS connections, with the newest certificate. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl Tls {
    /// Returns an acceptor with the newest certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.borrow()))
    }
}

/// TLS of a server, with the state of its files.
pub struct ServerTls {
    files: TlsFiles,
    contents: Contents,
    current: watch::Sender<Arc<ServerConfig>>,
    validity: Option<Validity>,
    trouble: Option<Trouble>,
    warned: Option<Timestamp>,
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What is wrong with changed files.
struct Trouble {
    text: String,
    /// Whether it is logged.
    said: bool,
}

impl TlsFiles {
    /// Returns the files, with the options of `serve` that name them.
    pub fn new(cert: PathBuf, key: PathBuf, client_ca: Option<PathBuf>) -> Self {
        Self {
            cert: NamedFile::new("--tls-cert", cert),
            key: NamedFile::new("--tls-key", key),
            client_ca: client_ca.map(|path| NamedFile::new("--tls-client-ca", path)),
        }
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let client_ca = self.client_ca.as_ref().map(NamedFile::read);
        Ok(Contents {
            cert: self.cert.read()?,
            key: self.key.read()?,
            client_ca: client_ca.transpose()?,
        })
    }

    fn config(
        &self,
        contents: &Contents,
    ) -> Result<(Arc<ServerConfig>, Option<Validity>), TlsError> {
        let pair = pem::pair(&self.cert, &self.key, (&contents.cert, &contents.key))?;
        let validity = pair.cert.first().and_then(|it| Validity::of(it));
        let verifier = self.verifier(contents)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsError::Unusable(self.cert.clone(), error))?;
        let builder = match verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok((Arc::new(config), validity))
    }

    fn verifier(
        &self,
        contents: &Contents,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let (Some(file), Some(pem)) = (&self.client_ca, &contents.client_ca) else {
            return Ok(None);
        };
        let provider = Arc::new(ring::default_provider());
        let built = WebPkiClientVerifier::builder_with_provider(file.roots(pem)?, provider).build();
        // Without revocation lists, only a store without CAs fails, and `roots` excludes that.
        built.map(Some).map_err(|error| {
            let error = rustls::Error::General(error.to_string());
            TlsError::Unusable(file.clone(), error)
        })
    }
}

impl ServerTls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let (config, validity) = files.config(&contents)?;
        let (current, _) = watch::channel(config);
        Ok(Self {
            files,
            contents,
            current,
            validity,
            trouble: None,
            warned: None,
        })
    }

    /// Returns what accepts connections with the newest certificate.
    pub fn acceptor(&self) -> Tls {
        Tls(self.current.subscribe())
    }

    /// Reads the files again at this interval, and uses their contents when they change.
    pub async fn watch(
        mut self,
        every: Duration,
        (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>),
        stop: CancellationToken,
    ) {
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let until = self.validity.map(|it| it.until);
            metrics.tls_certificate(until);
            self.warn_of_expiry(clock.now());
            tokio::select! {
                () = stop.cancelled() => return,
                _now = looks.tick() => {}
            }
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || files.read()).await;
            if let Ok(read) = read {
                self.take(read, clock.now());
            }
        }
    }

    /// Uses the contents of the files if they are new. If they cannot be used, the server keeps the
    /// certificate that it has.
    fn take(&mut self, read: Result<Contents, TlsError>, now: Timestamp) {
        let taken = read.and_then(|contents| {
            if contents != self.contents {
                let (config, validity) = self.files.config(&contents)?;
                self.current.send_replace(config);
                (self.contents, self.validity, self.warned) = (contents, validity, None);
                let described = validity.map(|it| format!(": {}", it.describe(now)));
                tracing::info!(
                    "the server uses the changed TLS certificate{}",
                    described.unwrap_or_default()
                );
            }
            Ok(())
        });
        match taken {
            Ok(()) => {
                if self.trouble.take().is_some_and(|trouble| trouble.said) {
                    tracing::info!("the TLS files can be used again");
                }
            }
            Err(error) => self.note(WithCauses(&error).to_string()),
        }
    }

    /// Logs what is wrong with the files, once, and only if it was found twice in a row: tools write
    /// the certificate and the key one after the other.
    fn note(&mut self, text: String) {
        match &mut self.trouble {
            Some(known) if known.text == text => {
                if !known.said {
                    tracing::warn!(
                        "the TLS files have changed and cannot be used, so the server keeps the \
                         certificate that it has. {text}. When the files are right, the server uses \
                         them without a restart"
                    );
                    known.said = true;
                }
            }
            _ => self.trouble = Some(Trouble { text, said: false }),
        }
    }

    /// Warns of a certificate that expires soon, at most once a day.
    fn warn_of_expiry(&mut self, now: Timestamp) {
        let is_due = |last: Timestamp| TLS_EXPIRY_WARNING_US <= now.micros_since(last);
        let Some(validity) = self.validity.filter(|it| it.is_near_end(now)) else {
            return;
        };
        if self.warned.is_none_or(is_due) {
            self.warned = Some(now);
            tracing::warn!(
                "the TLS certificate in {} must be renewed: {}. Replace the file and that of the key; \
                 the server uses them without a restart",
                self.files.cert,
                validity.describe(now)
            );
        }
    }
}
