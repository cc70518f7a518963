//! Decodes request bodies with a `Content-Encoding`, such as `gzip`.
//!
//! Decoding stops at the size limit of a body. So a compression bomb costs no more than the longest
//! allowed body.

use std::io;
use std::pin::pin;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use crate::domain::limits::REQUEST_BYTES_MAX;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::request::coding::Coding;

/// The number of bytes that are decoded at a time.
const STEP_BYTES: usize = 16 * 1024;
/// The largest window of zstd, as a power of two. RFC 9659 allows 8 MiB; the format itself allows
/// 3.75 TiB, which the reader would have to allocate.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Returns the complete decoded body.
pub(crate) async fn decoded(body: Body, coding: Coding) -> Result<Bytes, Problem> {
    let mut coded = 0;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        coded += piece.len();
        // The encoded bytes are bounded too: a coding may have any number of empty blocks.
        if REQUEST_BYTES_MAX < coded {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(piece)
    });
    let mut coded = pin!(StreamReader::new(pieces));
    let read = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(&mut coded);
            decoder.multiple_members(true);
            read(decoder).await
        }
        Coding::Deflate => read(ZlibDecoder::new(&mut coded)).await,
        Coding::Brotli => read(BrotliDecoder::new(&mut coded)).await,
        Coding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
            let mut decoder = ZstdDecoder::with_params(&mut coded, &window);
            decoder.multiple_members(true);
            read(decoder).await
        }
    };
    let failed = |error: &io::Error| match (error.kind(), error.get_ref()) {
        (io::ErrorKind::FileTooLarge, _) => Problem::new(Code::RequestTooLarge),
        // The connection ended within the body.
        (_, Some(cause)) if cause.is::<axum::Error>() => Problem::new(Code::UnreadableBody),
        _ => Problem::new(Code::UnreadableBody).with_detail(format!(
            "the body is not valid {0}, which the header Content-Encoding names; encode the body \
             as {0}, or leave the header out",
            coding.as_str()
        )),
    };
    let whole = read.map_err(|error| failed(&error))?;
    ends(&mut coded).await.map_err(|error| failed(&error))?;
    Ok(whole)
}

async fn read(decoder: impl AsyncRead) -> io::Result<Bytes> {
    let mut decoder = pin!(decoder);
    let mut whole = BytesMut::new();
    loop {
        whole.reserve(STEP_BYTES);
        if decoder.read_buf(&mut whole).await? == 0 {
            return Ok(whole.freeze());
        }
        if REQUEST_BYTES_MAX < whole.len() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        // The decoder does not yield to other tasks while it has input.
        tokio::task::consume_budget().await;
    }
}

/// Rejects bytes after the encoded content. Also reads the body to its end, so that the client can
/// reuse the connection.
async fn ends(coded: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    if coded.fill_buf().await?.is_empty() {
        return Ok(());
    }
    Err(io::Error::from(io::ErrorKind::InvalidData))
}
