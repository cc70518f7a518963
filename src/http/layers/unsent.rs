//! Bounds the memory of unsent answers: rejects requests beyond the bound, and counts the bytes of
//! each answer until the server has sent them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::domain::limits::UNSENT_PIECE_BYTES;
use crate::http::connection::{Connection, Held, Lane, NoRoom};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Routes that are always answered: their answers have a few bytes.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
/// How long a streamed answer waits before it checks the bounds again.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// A request that is within the bounds.
pub(crate) struct Admitted {
    connection: Arc<Connection>,
    /// Whether the server may replace the answer by a problem if the answer is too long. Not for
    /// writes: their caller must learn the result, and their answers are short.
    may_be_dropped: bool,
}

impl Admitted {
    /// Admits a request, or rejects it before its handler runs. Returns `None` for a request
    /// without a [`Connection`], which is not counted.
    pub(crate) fn check(request: &Request) -> Result<Option<Self>, Box<Response>> {
        let Some(connection) = request.extensions().get::<Arc<Connection>>() else {
            return Ok(None);
        };
        let is_health = HEALTH.contains(&request.uri().path());
        if !is_health && let Err(no_room) = connection.admit() {
            let mut refused = Problem::from(no_room).into_response();
            let is_http1 = request.version() < Version::HTTP_2;
            if is_http1 && connection.lane() == Lane::HealthOnly {
                let close = HeaderValue::from_static("close");
                refused.headers_mut().insert(CONNECTION, close);
            }
            return Err(Box::new(refused));
        }
        Ok(Some(Self {
            connection: Arc::clone(connection),
            may_be_dropped: request.method().is_safe() && !is_health,
        }))
    }

    /// Counts the bytes of the answer until they are sent. Returns a problem instead if the answer
    /// exceeds the bounds and may be replaced.
    pub(crate) fn count(self, response: Response) -> Response {
        let connection = self.connection;
        let len = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        if self.may_be_dropped
            && let Err(no_room) = connection.check(len)
        {
            return Problem::from(no_room).into_response();
        }
        if response.body().is_end_stream() {
            return response;
        }
        let held = Some(connection.hold(len));
        response.map(|body| {
            Body::new(Counted {
                body,
                connection,
                held,
                piece_of: None,
                rest: Bytes::new(),
                pause: None,
            })
        })
    }
}

impl From<NoRoom> for Problem {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Full => Self::new(Code::ServerFull),
            NoRoom::OfConnection => Self::new(Code::AnswersUnread),
            NoRoom::InAll => Self::new(Code::AnswersUnread).with_detail(
                "the request was not processed: other clients do not read their answers, and the \
                 server has no memory for more unsent answers; try again",
            ),
        }
    }
}

/// The body of an answer. Cuts it into pieces that count as unsent until the connection drops them.
struct Counted {
    body: Body,
    connection: Arc<Connection>,
    /// The bytes that were counted in advance, for the first chunk of the body.
    held: Option<Held>,
    /// The count for the chunk in `rest`; each piece of the chunk shares it.
    piece_of: Option<Arc<Held>>,
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A piece of an answer. The connection drops it after sending it.
struct Piece {
    bytes: Bytes,
    of: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.progress();
    }
}

impl Counted {
    /// Cuts the next piece off the current chunk. The pieces share the chunk's memory, so the whole
    /// chunk counts until its last piece is sent.
    fn cut(&mut self) -> Option<Bytes> {
        let of = Arc::clone(self.piece_of.as_ref()?);
        let bytes = self.rest.split_to(self.rest.len().min(UNSENT_PIECE_BYTES));
        if self.rest.is_empty() {
            self.piece_of = None;
        }
        Some(Bytes::from_owner(Piece { bytes, of }))
    }

    /// Waits until a streamed answer may produce its next chunk.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.held.is_some() || self.connection.check(0).is_ok() {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(ROOM_PAUSE)));
        }
    }

    /// Counts a chunk of the body and makes it the current chunk.
    fn take(&mut self, data: Bytes) {
        let held = self.held.take().filter(|held| data.len() <= held.bytes());
        let held = held.unwrap_or_else(|| self.connection.hold(data.len()));
        self.piece_of = Some(Arc::new(held));
        self.rest = data;
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if let Some(piece) = self.cut() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            ready!(self.poll_room(cx));
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.take(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
