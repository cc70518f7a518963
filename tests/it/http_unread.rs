//! Requests whose body nobody reads leave their connection as it was, or say that it ends.

use session_ledger::dialects::Dialect;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::App;

/// Paths that are none, of the API and of every dialect.
fn paths() -> impl Iterator<Item = String> {
    let mounts = Dialect::ALL.map(|dialect| format!("/compat/{}", dialect.as_str()));
    let none = |base: String| format!("{base}/v1/none");
    [String::new()].into_iter().chain(mounts).map(none)
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Reads until the answers so far have this many heads.
async fn read_heads(stream: &mut TcpStream, count: usize) -> String {
    let mut answers = String::new();
    while answers.matches("x-request-id").count() < count {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "the connection ended after: {answers}");
        answers.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    answers
}

/// As clients do that write head and body apart: without a wait for the body, the answer to the head
/// closed the connection under their next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_after_its_head_leaves_the_connection_open() {
    let app = App::start().await;
    for path in paths() {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        for _ in 0..3 {
            stream.write_all(head(&path, 2).as_bytes()).await.unwrap();
            // Gives the server the time to read the head.
            app.client("acme").get("/healthz").await.ok();
            stream.write_all(b"{}").await.unwrap();
            let answer = read_heads(&mut stream, 1).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_comes_ends_the_connection_with_an_answer_that_says_so() {
    let app = App::start().await;
    for path in paths() {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        stream.write_all(head(&path, 2).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    app.stop().await;
}

/// Polling a body is what asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_to_be_asked_for_a_body_that_nobody_reads_is_answered_at_once() {
    let app = App::start().await;
    for path in paths() {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        let expecting = head(&path, 2).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        stream.write_all(expecting.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    app.stop().await;
}
