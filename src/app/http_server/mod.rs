//! The HTTP server: accepts connections, applies timeouts to them, and closes them.
//!
//! A request is under way from the end of its head until the connection has taken its whole answer.
//! A server that stops finishes the requests under way, and closes every other connection.

mod answer;
mod handshake;
mod patience;
mod room;
mod socket;
mod streams;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::app::tls::Tls;
use crate::domain::limits::{
    HTTP2_KEEP_ALIVE_MS, HTTP2_STREAMS_MAX, REQUEST_HEAD_BYTES_MAX, SOCKET_UNSENT_BYTES,
};
use crate::http::{BodyPatience, Connection, Lane};
use answer::Answer;
use handshake::{NoTls, shake_hands};
use room::Place;
use socket::Socket;
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

/// A connection, with or without TLS.
type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// The state that all connections of an address share.
struct Server {
    usual: Builder<Streams>,
    health_only: Builder<Streams>,
    service: TowerToHyperService<Router>,
    patience: Patience,
    bodies: Arc<BodyPatience>,
    room: Arc<Room>,
    stop: CancellationToken,
    tls: Option<Tls>,
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
    let mut health_only = builder(&patience, streams.clone());
    health_only.http1().keep_alive(false);
    let server = Arc::new(Server {
        usual: builder(&patience, streams.clone()),
        health_only,
        service: TowerToHyperService::new(router),
        patience,
        bodies: Arc::new(BodyPatience {
            at_most: patience.body,
            ended: CancellationToken::new(),
        }),
        room,
        stop: stop.clone(),
        tls,
    });
    let mut connections = JoinSet::new();
    let mut watch = pin!(server.room.watch(&patience));
    loop {
        let has_room = connections.len() < server.room.accepted_max();
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
        server.bodies.ended.cancel();
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

fn builder(patience: &Patience, streams: Streams) -> Builder<Streams> {
    let (interval, timeout) = HTTP2_KEEP_ALIVE_MS;
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(REQUEST_HEAD_BYTES_MAX)
        .keep_alive_interval(Duration::from_millis(interval))
        .keep_alive_timeout(Duration::from_millis(timeout));
    builder
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

impl Server {
    /// Serves a connection if there is room for it.
    async fn receive(self: Arc<Self>, stream: TcpStream) {
        match self.room.enter(&self.bodies).await {
            Some(place) => self.serve(stream, &place).await,
            None => log_close("found no room"),
        }
    }

    /// Makes the TLS handshake if the address has TLS. `None` if it failed or took too long.
    async fn secure(
        &self,
        stream: TcpStream,
        activity: &Arc<Connection>,
        deadline: Instant,
    ) -> Option<Stream> {
        let socket = Socket::new(stream, Arc::clone(activity));
        let Some(tls) = &self.tls else {
            return Some(Either::Left(socket));
        };
        let failed = tokio::select! {
            // Boxed because a TLS session is large.
            made = Box::pin(shake_hands(socket, tls)) => match made {
                Ok(stream) => return Some(Either::Right(Box::new(stream))),
                Err(failed) => failed,
            },
            () = sleep_until(deadline) => NoTls::Late,
            () = activity.closing() => NoTls::Closed("had to make room"),
            () = self.stop.cancelled() => NoTls::Closed("had no request under way"),
        };
        if let Some(reason) = failed.reason() {
            self.room.handshake_failed(reason);
        }
        tokio::select! {
            biased;
            () = failed.end() => {}
            () = activity.closing() => {}
            () = self.stop.cancelled() => {}
        }
        None
    }

    /// Serves one connection to its end.
    async fn serve(&self, stream: TcpStream, place: &Place) {
        let deadline = Instant::now() + self.patience.head;
        let Some(stream) = self.secure(stream, &place.connection, deadline).await else {
            return;
        };
        let activity = &place.connection;
        let service = service_fn(|mut request: Request<Incoming>| {
            let under_way = activity.begin(request.version() == Version::HTTP_2);
            request.extensions_mut().insert(Arc::clone(activity));
            let answer = self.service.call(request);
            async move {
                let answer: Response<axum::body::Body> = answer.await?;
                Ok::<_, Infallible>(answer.map(|body| Answer { body, under_way }))
            }
        });
        let builder = match activity.lane() {
            Lane::Usual => &self.usual,
            Lane::HealthOnly => &self.health_only,
        };
        // Boxed, because a variable that is pinned later would be in the memory of the task twice.
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        let why = tokio::select! {
            ended = connection.as_mut() => return log_end(ended),
            () = stays_unused(activity, deadline) => return log_close("sent no request"),
            () = activity.closing() => Some("had to make room, or left answers unread"),
            () = self.stop.cancelled() => None,
        };
        connection.as_mut().graceful_shutdown();
        let Some(why) = why else {
            tokio::select! {
                ended = connection => log_end(ended),
                () = is_idle_for(activity, self.patience.arrival) => {
                    log_close("had no request under way");
                }
            }
            return;
        };
        // One poll of the connection, in which a client that still reads learns of the shutdown.
        tokio::select! {
            biased;
            ended = connection => log_end(ended),
            () = tokio::task::yield_now() => log_close(why),
        }
    }
}

/// Returns at the deadline if the connection has had no request, or is one for health checks only.
/// Otherwise never returns.
async fn stays_unused(connection: &Connection, deadline: Instant) {
    sleep_until(deadline).await;
    if connection.begun() != 0 && connection.lane() == Lane::Usual {
        std::future::pending::<()>().await;
    }
}

/// Returns once no request has been under way for this long. This is also the time that the last
/// answer has to be sent.
async fn is_idle_for(connection: &Connection, time: Duration) {
    loop {
        let before = connection.ended();
        sleep(time).await;
        let ended = connection.ended();
        if ended == before && ended == connection.begun() {
            return;
        }
    }
}

fn log_end<E: std::fmt::Debug>(ended: Result<(), E>) {
    if let Err(error) = ended {
        // Usually the client caused it: it disconnected, or does not speak HTTP.
        tracing::debug!("a connection ended early: {error:?}");
    }
}

fn log_close(why: &str) {
    tracing::debug!("closed a connection that {why}");
}
