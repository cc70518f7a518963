//! Compresses answers for clients that accept it.
//!
//! A complete answer is compressed before the server sends it. So only the compressed bytes wait
//! for a slow client, without the state of a compressor. Streamed answers are not compressed.

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

/// The shortest answer that is compressed. A shorter answer fits into one packet anyway.
const ANSWER_BYTES_MIN: u64 = 1_024;
/// The number of bytes that are compressed before the task yields to other requests.
const TURN_BYTES: usize = 64 * 1024;
/// Prefixes of the media types that are worth compressing.
const TEXTS: [&str; 4] = [
    "application/json",
    "application/x-ndjson",
    "application/openmetrics-text",
    "text/",
];

/// Returns the answer in the client's preferred coding; unchanged if it is too short or not text.
pub(crate) async fn compressed(response: Response, coding: Option<Coding>) -> Response {
    match coding {
        Some(coding) if is_worth_it(&response) => shorten(response, coding).await,
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
    let short = match encoded(body, coding, Effort::Quick).await {
        Ok(short) => short,
        Err(error) => {
            tracing::error!(error = %error, "failed to compress an answer: {error}");
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

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For bytes that are sent once.
    Quick,
    /// For bytes that are sent often: ten times the work for a fifth fewer bytes.
    Best,
}

impl Effort {
    /// The level for a coding.
    fn level(self, coding: Coding) -> Level {
        Level::Precise(match (coding, self) {
            (Coding::Zstd, Self::Quick) => 3,
            (Coding::Brotli | Coding::Gzip | Coding::Deflate, Self::Quick) => 4,
            (Coding::Gzip | Coding::Deflate, Self::Best) => 9,
            (Coding::Brotli, Self::Best) => 11,
            (Coding::Zstd, Self::Best) => 19,
        })
    }
}

/// Returns a body in a coding.
pub(crate) async fn encoded(body: Body, coding: Coding, effort: Effort) -> io::Result<Vec<u8>> {
    // Boxed: otherwise the future of every request would be as large as a compressor.
    Box::pin(write_encoded(body, coding, effort)).await
}

async fn write_encoded(body: Body, coding: Coding, effort: Effort) -> io::Result<Vec<u8>> {
    let (out, level) = (Vec::new(), effort.level(coding));
    match coding {
        Coding::Brotli => {
            let mut encoder = BrotliEncoder::with_quality(out, level);
            let written = write(body, &mut encoder).await;
            written.map(|()| encoder.into_inner())
        }
        Coding::Zstd => {
            let mut encoder = ZstdEncoder::with_quality(out, level);
            let written = write(body, &mut encoder).await;
            written.map(|()| encoder.into_inner())
        }
        Coding::Gzip | Coding::Deflate => {
            let mut encoder = GzipEncoder::with_quality(out, level);
            let written = write(body, &mut encoder).await;
            written.map(|()| encoder.into_inner())
        }
    }
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
