//! Streams that are followed over HTTP/2, many on each connection.

use std::net::SocketAddr;

use axum::http::Request;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What the server may send before the client has read it: enough to never wait for a window.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// Open connections, which end when dropped.
pub(crate) struct Follows {
    connections: Vec<SendRequest<Bytes>>,
    _moving: JoinSet<()>,
}

impl Follows {
    pub(crate) async fn open(addr: SocketAddr, connections: usize) -> Self {
        let mut moving = JoinSet::new();
        let mut opened = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut builder = h2::client::Builder::new();
            builder
                .initial_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            let (sender, connection) = builder.handshake(stream).await.unwrap();
            moving.spawn(async move { drop(connection.await) });
            opened.push(sender);
        }
        Self {
            connections: opened,
            _moving: moving,
        }
    }

    /// Opens a stream of NDJSON on one of the connections.
    pub(crate) async fn follow(&self, number: usize, key: &str, target: &str) -> RecvStream {
        let connection = &self.connections[number % self.connections.len()];
        let request = Request::get(format!("http://localhost{target}"))
            .header("x-api-key", key)
            .header("accept", "application/x-ndjson")
            .body(())
            .unwrap();
        let mut ready = connection.clone().ready().await.unwrap();
        let (answer, _sent) = ready.send_request(request, true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200, "{target}");
        answer.into_body()
    }
}
