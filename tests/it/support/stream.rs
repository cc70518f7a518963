//! A client of the API's streams, which reads them frame by frame.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use serde_json::Value;

use super::client::Client;
use super::http2::Http2Answer;

/// Longer than any test waits for a frame.
const SOON: Duration = Duration::from_secs(20);

/// An open stream of NDJSON.
pub(crate) struct Frames {
    source: Source,
    read: Vec<u8>,
}

/// Where the bytes come from.
enum Source {
    Http1(Response),
    Http2(Http2Answer),
}

impl Source {
    async fn chunk(&mut self) -> Option<Bytes> {
        match self {
            Self::Http1(response) => response.chunk().await.unwrap(),
            Self::Http2(answer) => answer.chunk().await,
        }
    }
}

impl Client {
    /// Opens a stream. `last` is the id of the last frame of an earlier one.
    pub(crate) async fn follow(&self, path: &str, last: Option<u64>) -> Frames {
        let last = last.map(|last| last.to_string());
        let response = self.open(path, &headers(last.as_deref())).await;
        assert_eq!(response.status(), 200);
        Frames::of(Source::Http1(response))
    }

    /// Opens a stream over HTTP/2. The server may send only so many bytes before the test reads them.
    pub(crate) async fn follow_slowly(
        &self,
        path: &str,
        last: Option<u64>,
        window_bytes: u32,
    ) -> Frames {
        let last = last.map(|last| last.to_string());
        let headers = headers(last.as_deref());
        let answer = self.open_http2(path, &headers, window_bytes).await;
        assert_eq!(answer.status, 200);
        Frames::of(Source::Http2(answer))
    }
}

fn headers(last: Option<&str>) -> Vec<(&'static str, &str)> {
    let mut headers = vec![("accept", "application/x-ndjson")];
    headers.extend(last.map(|last| ("last-event-id", last)));
    headers
}

impl Frames {
    fn of(source: Source) -> Self {
        let read = Vec::new();
        Self { source, read }
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(SOON, self.source.chunk()).await;
            let chunk = chunk.expect("a frame comes soon")?;
            self.read.extend_from_slice(&chunk);
        }
    }

    /// The frames up to a `synced` of this position or a later one, with that one.
    pub(crate) async fn until(&mut self, position: u64) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.expect("the stream goes on");
            let at = frame["as_of"]["position"].as_u64();
            frames.push(frame);
            if at.is_some_and(|at| position <= at) {
                return frames;
            }
        }
    }

    /// All frames until the stream ends.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}
