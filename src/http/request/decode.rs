//! Bodies of requests that are coded, as in `Content-Encoding: gzip`.
//!
//! Nothing is decoded past the limit of a body, so a few bytes that would become gigabytes cost no
//! more than a body of that length.

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

/// How much is decoded at a time.
const STEP_BYTES: usize = 16 * 1024;
/// Largest window of zstd, as a power of two: as much as RFC 9659 lets a server ask for. The format
/// itself lets a sender make its reader take 3.75 TiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The whole body as it was before it was coded.
pub(crate) async fn decoded(body: Body, coding: Coding) -> Result<Bytes, Problem> {
    let mut coded = 0;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        coded += piece.len();
        // A coding may hold any number of bytes that stand for nothing.
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
        // The body broke off.
        (_, Some(cause)) if cause.is::<axum::Error>() => Problem::new(Code::UnreadableBody),
        _ => Problem::new(Code::UnreadableBody).with_detail(format!(
            "the body is not {0}, as the header Content-Encoding says; send what {0} makes of it, \
             or leave the header out",
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
        // Decoding takes no turns by itself while there is something to decode.
        tokio::task::consume_budget().await;
    }
}

/// Refuses what comes after the coded content. This also reads the body to its end, so that the
/// connection can go on.
async fn ends(coded: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    if coded.fill_buf().await?.is_empty() {
        return Ok(());
    }
    Err(io::Error::from(io::ErrorKind::InvalidData))
}
