//! Answers in a coding that their clients ask for.
//!
//! An answer is made shorter as a whole before it is sent, so that what waits for a slow client is
//! the short form, and no state of a compressor. What is written while it is sent stays as it is.

use std::io;

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::body::{Body, HttpBody as _};
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;

/// Shortest answer for which it is worth the time: a shorter one fits into one packet anyway.
const ANSWER_BYTES_MIN: u64 = 1_024;
/// How much is compressed before other requests get their turn.
const TURN_BYTES: usize = 64 * 1024;
/// Media types that become shorter, as they begin.
const TEXTS: [&str; 4] = [
    "application/json",
    "application/x-ndjson",
    "application/openmetrics-text",
    "text/",
];

/// The answer in the coding that its client would rather have, if it is worth it.
pub(crate) async fn compressed(response: Response, coding: Option<Coding>) -> Response {
    match coding {
        // In a box, or every request would make room for a compressor.
        Some(coding) if is_worth_it(&response) => Box::pin(shorten(response, coding)).await,
        _ => response,
    }
}

fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let is_long = response.body().size_hint().exact();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    is_long.is_some_and(|len| ANSWER_BYTES_MIN <= len)
        && !headers.contains_key(CONTENT_ENCODING)
        && content_type.is_some_and(|it| TEXTS.iter().any(|text| it.starts_with(text.as_bytes())))
}

async fn shorten(response: Response, coding: Coding) -> Response {
    let (mut parts, body) = response.into_parts();
    let out = Vec::new();
    let short = match coding {
        Coding::Brotli => {
            let mut encoder = BrotliEncoder::with_quality(out, Level::Precise(4));
            write(body, &mut encoder)
                .await
                .map(|()| encoder.into_inner())
        }
        Coding::Zstd => {
            let mut encoder = ZstdEncoder::with_quality(out, Level::Precise(3));
            write(body, &mut encoder)
                .await
                .map(|()| encoder.into_inner())
        }
        Coding::Gzip | Coding::Deflate => {
            let mut encoder = GzipEncoder::with_quality(out, Level::Precise(4));
            write(body, &mut encoder)
                .await
                .map(|()| encoder.into_inner())
        }
    };
    let short = match short {
        Ok(short) => short,
        Err(error) => {
            tracing::error!(error = %error, "an answer could not be compressed: {error}");
            return Problem::new(Code::InternalError).into_response();
        }
    };
    parts.headers.remove(CONTENT_LENGTH);
    let name = HeaderValue::from_static(coding.as_str());
    parts.headers.insert(CONTENT_ENCODING, name);
    let vary = HeaderValue::from(ACCEPT_ENCODING);
    parts.headers.append(VARY, vary);
    Response::from_parts(parts, Body::from(short))
}

async fn write(body: Body, encoder: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(io::Error::other)?;
        for turn in piece.chunks(TURN_BYTES) {
            encoder.write_all(turn).await?;
            tokio::task::yield_now().await;
        }
    }
    encoder.shutdown().await
}
