//! Reads request bodies that no handler has read, such as the body of a request to an unknown path.
//!
//! An HTTP/1.1 server that answers before the body has arrived must close the connection. A client
//! that reuses the connection then fails with its next request. So the server reads the rest of the
//! body before it answers. If that takes too long, the answer has the header `Connection: close`.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream as _, StreamExt as _, stream};

use crate::domain::limits::{REQUEST_BYTES_MAX, UNREAD_BODY_WAIT_MS};

/// Runs the handler, then reads a body that the handler has not touched, and returns the answer.
pub(crate) async fn answer(
    request: Request,
    handle: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    // HTTP/2 can end one request without closing the connection.
    if request.body().is_end_stream() || Version::HTTP_11 < request.version() {
        return handle(request).await;
    }
    let waits_to_be_asked = waits_to_be_asked(request.headers());
    let (parts, body) = request.into_parts();
    let body = Shared::new(body);
    let mut response = handle(Request::from_parts(parts, body.lend())).await;
    // Reading the body would send `100 Continue`, which asks the client for it.
    let ended = if waits_to_be_asked {
        body.progress() == Progress::Ended
    } else {
        body.read_to_end().await
    };
    if !ended {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Whether the client sends the body only after `100 Continue` (RFC 9110, section 10.1.1).
fn waits_to_be_asked(headers: &HeaderMap) -> bool {
    let expected = headers.get(EXPECT).map(HeaderValue::as_bytes);
    expected.is_some_and(|word| word.eq_ignore_ascii_case(b"100-continue"))
}

/// A request body that the handler and this layer share.
#[derive(Clone)]
struct Shared(Arc<Mutex<Reading>>);

struct Reading {
    body: BodyDataStream,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untouched,
    Begun,
    Ended,
}

impl Shared {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Reading {
            body: body.into_data_stream(),
            progress: Progress::Untouched,
        })))
    }

    fn lend(&self) -> Body {
        let shared = self.clone();
        Body::from_stream(stream::poll_fn(move |cx| shared.poll(cx)))
    }

    /// Reads an untouched body to its end, within bounds of size and time. Returns whether the body
    /// has ended. If the handler has started to read the body, this does not continue: the handler
    /// has decided to stop there.
    async fn read_to_end(&self) -> bool {
        match self.progress() {
            Progress::Ended => return true,
            Progress::Begun => return false,
            Progress::Untouched => {}
        }
        let reading = async {
            let mut bytes = 0;
            let mut rest = stream::poll_fn(|cx| self.poll(cx));
            while let Some(Ok(piece)) = rest.next().await {
                bytes += piece.len();
                if REQUEST_BYTES_MAX < bytes {
                    break;
                }
            }
        };
        let at_most = Duration::from_millis(UNREAD_BODY_WAIT_MS);
        let read = tokio::time::timeout(at_most, reading).await;
        read.is_ok() && self.progress() == Progress::Ended
    }

    fn progress(&self) -> Progress {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .progress
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.progress == Progress::Ended {
            return Poll::Ready(None);
        }
        let polled = std::pin::Pin::new(&mut reading.body).poll_next(cx);
        reading.progress = match polled {
            Poll::Ready(None) => Progress::Ended,
            Poll::Ready(Some(_)) | Poll::Pending => Progress::Begun,
        };
        polled
    }
}
