//! The HTTP server: accepts connections, bounds how long each may keep it waiting, and ends them.
//!
//! A request is under way from its complete head until its answer has been handed to the
//! connection. To stop, the server finishes those, and closes every other connection.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::limits::{
    CONNECTION_IDLE_MS, CONNECTIONS_MAX, HEAD_WAIT_MS, HTTP2_KEEP_ALIVE_MS, HTTP2_STREAMS_MAX,
    REQUEST_BODY_WAIT_MS, REQUEST_HEAD_BYTES_MAX, SHUTDOWN_ARRIVAL_MS, SHUTDOWN_WAIT_MS,
};
use crate::http::BodyPatience;

/// How long accepting rests after an error, as when there are no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long the server waits for its clients.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From a connection's start until its first request's head is complete.
    pub head: Duration,
    /// From one answer until the next request's head is complete.
    pub idle: Duration,
    /// For a request's body.
    pub body: Duration,
    /// While stopping, for requests that have not arrived to their end.
    pub arrival: Duration,
    /// While stopping, for all requests under way.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_millis(HEAD_WAIT_MS),
            idle: Duration::from_millis(CONNECTION_IDLE_MS),
            body: Duration::from_millis(REQUEST_BODY_WAIT_MS),
            arrival: Duration::from_millis(SHUTDOWN_ARRIVAL_MS),
            finish: Duration::from_millis(SHUTDOWN_WAIT_MS),
        }
    }
}

/// What all connections share.
struct Server {
    builder: Builder<Streams>,
    service: TowerToHyperService<Router>,
    patience: Patience,
    bodies: Arc<BodyPatience>,
    stop: CancellationToken,
}

/// Serves until told to stop, and then until the requests under way are finished or have had their
/// time. What is unfinished then is dropped with a warning: nothing of it was acknowledged.
pub async fn run(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let streams = Streams::default();
    let server = Arc::new(Server {
        builder: builder(&patience, streams.clone()),
        service: TowerToHyperService::new(router),
        patience,
        bodies: Arc::new(BodyPatience {
            at_most: patience.body,
            ended: CancellationToken::new(),
        }),
        stop: stop.clone(),
    });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note_panic(ended),
            (stream, permit) = accept(&listener, &room) => {
                let connection = Arc::clone(&server).serve(stream);
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
        }
    }
    // From here on new connections are refused instead of left waiting.
    drop(listener);
    let now = Instant::now();
    if !drain(&mut connections, now + patience.arrival).await {
        server.bodies.ended.cancel();
        if !drain(&mut connections, now + patience.finish).await {
            let unfinished = connections.len();
            tracing::warn!(
                unfinished,
                "{unfinished} connections had not finished in time and were dropped"
            );
        }
    }
    connections.shutdown().await;
    streams.end().await;
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

/// The next connection, once there is room for it. Cancelling it loses nothing.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Never closed, so that there always is one.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                // Answers are written in one piece: to wait for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = %error, "TCP_NODELAY was refused");
                }
                return (stream, permit);
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted: {error}");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Waits until all connections have ended; whether they have by the deadline.
async fn drain(connections: &mut JoinSet<()>, deadline: Instant) -> bool {
    while let Ok(ended) = timeout_at(deadline, connections.join_next()).await {
        match ended {
            Some(ended) => note_panic(ended),
            None => return true,
        }
    }
    false
}

fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a connection's task ended: {error}");
    }
}

impl Server {
    /// Serves one connection to its end.
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&self.bodies));
            let under_way = Activity::begin(&activity);
            let answer = self.service.call(request);
            async move {
                let answer: Response<axum::body::Body> = answer.await?;
                Ok::<_, Infallible>(answer.map(|body| Answer { body, under_way }))
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return note_end(ended),
            () = activity.stays_unused(self.patience.head) => return note_close("sent no request"),
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => note_end(ended),
            () = activity.is_idle_for(self.patience.arrival) => note_close("has none under way"),
        }
    }
}

fn note_end<E: std::fmt::Debug>(ended: Result<(), E>) {
    if let Err(error) = ended {
        // The client's doing as a rule: it left, or does not speak HTTP.
        tracing::debug!("a connection ended early: {error:?}");
    }
}

fn note_close(why: &str) {
    tracing::debug!("closed a connection that {why}");
}

/// How many requests of a connection have begun and ended.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    fn begin(this: &Arc<Self>) -> UnderWay {
        this.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(this))
    }

    /// Ends if there is no request in this time.
    async fn stays_unused(&self, at_most: Duration) {
        sleep(at_most).await;
        if self.begun.load(Ordering::Relaxed) != 0 {
            std::future::pending::<()>().await;
        }
    }

    /// Ends once no request has been under way for this long, which also is the time that an answer
    /// has to leave.
    async fn is_idle_for(&self, time: Duration) {
        loop {
            let before = self.ended.load(Ordering::Relaxed);
            sleep(time).await;
            let ended = self.ended.load(Ordering::Relaxed);
            if ended == before && ended == self.begun.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A request that has begun. It ends when this is dropped.
#[derive(Debug)]
struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of an answer. Its request is under way until the connection has taken all of it.
struct Answer {
    body: axum::body::Body,
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    under_way: UnderWay,
}

impl Body for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs the requests of connections of HTTP/2, each a task, so that none outlives the server.
#[derive(Debug, Clone, Default)]
struct Streams {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Streams {
    /// Drops those that still run.
    async fn end(self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.tasks
            .spawn(self.end.clone().run_until_cancelled_owned(stream));
    }
}
