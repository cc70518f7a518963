//! Requests whose body no handler reads: the connection stays open, or the answer says that it closes.

use session_ledger::dialects::Dialect;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::App;
use crate::support::connection::send;

/// Returns an unknown path of the API, and one of every dialect.
fn paths() -> impl Iterator<Item = String> {
    let mounts = Dialect::ALL
        .iter()
        .map(|dialect| format!("/compat/{}", dialect.as_str()));
    let none = |base: String| format!("{base}/v1/none");
    [String::new()].into_iter().chain(mounts).map(none)
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Reads until this many heads of answers have arrived.
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

/// Some clients write head and body separately. Without waiting for the body, the server once closed
/// the connection under their next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_after_its_head_leaves_the_connection_open() {
    let app = App::start().await;
    for path in paths() {
        let mut stream = TcpStream::connect(app.host()).await.unwrap();
        for _ in 0..3 {
            stream.write_all(head(&path, 2).as_bytes()).await.unwrap();
            // Gives the server time to read the head.
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
async fn a_missing_body_ends_the_connection_and_the_answer_says_so() {
    let app = App::start().await;
    for path in paths() {
        let mut stream = send(&app, &head(&path, 2)).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    app.stop().await;
}

/// Reading the body would send `100 Continue`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_100_continue_is_answered_at_once() {
    let app = App::start().await;
    for path in paths() {
        let expecting = head(&path, 2).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        let mut stream = send(&app, &expecting).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    app.stop().await;
}
