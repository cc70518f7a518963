//! The HTTP server: accepts connections, applies timeouts to them, and closes them.
//!
//! A request is under way from the end of its head until the connection has taken its whole answer.
//! A server that stops finishes the requests under way, and closes every other connection.

mod answer;
mod handshake;
mod patience;
mod rewound;
mod room;
mod serving;
mod socket;
mod streams;
mod version;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::tls::Tls;
use crate::domain::limits::SOCKET_UNSENT_BYTES;
use serving::Server;
use streams::Streams;

pub use patience::Patience;
pub use room::{Bounds, Room};

/// The pause after an error of `accept`, for example when no file descriptor is left.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// An address to serve on.
pub struct Address {
    /// Accepts the connections.
    pub listener: TcpListener,
    /// Encrypts them; `None` serves plain HTTP.
    pub tls: Option<Tls>,
}

/// Serves until `stop` is canceled, and then until the requests under way end or time out.
/// Requests that time out are dropped with a warning: their callers got no acknowledgement.
pub async fn run(
    Address { listener, tls }: Address,
    router: Router,
    patience: Patience,
    room: Arc<Room>,
    stop: CancellationToken,
) {
    bound_socket(&listener);
    let streams = Streams::new(patience.answer);
    let server = Arc::new(Server::new(
        router,
        patience,
        room,
        stop.clone(),
        (tls, streams.clone()),
    ));
    let mut connections = JoinSet::new();
    let mut watch = pin!(server.room().watch(&patience));
    loop {
        let has_room = connections.len() < server.room().accepted_max();
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            stream = accept(&listener), if has_room => {
                connections.spawn(Arc::clone(&server).receive(stream));
            }
            never = &mut watch => match never {},
        }
    }
    // From here on the system refuses new connections instead of letting them wait.
    drop(listener);
    let now = Instant::now();
    if !drain(&mut connections, now + patience.arrival).await {
        server.end_bodies();
        if !drain(&mut connections, now + patience.finish).await {
            let unfinished = connections.len();
            tracing::warn!(
                unfinished,
                "{unfinished} connections did not finish in time and were dropped"
            );
        }
    }
    connections.shutdown().await;
    streams.end().await;
}

/// Bounds how much unsent data the kernel buffers per connection. By default it buffers megabytes,
/// and reports progress so late that a slow client looks like one that reads nothing.
fn bound_socket(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES) {
        tracing::debug!(error = %error, "TCP_NOTSENT_LOWAT cannot be set");
    }
}

/// Accepts the next connection. It is safe to cancel.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                // Answers are written in one piece, so Nagle's algorithm would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = %error, "TCP_NODELAY cannot be set");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted: {error}");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Waits until all connections have ended. Returns false if the deadline passes before.
async fn drain(connections: &mut JoinSet<()>, deadline: Instant) -> bool {
    while let Ok(ended) = timeout_at(deadline, connections.join_next()).await {
        match ended {
            Some(ended) => log_panic(ended),
            None => return true,
        }
    }
    false
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a connection's task ended: {error}");
    }
}

fn log_close(why: &str) {
    tracing::debug!("closed a connection that {why}");
}
