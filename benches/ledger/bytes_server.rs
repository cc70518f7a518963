//! The upper bound of the framework: a server like the ledger's that answers with bytes from memory. It
//! is a second process of this program.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use crate::child::Running;

/// A running server. Killed when dropped.
pub(crate) struct BytesServer {
    _process: Running,
    pub(crate) addr: SocketAddr,
}

impl BytesServer {
    /// Starts a server that answers `/N` with line N of a file.
    pub(crate) fn start(file: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("--serve-bytes")
            .arg(file)
            .stdout(Stdio::piped());
        let mut process = Running::spawn(&mut command);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line.trim().parse().expect("the server prints its address");
        Self {
            _process: process,
            addr,
        }
    }
}

/// Serves until killed, with as many threads as the ledger.
pub(crate) fn serve(file: &Path) {
    let text = std::fs::read(file).unwrap();
    let answers: Vec<Bytes> = text
        .split(|byte| *byte == b'\n')
        .map(Bytes::copy_from_slice)
        .collect();
    let router = Router::new().fallback(answer).with_state(answers.leak());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}

async fn answer(State(answers): State<&'static [Bytes]>, request: Request) -> Response {
    let number = request
        .uri()
        .path()
        .trim_start_matches('/')
        .parse::<usize>();
    let body = number.ok().and_then(|number| answers.get(number)).cloned();
    let kind = [(CONTENT_TYPE, "application/json")];
    (kind, Body::from(body.unwrap_or_default())).into_response()
}
