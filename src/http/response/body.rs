//! Bodies of answers.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::http::dto;
use crate::http::request::media_type::JSON;

/// An answer in JSON.
pub(crate) fn json(bytes: Vec<u8>) -> Response {
    typed(JSON, bytes)
}

/// An answer with this media type.
pub(crate) fn typed(content_type: &'static str, body: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(content_type);
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

/// An answer with a value as JSON.
pub(crate) fn json_of(shape: &impl serde::Serialize) -> Response {
    json(serde_json::to_vec(shape).expect("the API's own shapes are JSON"))
}

/// An answer with a value as JSON, and with a status.
pub(crate) fn json_with_status(
    status: impl Into<StatusCode>,
    shape: &impl serde::Serialize,
) -> Response {
    (status.into(), json_of(shape)).into_response()
}

/// The answer of a server that is alive, or ready.
pub(crate) fn healthy() -> Response {
    json_of(&dto::Health {
        status: "ok".to_owned(),
    })
}

/// The answer 304, without a body: the client's copy is current.
pub(crate) fn not_modified() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}
