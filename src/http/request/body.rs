//! Reads request bodies, with limits of size and time.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::domain::limits::REQUEST_BYTES_MAX;
use crate::http::connection::Connection;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;
use crate::http::request::decode;
use crate::http::request::json_body::without_mark;
use crate::http::request::media_type::{self, JSON};

/// The most bytes that the server allocates just because of a `Content-Length` header.
const RESERVE_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that the server reads of a body that is too long. It reads beyond the limit
/// because a client that is still sending when the connection closes never sees the answer.
const DISCARD_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;

/// The complete body of a request, without a byte order mark.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let connection = request.extensions().get::<Arc<Connection>>();
        let patience = connection.map(|connection| Arc::clone(connection.bodies()));
        let patience = patience.unwrap_or_default();
        tokio::select! {
            // First, so that a body that has already arrived needs no timer.
            biased;
            read = read(request) => read.map(Self),
            () = tokio::time::sleep(patience.at_most) => Err(Problem::new(Code::RequestTimeout)),
            () = patience.ended.cancelled() => {
                let detail = "the server is stopping, and the body of the request has not arrived; \
                              nothing was written; try again";
                Err(Problem::new(Code::NotReady).with_detail(detail.to_owned()))
            }
        }
    }
}

/// The body of a command: JSON, or empty.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Bytes);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = media_type::of(request.headers());
        let Body(body) = Body::from_request(request, state).await?;
        if body.is_empty() || media_type?.is_none_or(|media_type| media_type == JSON) {
            return Ok(Self(body));
        }
        let detail = "send application/json in UTF-8";
        Err(Problem::new(Code::UnsupportedMediaType).with_detail(detail))
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let coding = Coding::of_body(request.headers())?;
    if let Some(coding) = coding.filter(|_| !request.body().is_end_stream()) {
        let decoded = decode::decoded(request.into_body(), coding).await;
        return decoded.map(without_mark);
    }
    let claimed: Option<usize> = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut whole = BytesMut::with_capacity(claimed.unwrap_or(0).min(RESERVE_BYTES_MAX));
    let mut stream = request.into_body().into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_broken_off| Problem::new(Code::UnreadableBody))?;
        bytes += chunk.len();
        if bytes <= REQUEST_BYTES_MAX {
            whole.extend_from_slice(&chunk);
        } else if DISCARD_BYTES_MAX < bytes.max(claimed.unwrap_or(0)) {
            break;
        } else {
            whole.clear();
        }
    }
    if REQUEST_BYTES_MAX < bytes {
        return Err(Problem::new(Code::RequestTooLarge));
    }
    Ok(without_mark(whole.freeze()))
}
