//! Connections whose clients keep the server waiting: the server closes them, and they do not delay its
//! stop.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_ledger::app::http_server::Patience;
use session_ledger::log::EventLog as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{App, NOW};
use crate::support::cli::Server;
use crate::support::client::created;
use crate::support::connection::{ENDLESS, rest, send};

const HALF_A_HEAD: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Sl";
const HALF_A_BODY: &str = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
                           Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"specver";
const WHOLE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_head_never_ends_is_closed() {
    let app = App::start_with_patience(Patience {
        head: SHORT,
        ..ENDLESS
    })
    .await;
    // The last one may be the start of HTTP/2.
    for begun in [HALF_A_HEAD, "", "PRI * HTTP/2.0\r\n"] {
        let stream = send(&app, begun).await;
        assert_eq!(rest(stream).await, "", "{begun}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed() {
    let app = App::start_with_patience(Patience {
        idle: SHORT,
        ..ENDLESS
    })
    .await;
    for next in ["", HALF_A_HEAD] {
        let stream = send(&app, &format!("{WHOLE}{next}")).await;
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    app.stop().await;
}

/// Waits until this many connections rest.
async fn until_resting(app: &App, count: u64) {
    let line = format!("session_ledger_connections_resting {count}\n");
    while !app.metrics.text().contains(&line) {
        tokio::task::yield_now().await;
    }
}

/// Reads an answer to `WHOLE`.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "the connection ended after: {answer}");
        answer.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_rested_answers_every_request() {
    let app = App::start_with_patience(Patience {
        buffers: SHORT,
        ..ENDLESS
    })
    .await;
    let mut stream = send(&app, WHOLE).await;
    answer(&mut stream).await;
    for at in 0..WHOLE.len() {
        until_resting(&app, 1).await;
        // With the first request, the server reads a part of the second one.
        let (part, rest) = WHOLE.split_at(at);
        stream
            .write_all(format!("{WHOLE}{part}").as_bytes())
            .await
            .unwrap();
        let first = answer(&mut stream).await;
        // Every other time, the server can take the connection apart in between.
        if at % 2 == 0 {
            tokio::time::sleep(2 * SHORT).await;
        }
        stream.write_all(rest.as_bytes()).await.unwrap();
        for answer in [first, answer(&mut stream).await] {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
    until_resting(&app, 1).await;
    let metrics = Arc::clone(&app.metrics);
    app.stop().await;
    assert_eq!(rest(stream).await, "");
    assert!(
        metrics
            .text()
            .contains("session_ledger_connections_resting 0\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_rests_too_long_is_closed() {
    let app = App::start_with_patience(Patience {
        buffers: SHORT,
        idle: SHORT,
        ..ENDLESS
    })
    .await;
    let stream = send(&app, WHOLE).await;
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_after_a_rest_does_not_keep_a_connection_open() {
    let app = App::start_with_patience(Patience {
        buffers: SHORT,
        idle: 4 * SHORT,
        ..ENDLESS
    })
    .await;
    let mut stream = send(&app, WHOLE).await;
    answer(&mut stream).await;
    until_resting(&app, 1).await;
    stream.write_all(HALF_A_HEAD.as_bytes()).await.unwrap();
    assert_eq!(rest(stream).await, "");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_wakes_a_connection_when_the_server_stops_is_answered() {
    let app = App::start_with_patience(Patience {
        buffers: SHORT,
        arrival: SHORT,
        ..ENDLESS
    })
    .await;
    let mut stream = send(&app, WHOLE).await;
    answer(&mut stream).await;
    until_resting(&app, 1).await;
    stream.write_all(WHOLE.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    tokio::join!(app.stop(), async {
        stream.read_exact(&mut begun).await.unwrap();
    });
    assert_eq!(&begun, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_wait_for_their_client_are_sent_before_a_connection_rests() {
    let app = App::start_with_patience(Patience {
        buffers: SHORT,
        ..ENDLESS
    })
    .await;
    let large = WHOLE.replace("/healthz", "/openapi.json");
    let last = WHOLE.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    // More than the system buffers.
    let stream = send(&app, &format!("{}{last}", large.repeat(32))).await;
    // The connection is not idle meanwhile, although no request begins or ends.
    tokio::time::sleep(2 * SHORT).await;
    let answers = rest(stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 33);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_ends_is_answered_with_408() {
    let app = App::start_with_patience(Patience {
        body: SHORT,
        ..ENDLESS
    })
    .await;
    let stream = send(&app, HALF_A_BODY).await;
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_answers_requests_that_have_not_arrived_and_closes_other_connections() {
    let app = App::start_with_patience(Patience {
        arrival: SHORT,
        ..ENDLESS
    })
    .await;
    let head = send(&app, HALF_A_HEAD).await;
    let unused = send(&app, "").await;
    let mut idle = send(&app, WHOLE).await;
    let mut begun = [0; 12];
    idle.read_exact(&mut begun).await.unwrap();
    // `Expect` makes the server answer that it has read the head and waits for the body.
    let asked = HALF_A_BODY.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (head_only, body) = asked.split_at(asked.find('{').unwrap());
    let mut late = send(&app, head_only).await;
    late.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100");
    late.write_all(body.as_bytes()).await.unwrap();

    app.stop().await;
    let answer = rest(late).await;
    assert!(answer.contains("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("not_ready"), "{answer}");
    assert_eq!(rest(head).await, "");
    assert_eq!(rest(unused).await, "");
    rest(idle).await;
}

/// Posts an event to a ledger that never folds. Stops the ledger when the event is on the log and the
/// request waits for its verdict. Returns the answer.
async fn stopped_while_waiting(patience: Patience) -> String {
    let app = App::start_with_patience(patience).await;
    let event = created("s1", "a1", NOW).to_string();
    let whole = HALF_A_BODY.replace("Content-Length: 100", "Content-Length: LENGTH");
    let (head, _) = whole.split_at(whole.find('{').unwrap());
    let head = head
        .replace("application/json", "application/cloudevents+json")
        .replace("LENGTH", &event.len().to_string());
    let stream = send(&app, &format!("{head}{event}")).await;
    while app.log.known_head().get() == 0 {
        tokio::task::yield_now().await;
    }
    app.stop().await;
    rest(stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_is_answered_before_the_server_stops() {
    let answer = stopped_while_waiting(Patience {
        arrival: SHORT,
        ..ENDLESS
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_too_long_does_not_delay_the_stop() {
    let answer = stopped_while_waiting(Patience {
        arrival: SHORT,
        finish: SHORT,
        ..ENDLESS
    })
    .await;
    assert_eq!(answer, "");
}

#[test]
fn sigterm_stops_a_server_that_waits_for_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let host = server.url().strip_prefix("http://").unwrap().to_owned();
    let open = |text: &str| {
        let mut stream = std::net::TcpStream::connect(&host).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let held = [open(HALF_A_HEAD), open(HALF_A_BODY), open("")];
    let mut idle = open(WHOLE);
    idle.read_exact(&mut [0; 12]).unwrap();
    let began = Instant::now();
    // Like `timeout`, which signals its child and then the group.
    server.signal("TERM");
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    assert!(logged.contains("stopped at position 1"), "{logged}");
    assert!(!logged.contains("WARN"), "{logged}");
    // The server waits one second for requests that are arriving, and ten for running requests.
    assert!(began.elapsed() < Duration::from_secs(8), "{logged}");
    drop(held);
}

#[test]
fn without_credentials_only_host_names_of_this_machine_are_accepted() {
    let ask = |server: &Server, name: &str| {
        let host = server.url().strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let head = WHOLE
            .replace("localhost", name)
            .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert!(ask(&server, "localhost:1").starts_with("HTTP/1.1 200"));
    let refused = ask(&server, "evil.example");
    assert!(refused.starts_with("HTTP/1.1 421"), "{refused}");
    assert!(refused.contains("unknown_host"), "{refused}");
    server.terminate();
    let server = Server::start_with(dir.path(), &["--trust-network"]);
    assert!(ask(&server, "ledger.example").starts_with("HTTP/1.1 200"));
}
