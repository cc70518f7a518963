//! Serves connections, each to its end.
//!
//! A connection of HTTP/1 that has no request under way is taken apart after a while: it keeps its socket
//! and no buffers of HTTP, until its client sends the next request. The buffers and the state of hyper take
//! some 20 KiB, and thousands of clients keep connections that they rarely use.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Response, Version as RequestVersion};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::handshake::{NoTls, shake_hands};
use super::rewound::Rewound;
use super::room::{Place, Room};
use super::socket::Socket;
use super::streams::Streams;
use super::version::{Version, version};
use super::{Patience, log_close};
use crate::app::tls::Tls;
use crate::domain::limits::{
    HTTP2_KEEP_ALIVE_MS, HTTP2_STREAMS_MAX, HTTP2_UNSENT_BYTES, REQUEST_HEAD_BYTES_MAX,
};
use crate::http::{BodyPatience, Connection, Lane, OverTls};

/// A connection, with or without TLS.
type Stream = Rewound<Either<Socket, Box<TlsStream<Socket>>>>;

/// The answer to a request. Boxed, so that a connection without a request keeps no memory for it, and can
/// be taken apart.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// The state that all connections of an address share.
pub(super) struct Server {
    http1: http1::Builder,
    http1_health_only: http1::Builder,
    http2: http2::Builder<Streams>,
    service: TowerToHyperService<Router>,
    patience: Patience,
    bodies: Arc<BodyPatience>,
    room: Arc<Room>,
    stop: CancellationToken,
    tls: Option<Tls>,
}

/// A connection that is being served.
struct Served<'a> {
    server: &'a Server,
    activity: &'a Arc<Connection>,
}

/// What the client owes the server: the head of a request, in time.
#[derive(Clone, Copy)]
struct Due {
    /// How many requests had begun before.
    begun: u64,
    deadline: Instant,
}

/// What a connection that had to be driven has come to.
enum Driven {
    /// It has ended, or has to be closed.
    Ended,
    /// It has no request under way.
    Idle,
}

impl Server {
    pub(super) fn new(
        router: Router,
        patience: Patience,
        room: Arc<Room>,
        stop: CancellationToken,
        (tls, streams): (Option<Tls>, Streams),
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(patience.idle);
        let mut http1_health_only = http1.clone();
        http1_health_only.keep_alive(false);
        let (interval, timeout) = HTTP2_KEEP_ALIVE_MS;
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(REQUEST_HEAD_BYTES_MAX)
            .max_send_buf_size(HTTP2_UNSENT_BYTES)
            .keep_alive_interval(Duration::from_millis(interval))
            .keep_alive_timeout(Duration::from_millis(timeout));
        Self {
            http1,
            http1_health_only,
            http2,
            service: TowerToHyperService::new(router),
            patience,
            bodies: Arc::new(BodyPatience {
                at_most: patience.body,
                ended: CancellationToken::new(),
            }),
            room,
            stop,
            tls,
        }
    }

    /// The connections of the server.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Ends the waits for bodies of requests.
    pub(super) fn end_bodies(&self) {
        self.bodies.ended.cancel();
    }

    /// Serves a connection if there is room for it.
    pub(super) async fn receive(self: Arc<Self>, stream: TcpStream) {
        let Some(place) = self.room.enter(&self.bodies).await else {
            return log_close("found no room");
        };
        self.serve(stream, &place).await;
    }

    async fn serve(&self, stream: TcpStream, place: &Place) {
        let served = Served {
            server: self,
            activity: &place.connection,
        };
        let due = Due {
            begun: 0,
            deadline: Instant::now() + self.patience.head,
        };
        if let Some(stream) = served.secure(stream, due).await {
            served.to_its_end(stream, due).await;
        }
    }

    fn service(
        &self,
        activity: &Arc<Connection>,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Answer>,
        Error = Infallible,
        Future = Answering,
    > {
        service_fn(|mut request: Request<Incoming>| -> Answering {
            let under_way = activity.begin(request.version() == RequestVersion::HTTP_2);
            request.extensions_mut().insert(Arc::clone(activity));
            if self.tls.is_some() {
                request.extensions_mut().insert(OverTls);
            }
            let answer = self.service.call(request);
            Box::pin(async move {
                let answer: Response<axum::body::Body> = answer.await?;
                Ok(answer.map(|body| Answer { body, under_way }))
            })
        })
    }
}

impl Served<'_> {
    /// Makes the TLS handshake if the address has TLS. `None` if it failed or took too long.
    async fn secure(&self, stream: TcpStream, due: Due) -> Option<Stream> {
        let Self { server, activity } = self;
        let socket = Socket::new(stream, Arc::clone(activity));
        let Some(tls) = &server.tls else {
            return Some(Rewound::new(Either::Left(socket)));
        };
        let failed = tokio::select! {
            // Boxed because a TLS session is large.
            made = Box::pin(shake_hands(socket, tls)) => match made {
                Ok(stream) => return Some(Rewound::new(Either::Right(Box::new(stream)))),
                Err(failed) => failed,
            },
            () = sleep_until(due.deadline) => NoTls::Late,
            () = activity.closing() => NoTls::Closed("had to make room"),
            () = server.stop.cancelled() => NoTls::Closed("had no request under way"),
        };
        if let Some(reason) = failed.reason() {
            server.room.handshake_failed(reason);
        }
        tokio::select! {
            biased;
            () = failed.end() => {}
            () = activity.closing() => {}
            () = server.stop.cancelled() => {}
        }
        None
    }

