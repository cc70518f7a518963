//! Certificates that a test makes, and TLS connections with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use session_ledger::app::clock::SystemClock;
use session_ledger::domain::Clock as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name on certificates that also name 127.0.0.1.
pub(crate) const NAME: &str = "localhost";

/// A CA.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// The files of a pair.
pub(crate) struct PairFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has its own name, as real ones do.
        let name = format!("CA {} of a test", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns the certificate of the CA.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes the certificate of the CA into a directory.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(format!("{name}.ca"));
        fs::write(&path, self.pem()).unwrap();
        path
    }

    /// Makes a certificate for this machine.
    pub(crate) fn pair(&self) -> Pair {
        self.pair_for(&[NAME, "127.0.0.1"])
    }

    /// Makes a certificate for these names.
    pub(crate) fn pair_for(&self, names: &[&str]) -> Pair {
        self.sign(&params(names))
    }

    /// Makes a certificate that expires this long from now. It was valid for a year.
    pub(crate) fn pair_until(&self, left: Duration) -> Pair {
        self.pair_that_expires_at(now() + left)
    }

    /// Makes a certificate that expired an hour ago.
    pub(crate) fn expired_pair(&self) -> Pair {
        self.pair_that_expires_at(now().saturating_sub(Duration::from_hours(1)))
    }

    fn pair_that_expires_at(&self, until: Duration) -> Pair {
        let mut params = params(&[NAME, "127.0.0.1"]);
        let origin = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = origin + until;
        params.not_before = origin + until.saturating_sub(Duration::from_hours(365 * 24));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The time since 1970.
fn now() -> Duration {
    Duration::from_micros(u64::try_from(SystemClock.now().micros()).unwrap())
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

impl Pair {
    /// Writes both files into a directory. Only their owner can read them.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> PairFiles {
        let files = PairFiles {
            cert: dir.join(format!("{name}.cert")),
            key: dir.join(format!("{name}.key")),
        };
        put(&files.cert, &self.cert);
        put(&files.key, &self.key);
        files
    }

    /// The certificate in DER.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

impl PairFiles {
    /// Returns the arguments that name the files, such as `--tls-cert` for the prefix `tls`.
    pub(crate) fn args(&self, prefix: &str) -> [String; 4] {
        [
            format!("--{prefix}-cert"),
            text(&self.cert),
            format!("--{prefix}-key"),
            text(&self.key),
        ]
    }
}

/// Replaces a file as tools do: writes another one, and renames it. Only its owner can read it.
pub(crate) fn put(path: &Path, text: &str) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file.persist(path).unwrap();
}

/// The text of a path.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Connects to `HOST:PORT`, trusts this CA, shows this certificate and offers these protocols.
pub(crate) async fn connect(
    addr: &str,
    ca: &Ca,
    own: Option<&Pair>,
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![pair.der()], key)
                .unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// The certificate that the server showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}
