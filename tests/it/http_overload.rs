//! Clients that do not read their answers, or do not close their connections: the server holds a bounded
//! amount for them, and answers other clients.

use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use session_ledger::app::http_server::{Bounds, Patience};
use session_ledger::http::UnsentBounds;
use session_ledger::log::EventLog as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::app::{App, NOW};
use crate::support::client::{Answer, created};
use crate::support::connection::{ENDLESS, rest};

const LISTS: &str = "/v1/agent-sessions?limit=200";
const ROWS: usize = 40;
/// Makes an answer with all rows larger than the buffers of sockets.
const METADATA_BYTES: usize = 15_000;
const LIST_BYTES: usize = ROWS * METADATA_BYTES;
const SHORT: Duration = Duration::from_millis(300);

const PATIENCE: Patience = Patience {
    arrival: SHORT,
    finish: SHORT,
    ..ENDLESS
};

/// Room for two lists per connection, and for three in all.
fn bounds() -> Bounds {
    Bounds {
        connections: 100,
        health: 2,
        unsent: UnsentBounds {
            per_connection: 5 * LIST_BYTES / 2,
            in_all: 7 * LIST_BYTES / 2,
        },
    }
}

/// Starts a ledger with large rows.
async fn start(patience: Patience, bounds: Bounds) -> App {
    let app = App::start_with_bounds(patience, bounds).await;
    append_rows(&app, "s").await;
    app
}

async fn append_rows(app: &App, prefix: &str) {
    let events = (0..ROWS).map(|number| {
        let mut event = created(&format!("{prefix}{number}"), "a1", NOW);
        event["data"]["metadata"] = serde_json::json!({"text": "x".repeat(METADATA_BYTES)});
        event
    });
    let events = serde_json::Value::Array(events.collect());
    let client = app.client("acme");
    let batch = "application/cloudevents-batch+json";
    let answer = client.post("/v1/events", batch, events.to_string()).await;
    assert!(answer.status < 300, "{}", answer.text);
}

