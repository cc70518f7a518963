//! What a server with TLS answers, and how long it waits for handshakes.

use std::path::Path;
use std::time::Duration;

use axum::http::Request;
use session_ledger::app::http_server::{Bounds, Patience};
use session_ledger::app::tls::TlsFiles;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::app::{App, Serving};
use crate::support::certs::{Ca, connect};
use crate::support::cli::Server;
use crate::support::connection::{ENDLESS, rest};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);

/// Starts a ledger with a certificate of this CA.
async fn start(ca: &Ca, dir: &Path, patience: Patience, bounds: Bounds) -> App {
    let files = ca.pair().write(dir, "server");
    let tls = Some(TlsFiles::new(files.cert, files.key, None));
    App::start_serving(Serving {
        patience,
        bounds,
        tls,
        ..Serving::default()
    })
    .await
}

/// Asks for `/healthz` over HTTP/1.1, and reads the status.
pub(super) async fn status(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.ends_with("\"ok\"}") {
        read.push(char::from(stream.read_u8().await.unwrap()));
    }
    read.lines().next().unwrap().to_owned()
}

/// Waits until so many handshakes have failed for this reason.
pub(super) async fn until_failed(app: &App, reason: &str, count: u64) {
    let line = format!("session_ledger_tls_handshakes_failed_total{{reason=\"{reason}\"}} {count}");
    while !app.metrics.text().lines().any(|it| it == line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_rested_answers_its_next_request() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let patience = Patience {
        buffers: SHORT,
        ..ENDLESS
    };
    let app = start(&ca, dir.path(), patience, Bounds::default()).await;
    let mut stream = connect(app.host(), &ca, None, &[]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200 OK");
        while !app
            .metrics
            .text()
            .contains("session_ledger_connections_resting 1\n")
        {
            tokio::task::yield_now().await;
        }
    }
    app.stop().await;
    // Without the goodbye of TLS, this would be an error.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_served() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let app = start(&ca, dir.path(), ENDLESS, Bounds::default()).await;

    let both = ["h2", "http/1.1"];
    let stream = connect(app.host(), &ca, None, &both).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let uri = format!("https://{}/healthz", app.host());
    let request = Request::get(uri).body(()).unwrap();
    let mut requests = requests.ready().await.unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    tasks.shutdown().await;

    for protocols in [&both[1..], &[]] {
        let mut stream = connect(app.host(), &ca, None, protocols).await.unwrap();
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200 OK");
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200 OK");
    }
    let expires = "session_ledger_tls_certificate_expires_timestamp_seconds{} 67090118400";
    assert!(
        app.metrics.text().contains(expires),
        "{}",
        app.metrics.text()
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_speaks_plain_http_learns_that_the_address_has_tls() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let app = start(&ca, dir.path(), ENDLESS, Bounds::default()).await;
    let mut stream = TcpStream::connect(app.host()).await.unwrap();
    // More than the server reads at once: what it leaves must not reset the connection.
    let body = "x".repeat(10_000);
    stream
        .write_all(format!("{GET}{body}").as_bytes())
        .await
        .unwrap();
    let answer = rest(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(text.contains("https://"), "{answer}");
    assert!(
        answer.contains(&format!("Content-Length: {}\r\n", text.len())),
        "{answer}"
    );
    until_failed(&app, "plain_http", 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_finish_the_handshake_or_sends_no_request_is_disconnected() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let patience = Patience {
        head: SHORT,
        ..ENDLESS
    };
    let app = start(&ca, dir.path(), patience, Bounds::default()).await;
    // The header of a record with 512 bytes, and the first of them.
    for begun in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        assert_eq!(rest(stream).await, "");
    }
    until_failed(&app, "timeout", 2).await;
    let mut idle = connect(app.host(), &ca, None, &[]).await.unwrap();
    assert!(!matches!(idle.read(&mut [0]).await, Ok(1..)));
    // A TCP health check connects and says nothing: no failure.
    drop(TcpStream::connect(app.host()).await.unwrap());
    while app.metrics.text().contains("session_ledger_connections 1") {
        tokio::task::yield_now().await;
    }
    until_failed(&app, "timeout", 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_handshake_leaves_its_place_to_a_new_one() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let bounds = Bounds {
        connections: 1,
        ..Bounds::default()
    };
    let app = start(&ca, dir.path(), ENDLESS, bounds).await;
    let silent = TcpStream::connect(app.host()).await.unwrap();
    while !app.metrics.text().contains("session_ledger_connections 1") {
        tokio::task::yield_now().await;
    }
    let mut stream = connect(app.host(), &ca, None, &[]).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200 OK");
    assert_eq!(rest(silent).await, "");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_handshakes() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let app = start(&ca, dir.path(), ENDLESS, Bounds::default()).await;
    let silent = TcpStream::connect(app.host()).await.unwrap();
    while !app.metrics.text().contains("session_ledger_connections 1") {
        tokio::task::yield_now().await;
    }
    app.stop().await;
    assert_eq!(rest(silent).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_a_dialect_has_tls_too() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let tls = ca.pair().write(dir.path(), "server").args("tls");
    let mut args: Vec<&str> = tls.iter().map(String::as_str).collect();
    args.extend(["--dialect", "agi=127.0.0.1:0"]);
    let data = dir.path().join("data");
    let server = Server::start_with(&data, &args);
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let (_, addr) = server.started().split_once("`agi` on https://").unwrap();
    let addr = addr.split_whitespace().next().unwrap();
    let mut stream = connect(addr, &ca, None, &[]).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut version = [0; 9];
    stream.read_exact(&mut version).await.unwrap();
    assert_eq!(&version, b"HTTP/1.1 ");
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
}
