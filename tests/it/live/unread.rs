//! A follower over HTTP/2 with a large window that does not read its connection for a while.

use axum::http::Request;
use h2::client::{Builder, Connection};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::app::{App, NOW};
use crate::support::client::created;

/// More than the server sends.
const WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// The changes while the client reads nothing, each with a row of this size.
const CHANGES: usize = 120;
const ROW_BYTES: usize = 15_000;

/// Reads frames until this total. Returns how many groups of changes there were. Only here, bytes leave the socket.
async fn groups_until(
    total: usize,
    body: &mut h2::RecvStream,
    connection: &mut Connection<TcpStream>,
) -> usize {
    let read = async {
        let (mut line, mut groups) = (Vec::new(), 0);
        loop {
            let chunk = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
            for byte in chunk {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let frame: Value = serde_json::from_slice(&line).unwrap();
                line.clear();
                if frame["frame"] == "synced" {
                    groups += 1;
                    if frame["total"] == json!(total) {
                        return groups;
                    }
                }
            }
        }
    };
    tokio::select! {
        groups = read => groups,
        ended = connection => panic!("{ended:?}"),
    }
}

/// Without a bound of its own, the server kept 400 kB of old states for each such follower.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_does_not_read_its_connection_skips_to_the_newest_rows() {
    let app = App::start().await;
    let client = app.client("acme");
    client.apply(&created("first", "a1", NOW)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(app.host().parse().unwrap()).await.unwrap();
    let mut builder = Builder::new();
    builder
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let (mut requests, mut connection) = builder.handshake(stream).await.unwrap();
    let request = Request::get("http://localhost/v1/agent-sessions/stream?window=1")
        .header("x-tenant-id", "acme")
        .header("accept", "application/x-ndjson");
    let (answer, _sent) = requests
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    let answer = tokio::select! {
        answer = answer => answer.unwrap(),
        ended = &mut connection => panic!("{ended:?}"),
    };
    let mut body = answer.into_body();
    groups_until(1, &mut body, &mut connection).await;
    for number in 0..CHANGES {
        let mut opened = created(&format!("s{number}"), "a1", NOW);
        opened["data"]["metadata"] = json!({"text": "x".repeat(ROW_BYTES)});
        client.apply(&opened).await;
    }
    let groups = groups_until(CHANGES + 1, &mut body, &mut connection).await;
    assert!(groups < 20, "{groups} groups");
    drop((requests, body, connection));
    app.stop().await;
}
