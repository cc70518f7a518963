//! Streams: listings and histories that clients follow.

mod events;
mod feed;
mod frame;
mod sessions;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::limits::{
    ANSWER_WAIT_MS, BOOKMARK_EVERY_MS, CLI_SILENCE_MS, FOLLOWERS_MAX, STREAM_RESTART_WAIT_MS,
    STREAM_TIME_MS, STREAM_TIME_SPREAD_MS,
};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::stream_tasks::StreamTasks;
use crate::metrics::Metrics;
use feed::Feeds;

pub(crate) use events::{EventStream, FollowedEvents};
pub(crate) use frame::Encoding;
pub(crate) use sessions::{FollowedSessions, SessionStream};

/// Tells proxies (nginx) to pass each frame on at once.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const _: () = assert!(STREAM_TIME_MS < ANSWER_WAIT_MS);
const _: () = assert!(BOOKMARK_EVERY_MS < CLI_SILENCE_MS);

/// The streams of a server.
pub(crate) struct Live {
    tasks: StreamTasks,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    sessions: Arc<Feeds<sessions::Feed>>,
    events: Arc<Feeds<events::Feed>>,
}

impl Live {
    pub(crate) fn new(tasks: StreamTasks, metrics: Arc<Metrics>) -> Self {
        Self {
            tasks,
            metrics,
            places: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            sessions: Feeds::new(),
            events: Feeds::new(),
        }
    }

    /// A place for one more stream. A problem if there are too many.
    fn place(&self) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_full| Problem::new(Code::TooManyFollowers))?;
        self.metrics.stream_opened();
        // Spread, so that streams that began together do not end together.
        let spread_ms = Uuid::new_v4().as_u64_pair().1 % STREAM_TIME_SPREAD_MS;
        Ok(Place {
            permit,
            metrics: Arc::clone(&self.metrics),
            stop: self.tasks.stop.clone(),
            ends: Instant::now() + Duration::from_millis(STREAM_TIME_MS - spread_ms),
        })
    }
}

/// The place of a stream among all streams.
struct Place {
    #[expect(dead_code, reason = "only its drop has an effect")]
    permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    /// When the stream ends, so that its client connects again.
    ends: Instant,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.stream_ended();
    }
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy)]
enum Bye {
    /// The server stops, or the feed has failed.
    Restart,
    /// The stream has lasted long enough.
    Renew,
}

impl Bye {
    fn reason(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Renew => "renew",
        }
    }

    /// How long the client should wait before it connects again, in milliseconds.
    fn retry_ms(self) -> u64 {
        match self {
            Self::Restart => STREAM_RESTART_WAIT_MS,
            Self::Renew => 0,
        }
    }
}

impl Place {
    /// Waits until the stream must end.
    async fn end(&self) -> Bye {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Bye::Restart,
            () = sleep_until(self.ends) => Bye::Renew,
        }
    }

    /// Whether the stream must end now.
    fn has_ended(&self) -> Option<Bye> {
        if self.stop.is_cancelled() {
            return Some(Bye::Restart);
        }
        (self.ends <= Instant::now()).then_some(Bye::Renew)
    }
}

/// The time of the next frame of a stream in which nothing happens.
fn next_bookmark() -> Instant {
    Instant::now() + Duration::from_millis(BOOKMARK_EVERY_MS)
}

/// A stream that makes its next chunk when the connection has room for it.
pub(crate) trait Chunks: Send + 'static {
    /// Waits for the next chunk; `None` at the end. After an error, the client must not take the answer for a
    /// complete one.
    fn next(&mut self) -> impl Future<Output = Option<io::Result<Bytes>>> + Send;
}

/// Answers with a stream.
pub(crate) fn answer(encoding: Encoding, chunks: impl Chunks) -> Response {
    let chunks = stream::unfold(chunks, |mut chunks| async {
        let chunk = chunks.next().await?;
        Some((chunk, chunks))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(encoding.media_type());
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}