    async fn to_its_end(&self, mut stream: Stream, mut due: Due) {
        loop {
            let Some(version) = self.next_request(&mut stream, due).await else {
                // TLS says goodbye, so that the client can tell the end from a cut.
                poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_shutdown(cx).is_ready())).await;
                return;
            };
            let rested = match version {
                Version::Http1 => self.http1(stream, due).await,
                Version::Http2 => {
                    self.http2(stream, due).await;
                    None
                }
            };
            let Some(rested) = rested else {
                return;
            };
            stream = rested;
            due = Due {
                begun: self.activity.begun(),
                deadline: Instant::now() + self.server.patience.idle,
            };
        }
    }

    /// Waits until the client sends a request, or its first bytes. `None` if the connection is over.
    async fn next_request(&self, stream: &mut Stream, due: Due) -> Option<Version> {
        let _resting = self.server.room.rest();
        tokio::select! {
            // A request that has arrived when the server stops is still answered.
            biased;
            version = version(stream, due.begun == 0) => version.unwrap_or_else(|error| {
                tracing::debug!("a connection ended early: {error}");
                None
            }),
            () = sleep_until(due.deadline) => closed("sent no request"),
            () = self.activity.closing() => closed("had to make room"),
            () = self.server.stop.cancelled() => closed("had no request under way"),
        }
    }

    /// Serves HTTP/1 until the connection ends, or is idle: then it returns the stream.
    async fn http1(&self, stream: Stream, due: Due) -> Option<Stream> {
        let builder = match self.activity.lane() {
            Lane::Usual => &self.server.http1,
            Lane::HealthOnly => &self.server.http1_health_only,
        };
        let service = self.server.service(self.activity);
        let ended_before = self.activity.ended();
        // Boxed, because a variable that is pinned later would be in the memory of the task twice.
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        let idle = may_rest(self.activity, ended_before, self.server.patience.buffers);
        let Driven::Idle = self.drive(connection.as_mut(), due, idle).await else {
            return None;
        };
        // This ends the connection at once, unless the body of its last request is still read. Then that
        // request stays the last one.
        connection.as_mut().graceful_shutdown();
        let now = poll_fn(|cx| Poll::Ready(connection.poll_without_shutdown(cx))).await;
        match now {
            Poll::Ready(Ok(())) => {
                let parts = Pin::into_inner(connection).into_parts();
                let mut stream = parts.io.into_inner();
                stream.rewind(&parts.read_buf);
                Some(stream)
            }
            Poll::Ready(Err(error)) => {
                log_end(Err(error));
                None
            }
            Poll::Pending => {
                self.drive(connection.as_mut(), due, pending()).await;
                None
            }
        }
    }

    async fn http2(&self, stream: Stream, due: Due) {
        let service = self.server.service(self.activity);
        let connection = self
            .server
            .http2
            .serve_connection(TokioIo::new(stream), service);
        self.drive(Box::pin(connection).as_mut(), due, pending())
            .await;
    }

    /// Runs a connection until it ends, has to be closed, or `idle` returns.
    async fn drive<C>(
        &self,
        mut connection: Pin<&mut C>,
        due: Due,
        idle: impl Future<Output = ()>,
    ) -> Driven
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let why = tokio::select! {
            // The connection comes first: it takes the requests that have arrived, and ends if it has to.
            biased;
            ended = connection.as_mut() => return log_end(ended),
            () = stays_unused(self.activity, due) => {
                log_close("sent no request");
                return Driven::Ended;
            }
            () = self.activity.closing() => Some("had to make room, or left answers unread"),
            () = self.server.stop.cancelled() => None,
            () = idle => return Driven::Idle,
        };
        connection.as_mut().graceful_shutdown();
        let Some(why) = why else {
            tokio::select! {
                ended = connection => return log_end(ended),
                () = stays_idle(self.activity, self.server.patience.arrival) => {
                    log_close("had no request under way");
                }
            }
            return Driven::Ended;
        };
        // One poll of the connection, in which a client that still reads learns of the shutdown.
        tokio::select! {
            biased;
            ended = connection => return log_end(ended),
            () = tokio::task::yield_now() => log_close(why),
        }
        Driven::Ended
    }
}

/// Returns once requests after the first `ended_before` have ended, and none has been under way for
/// this long.
async fn may_rest(connection: &Connection, ended_before: u64, time: Duration) {
    loop {
        let idle = match connection.ended() {
            ended if ended == ended_before => Duration::ZERO,
            _ => connection.idle_for().unwrap_or_default(),
        };
        if idle != Duration::ZERO && time <= idle {
            return;
        }
        sleep(time.saturating_sub(idle)).await;
    }
}

/// Returns at the deadline if no request has begun, or if the connection is for health checks only.
/// Otherwise never returns.
async fn stays_unused(connection: &Connection, due: Due) {
    sleep_until(due.deadline).await;
    if connection.begun() != due.begun && connection.lane() == Lane::Usual {
        pending::<()>().await;
    }
}

/// Returns once no request has been under way for this long. This is also the time that the last
/// answer has to be sent.
async fn stays_idle(connection: &Connection, time: Duration) {
    loop {
        let before = connection.ended();
        sleep(time).await;
        let ended = connection.ended();
        if ended == before && ended == connection.begun() {
            return;
        }
    }
}

fn log_end(ended: hyper::Result<()>) -> Driven {
    if let Err(error) = ended {
        // Usually the client caused it: it disconnected, or does not speak HTTP.
        tracing::debug!("a connection ended early: {error:?}");
    }
    Driven::Ended
}

fn closed<T>(why: &str) -> Option<T> {
    log_close(why);
    None
}
