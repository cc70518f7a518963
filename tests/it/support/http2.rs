//! Answers over HTTP/2 that a test reads as slowly as it likes.

use axum::http::Request;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// An answer on a connection of its own. Its connection ends when it is dropped.
pub(crate) struct Http2Answer {
    pub(crate) status: u16,
    body: RecvStream,
    /// Moves the bytes of the connection.
    _moving: JoinSet<()>,
}

/// Sends a request whose answer has this window.
pub(crate) async fn get(request: Request<()>, window_bytes: u32) -> Http2Answer {
    let authority = request.uri().authority().expect("a whole URL").as_str();
    let stream = TcpStream::connect(authority).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let connected = builder.initial_window_size(window_bytes).handshake(stream);
    let (requests, connection): (SendRequest<Bytes>, _) = connected.await.unwrap();
    let mut moving = JoinSet::new();
    moving.spawn(async move { drop(connection.await) });
    let mut requests = requests.ready().await.unwrap();
    let (answer, _sent) = requests.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    Http2Answer {
        status: answer.status().as_u16(),
        body: answer.into_body(),
        _moving: moving,
    }
}

impl Http2Answer {
    /// Waits for the next bytes, and lets the server send as many more. `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        let chunk = self.body.data().await?.unwrap();
        // Fails if the answer has ended.
        drop(self.body.flow_control().release_capacity(chunk.len()));
        Some(chunk)
    }
}
