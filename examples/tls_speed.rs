//! Measures what TLS costs: pages of 50 sessions on connections that stay open, and requests on new
//! connections, with TLS and without it.
//!
//! `cargo run --release --example tls_speed` prints requests per second. The clients run in the same process,
//! and encrypt and decrypt too, so both sides' cost is in the figures.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use certs::{Ca, connect};
use serde_json::json;
use session_ledger::app::tls::{NamedFile, TlsFiles};
use session_ledger::app::{Config, Running, start};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[path = "../tests/it/support/certs.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of this module, and may panic"
)]
mod certs;

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(3);
const SESSIONS: usize = 1_000;
const PAGE: &str = "/v1/agent-sessions?limit=50";
const HEALTH: &str = "/healthz";

/// A connection with TLS or without it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let ca = Arc::new(Ca::new());
    let files = ca.pair().write(dir.path(), "server");
    let named = |option, path: &Path| NamedFile {
        option,
        path: path.to_owned(),
    };
    let tls = TlsFiles {
        cert: named("--tls-cert", &files.cert),
        key: named("--tls-key", &files.key),
        client_ca: None,
    };
    let plain = ledger(&dir.path().join("plain"), None).await?;
    fill(plain.addr()).await?;
    plain.stop().await?;
    // Both servers have the same sessions.
    let copy = dir.path().join("tls");
    std::fs::create_dir(&copy)?;
    std::fs::copy(dir.path().join("plain/log.redb"), copy.join("log.redb"))?;
    let plain = ledger(&dir.path().join("plain"), None).await?;
    let secured = ledger(&copy, Some(tls)).await?;
    secured.catch_up().await?;

    println!("| requests a second | plain | TLS | ratio |\n|---|---|---|---|");
    for (what, path, keeps) in [
        ("pages of 50 sessions, on 8 open connections", PAGE, true),
        ("health checks, each on a new connection", HEALTH, false),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(rate(plain.addr(), None, path, keeps).await?);
            with.push(rate(secured.addr(), Some(&ca), path, keeps).await?);
        }
        let [without, with] = [without, with].map(median);
        println!(
            "| {what} | {without:.0} | {with:.0} | {:.2} |",
            with / without
        );
    }
    plain.stop().await?;
    secured.stop().await?;
    Ok(())
}

async fn ledger(dir: &Path, tls: Option<TlsFiles>) -> anyhow::Result<Running> {
    let mut config = Config::local(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
    config.tls = tls;
    let running = Box::pin(start(config)).await?;
    running.catch_up().await?;
    Ok(running)
}

/// Opens sessions whose rows have about 700 bytes.
async fn fill(addr: SocketAddr) -> anyhow::Result<()> {
    let event = |number: usize| {
        json!({
            "specversion": "1.0",
            "id": number.to_string(),
            "source": "/tls_speed",
            "type": "session.created",
            "subject": format!("session-{number}"),
            "data": {"agent_id": format!("a{}", number % 10), "metadata": {"text": "x".repeat(100)}},
        })
    };
    let events: Vec<_> = (0..SESSIONS).map(event).collect();
    let body = serde_json::to_string(&events)?;
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
         Content-Type: application/cloudevents-batch+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream: Box<dyn Stream> = Box::new(TcpStream::connect(addr).await?);
    ask(&mut stream, &request).await
}

/// Requests a second of several clients at a time.
async fn rate(
    addr: SocketAddr,
    ca: Option<&Arc<Ca>>,
    path: &'static str,
    keeps: bool,
) -> anyhow::Result<f64> {
    let (mut clients, began) = (JoinSet::new(), Instant::now());
    for _ in 0..CONNECTIONS {
        let ca = ca.cloned();
        clients.spawn(async move {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\r\n");
            let (mut open, mut count) = (None, 0_u32);
            while began.elapsed() < TIME {
                let mut stream = match open.take() {
                    Some(stream) => stream,
                    None => connected(addr, ca.as_deref()).await?,
                };
                ask(&mut stream, &request).await?;
                open = Some(stream).filter(|_| keeps);
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut all = 0;
    while let Some(count) = clients.join_next().await {
        all += count??;
    }
    Ok(f64::from(all) / began.elapsed().as_secs_f64())
}

async fn connected(addr: SocketAddr, ca: Option<&Ca>) -> anyhow::Result<Box<dyn Stream>> {
    Ok(match ca {
        None => Box::new(TcpStream::connect(addr).await?),
        Some(ca) => Box::new(connect(&addr.to_string(), ca, None, &["http/1.1"]).await?),
    })
}

/// Sends a request and reads the answer, whose status must be 200.
async fn ask(stream: &mut Box<dyn Stream>, request: &str) -> anyhow::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::with_capacity(64 * 1024);
    loop {
        ensure!(stream.read_buf(&mut read).await? != 0, "the server closed");
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = answer.parse(&read)? else {
            continue;
        };
        ensure!(answer.code == Some(200), "{:?}", answer.code);
        let length = answer
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = length.context("the answer has no length")?.value;
        let length: usize = std::str::from_utf8(length)?.parse()?;
        if head + length <= read.len() {
            return Ok(());
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
