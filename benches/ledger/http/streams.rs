//! An HTTP/2 client with many requests at a time on each connection.

use std::error::Error;
use std::net::SocketAddr;

use axum::http::Request;
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};

/// Connections with many requests at a time.
pub(crate) struct Streams {
    addr: SocketAddr,
    connections: Vec<Mutex<Option<Open>>>,
    /// Moves the bytes of the connections.
    moving: Mutex<JoinSet<()>>,
}

/// An open connection.
struct Open {
    sender: SendRequest<Bytes>,
    /// Ends with the connection.
    moving: AbortHandle,
}

/// What an answer says.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) has_retry_after: bool,
}

impl Streams {
    /// So many connections, which are opened when they are needed.
    pub(crate) fn new(addr: SocketAddr, connections: usize) -> Self {
        Self {
            addr,
            connections: (0..connections).map(|_| Mutex::new(None)).collect(),
            moving: Mutex::default(),
        }
    }

    /// Posts events on one of the connections. Fails if it ends before the answer.
    pub(crate) async fn post(
        &self,
        number: usize,
        key: &str,
        events: String,
    ) -> Result<Answer, Box<dyn Error>> {
        let place = &self.connections[number % self.connections.len()];
        let mut open = place.lock().await;
        open.take_if(|open| open.moving.is_finished());
        let connection = match &*open {
            Some(open) => open.sender.clone(),
            None => open.insert(self.open().await?).sender.clone(),
        };
        drop(open);
        let request = Request::post("http://localhost/v1/events")
            .header("x-api-key", key)
            .header("content-type", "application/cloudevents-batch+json")
            .body(())?;
        let mut ready = connection.ready().await?;
        let (response, mut body) = ready.send_request(request, false)?;
        body.send_data(events.into(), true)?;
        let response = response.await?;
        let answer = Answer {
            status: response.status().as_u16(),
            has_retry_after: response.headers().contains_key("retry-after"),
        };
        let mut body = response.into_body();
        while let Some(chunk) = body.data().await {
            let bytes = chunk?.len();
            body.flow_control().release_capacity(bytes)?;
        }
        Ok(answer)
    }

    async fn open(&self) -> Result<Open, Box<dyn Error>> {
        let stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        let moving = self.moving.lock().await.spawn(async {
            // Its requests fail with its error.
            drop(connection.await);
        });
        Ok(Open { sender, moving })
    }
}
