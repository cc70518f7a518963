//! Bodies of requests within their limit, and bodies of answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::coding::Coding;
use super::connection::Connection;
use super::decode;
use super::error::Code;
use super::json_body::without_mark;
use super::media_type::{self, JSON};
use super::problem::Problem;
use crate::domain::limits::{REQUEST_BODY_WAIT_MS, REQUEST_BYTES_MAX};

/// Most bytes that are set aside on the word of a caller.
const RESERVE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes that are read of a body that is too long. A client that is still sending when the
/// connection closes never sees the answer.
const DISCARD_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;

/// How long a body may take. A [`Connection`] says it to its requests.
#[derive(Debug, Clone)]
pub struct BodyPatience {
    /// From the first byte that is waited for to the last.
    pub at_most: Duration,
    /// Ends the wait early: the server is stopping.
    pub ended: CancellationToken,
}

impl Default for BodyPatience {
    fn default() -> Self {
        Self {
            at_most: Duration::from_millis(REQUEST_BODY_WAIT_MS),
            ended: CancellationToken::new(),
        }
    }
}

/// A request's body, all of it but a byte order mark.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let connection = request.extensions().get::<Arc<Connection>>();
        let patience = connection.map(|connection| Arc::clone(connection.bodies()));
        let patience = patience.unwrap_or_default();
        tokio::select! {
            // A body that came with its head is read without a timer.
            biased;
            read = read(request) => read.map(Self),
            () = tokio::time::sleep(patience.at_most) => Err(Problem::new(Code::RequestTimeout)),
            () = patience.ended.cancelled() => {
                let detail = "the server is stopping and the request's body had not arrived; \
                              nothing was written; try again";
                Err(Problem::new(Code::NotReady).with_detail(detail.to_owned()))
            }
        }
    }
}

/// The body of a command: JSON, or nothing.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Bytes);

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

/// An answer in JSON.
pub(super) fn json(bytes: Vec<u8>) -> Response {
    typed(JSON, bytes)
}

/// An answer of some media type.
pub(super) fn typed(content_type: &'static str, body: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(content_type);
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

/// An answer in JSON, from a shape.
pub(super) fn json_of(shape: &impl serde::Serialize) -> Response {
    json(serde_json::to_vec(shape).expect("the API's own shapes are JSON"))
}

/// The same with another status than 200.
pub(super) fn json_with_status(status: StatusCode, shape: &impl serde::Serialize) -> Response {
    (status, json_of(shape)).into_response()
}
