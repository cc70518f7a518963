//! Bodies of requests within their limit, and bodies of answers.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::error::Code;
use super::problem::Problem;
use crate::domain::limits::REQUEST_BYTES_MAX;

/// Most bytes that are set aside on the word of a caller.
const RESERVE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes that are read of a body that is too long. A client that is still sending when the
/// connection closes never sees the answer.
const DISCARD_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;

/// A request's body, all of it.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
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
        Ok(Self(whole.freeze()))
    }
}

/// An answer in JSON.
pub(super) fn json(bytes: Vec<u8>) -> Response {
    typed("application/json", bytes)
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