/// Returns the value of a metric.
async fn figure(app: &App, name: &str) -> i64 {
    let metrics = app.client("acme").get("/metrics").await.text;
    let found = metrics.lines().find_map(|line| line.strip_prefix(name));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until a metric meets a condition.
async fn until(app: &App, name: &str, holds: impl Fn(i64) -> bool) {
    while !holds(figure(app, name).await) {
        tokio::task::yield_now().await;
    }
}

const UNSENT: &str = "session_ledger_unsent_bytes ";
const STALLED: &str = "session_ledger_connections_closed_total{reason=\"stalled\"} ";
const LARGE: &str = "session_ledger_connections_closed_total{reason=\"large\"} ";
const SLOW: &str = "session_ledger_connections_closed_total{reason=\"slow\"} ";

/// Opens an HTTP/2 connection whose window does not let the server send a body.
async fn without_window(app: &App, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(app.host()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (requests, connection) = builder
        .initial_window_size(0)
        .handshake(stream)
        .await
        .unwrap();
    tasks.spawn(async move { drop(connection.await) });
    requests
}

/// Answers whose bodies are not read.
#[derive(Default)]
struct Unread(Vec<Response<RecvStream>>);

impl Unread {
    /// Sends one more request. Returns its status.
    async fn status(
        &mut self,
        requests: &SendRequest<Bytes>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> u16 {
        let mut requests = requests.clone().ready().await.unwrap();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://localhost{path}"))
            .header("x-tenant-id", "acme")
            .header("content-type", "application/cloudevents+json")
            .body(())
            .unwrap();
        let (answer, mut sending) = requests.send_request(request, false).unwrap();
        sending
            .send_data(Bytes::copy_from_slice(body), true)
            .unwrap();
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        if status == 503 {
            assert_eq!(answer.headers()["retry-after"], "1");
        }
        // Dropping the answer would cancel its stream.
        self.0.push(answer);
        status
    }
}

/// Opens a connection with a small receive buffer, and sends a text.
async fn send(app: &App, text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.host().parse().unwrap()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_unread_answers_of_an_http2_client_are_bounded() {
    let app = start(PATIENCE, bounds()).await;
    let mut tasks = JoinSet::new();
    let requests = without_window(&app, &mut tasks).await;
    let mut unread = Unread::default();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(unread.status(&requests, "GET", LISTS, b"").await);
    }
    assert_eq!(statuses[..2], [200; 2], "{statuses:?}");
    assert_eq!(statuses[2..], [503; 18], "{statuses:?}");
    let held = figure(&app, UNSENT).await;
    let bound = i64::try_from(bounds().unsent.per_connection).unwrap();
    assert!((1..=bound).contains(&held), "{held}");
    assert_eq!(unread.status(&requests, "GET", "/healthz", b"").await, 200);
    // Other clients are served while there is room in all.
    let other = app.client("acme");
    assert_eq!(other.get("/v1/agent-sessions?limit=1").await.status, 200);
    assert_eq!(other.get("/readyz").await.status, 200);
    drop((requests, unread));
    tasks.shutdown().await;
    until(&app, UNSENT, |held| held == 0).await;
    app.stop().await;
}

/// With room for a single answer, every later request is rejected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_client_that_does_not_read_are_rejected() {
    let unsent = UnsentBounds {
        per_connection: LIST_BYTES / 2,
        in_all: 100 * LIST_BYTES,
    };
    let bounds = Bounds { unsent, ..bounds() };
    let app = start(PATIENCE, bounds).await;
    let mut tasks = JoinSet::new();
    let requests = without_window(&app, &mut tasks).await;
    let mut unread = Unread::default();
    assert_eq!(unread.status(&requests, "GET", LISTS, b"").await, 200);
    let head = app.log.known_head();
    let event = created("s-late", "a1", NOW).to_string();
    let posted = unread.status(&requests, "POST", "/v1/events", event.as_bytes());
    assert_eq!(posted.await, 503);
    assert_eq!(app.log.known_head(), head);
    assert_eq!(unread.status(&requests, "GET", "/readyz", b"").await, 200);
    tasks.shutdown().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_unread_answers_of_all_clients_are_bounded() {
    let app = start(PATIENCE, bounds()).await;
    let mut unread = Vec::new();
    for count in 1..=3 {
        unread.push(send(&app, &get(LISTS)).await);
        let at_least = i64::try_from(count * LIST_BYTES).unwrap();
        until(&app, UNSENT, |held| at_least <= held).await;
    }
    let client = app.client("acme");
    let refused: Answer = client.get(LISTS).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.problem(503, "answers_unread");
    assert_eq!(client.get("/readyz").await.status, 200);
    assert_eq!(client.get("/v1/agent-sessions?limit=1").await.status, 200);
    drop(unread);
    until(&app, UNSENT, |held| held == 0).await;
    assert_eq!(client.get(LISTS).await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_client_reads_nothing_is_closed() {
    let app = start(
        Patience {
            write: SHORT,
            ..PATIENCE
        },
        bounds(),
    )
    .await;
    let mut tasks = JoinSet::new();
    let requests = without_window(&app, &mut tasks).await;
    let mut answers = Unread::default();
    assert_eq!(answers.status(&requests, "GET", LISTS, b"").await, 200);
    tasks.join_next().await.unwrap().unwrap();
    let unread = send(&app, &get(LISTS)).await;
    until(&app, STALLED, |closed| closed == 2).await;
    let answer = rest(unread).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.80}");
    assert!(answer.len() < LIST_BYTES, "{}", answer.len());
    until(&app, UNSENT, |held| held == 0).await;
    app.stop().await;
}

/// The client reads too slowly to finish soon, but too often to count as stalled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_of_a_slow_client_that_takes_all_the_room_is_closed() {
    let unsent = UnsentBounds {
        per_connection: LIST_BYTES,
        in_all: 5 * LIST_BYTES / 2,
    };
    let app = start(PATIENCE, Bounds { unsent, ..bounds() }).await;
    append_rows(&app, "t").await;
    let mut slow = send(&app, &get(LISTS)).await;
    until(&app, UNSENT, |held| 0 < held).await;
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let (mut read, mut piece) = (0, [0; 1024]);
        while let Ok(bytes @ 1..) = slow.read(&mut piece).await {
            read += bytes;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        read
    });
    let client = app.client("acme");
    let short = format!("/v1/agent-sessions?limit={ROWS}");
    client.get(&short).await.problem(503, "answers_unread");
    until(&app, LARGE, |closed| closed == 1).await;
    assert!(reading.join_next().await.unwrap().unwrap() < 2 * LIST_BYTES);
    until(&app, UNSENT, |held| held == 0).await;
    assert_eq!(client.get(&short).await.status, 200);
    assert_eq!(figure(&app, STALLED).await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_too_long_to_read_closes_its_connection() {
    let app = start(
        Patience {
            answer: SHORT,
            ..PATIENCE
        },
        bounds(),
    )
    .await;
    let unread = send(&app, &get(LISTS)).await;
    until(&app, SLOW, |closed| closed == 1).await;
    assert!(rest(unread).await.len() < LIST_BYTES);
    // On HTTP/2, only the stream is closed.
    let mut tasks = JoinSet::new();
    let requests = without_window(&app, &mut tasks).await;
    let mut answers = Unread::default();
    assert_eq!(answers.status(&requests, "GET", LISTS, b"").await, 200);
    until(&app, UNSENT, |held| held == 0).await;
    assert_eq!(answers.status(&requests, "GET", "/healthz", b"").await, 200);
    tasks.shutdown().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let bounds = Bounds {
        connections: 4,
        ..bounds()
    };
    let app = App::start_with_bounds(PATIENCE, bounds).await;
    let mut idle = Vec::new();
    for text in [
        get("/healthz"),
        get("/healthz"),
        String::new(),
        get("/healthz"),
    ] {
        let mut stream = send(&app, &text).await;
        if !text.is_empty() {
            stream.read_exact(&mut [0; 12]).await.unwrap();
        }
        idle.push(stream);
    }
    // The first connection is used again, so it is no longer the longest idle one.
    let mut first = idle.remove(0);
    first.write_all(get("/healthz").as_bytes()).await.unwrap();
    let mut read = String::new();
    while read.matches("\"ok\"}").count() < 2 {
        read.push(char::from(first.read_u8().await.unwrap()));
    }
    let mut new = send(&app, &get("/v1/agent-sessions")).await;
    let mut begun = [0; 12];
    new.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    rest(idle.remove(0)).await;
    first.write_all(get("/healthz").as_bytes()).await.unwrap();
    first.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_connections_are_all_in_use_still_answers_health_checks() {
    let bounds = Bounds {
        connections: 2,
        ..bounds()
    };
    let app = App::start_with_bounds(PATIENCE, bounds).await;
    let begun = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n\
                 Content-Type: application/json\r\nContent-Length: 100\r\n\
                 Expect: 100-continue\r\n\r\n";
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = send(&app, begun).await;
        let mut asked = [0; 12];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100");
        busy.push(stream);
    }
    for path in ["/healthz", "/readyz", "/healthz"] {
        let answer = rest(send(&app, &get(path)).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let answer = rest(send(&app, &get("/v1/agent-sessions")).await).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("server_full"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(busy);
    until(&app, "session_ledger_connections ", |open| open <= 1).await;
    app.stop().await;
}
