//! Certificates that change while the server runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use session_ledger::app::tls::TlsFiles;

use super::server::status;
use crate::support::app::{App, Serving};
use crate::support::certs::{Ca, Pair, connect, put, shown};
use crate::support::cli::Server;
use crate::support::connection::ENDLESS;

/// Waits until new connections get this certificate.
async fn until_shown(addr: &str, ca: &Ca, certificate: &CertificateDer<'static>) {
    while shown(&connect(addr, ca, None, &[]).await.unwrap()) != *certificate {
        tokio::task::yield_now().await;
    }
}

async fn start(files: TlsFiles) -> App {
    App::start_serving(Serving {
        patience: ENDLESS,
        tls: Some(files),
        ..Serving::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_get_a_renewed_certificate_and_open_ones_stay() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (first, second) = (ca.pair(), ca.pair());
    let files = first.write(dir.path(), "server");
    let tls = TlsFiles::new(files.cert.clone(), files.key.clone(), None);
    let app = start(tls).await;
    let mut open = connect(app.host(), &ca, None, &[]).await.unwrap();
    assert_eq!(shown(&open), first.der());
    assert_eq!(status(&mut open).await, "HTTP/1.1 200 OK");
    // One after the other, with a time between in which they do not fit together.
    put(&files.cert, &second.cert);
    let between = connect(app.host(), &ca, None, &[]).await.unwrap();
    assert_eq!(shown(&between), first.der());
    put(&files.key, &second.key);
    until_shown(app.host(), &ca, &second.der()).await;
    assert_eq!(status(&mut open).await, "HTTP/1.1 200 OK");
    app.stop().await;
}

/// Kubernetes mounts a Secret as links to a directory, and then changes the link to the directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_kubernetes_that_changes_is_noticed() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let make = |name: &str, pair: &Pair| {
        let version = dir.path().join(name);
        fs::create_dir(&version).unwrap();
        put(&version.join("tls.crt"), &pair.cert);
        put(&version.join("tls.key"), &pair.key);
        version
    };
    let (first, second) = (ca.pair(), ca.pair());
    let (old, new) = (make("..1", &first), make("..2", &second));
    let current = dir.path().join("..data");
    symlink(&old, &current).unwrap();
    let link = |name: &str| -> PathBuf {
        let link = dir.path().join(name);
        symlink(PathBuf::from("..data").join(name), &link).unwrap();
        link
    };
    let app = start(TlsFiles::new(link("tls.crt"), link("tls.key"), None)).await;
    until_shown(app.host(), &ca, &first.der()).await;
    let other = dir.path().join("..data_tmp");
    symlink(&new, &other).unwrap();
    fs::rename(&other, &current).unwrap();
    until_shown(app.host(), &ca, &second.der()).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_ca_of_clients_is_used_for_new_connections() {
    let (ca, other, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let files = ca.pair().write(dir.path(), "server");
    let of_clients = ca.write(dir.path(), "clients");
    let app = start(TlsFiles::new(
        files.cert,
        files.key,
        Some(of_clients.clone()),
    ))
    .await;
    let own = other.pair();
    put(&of_clients, &other.pem());
    loop {
        let stream = connect(app.host(), &ca, Some(&own), &[]).await;
        // TLS 1.3 tells a client that it was rejected only after the client's handshake.
        if let Ok(mut stream) = stream
            && tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\n\r\n")
                .await
                .is_ok()
            && matches!(
                tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await,
                Ok(1)
            )
        {
            break;
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_logged_once_and_the_old_certificate_stays() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let (first, second) = (ca.pair(), ca.pair());
    let files = first.write(dir.path(), "server");
    let args = files.args("tls");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let server = Server::start_with(&dir.path().join("data"), &args);
    let addr = server.url().strip_prefix("https://").unwrap().to_owned();
    let mut open = connect(&addr, &ca, None, &[]).await.unwrap();
    // A connection without a request would be closed before the end of this test.
    assert_eq!(status(&mut open).await, "HTTP/1.1 200 OK");

    put(&files.cert, &second.cert);
    server.until_logged("keeps the certificate that it has");
    server.until_logged("this is not the key of the first certificate");
    let mut new = connect(&addr, &ca, None, &[]).await.unwrap();
    assert_eq!(shown(&new), first.der());
    assert_eq!(status(&mut new).await, "HTTP/1.1 200 OK");

    fs::remove_file(&files.key).unwrap();
    server.until_logged("the file cannot be read");
    put(&files.key, &second.key);
    server.until_logged("the server uses the changed TLS certificate");
    until_shown(&addr, &ca, &second.der()).await;
    assert_eq!(status(&mut open).await, "HTTP/1.1 200 OK");
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    for once in [
        "this is not the key of the first certificate",
        "the file cannot be read",
        "the server uses the changed TLS certificate",
    ] {
        assert_eq!(logged.matches(once).count(), 1, "{once}: {logged}");
    }
}
