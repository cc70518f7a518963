//! A client of the API's streams, which reads them frame by frame.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use super::client::Client;

/// Longer than any test waits for a frame.
const SOON: Duration = Duration::from_secs(20);

/// An open stream of NDJSON.
pub(crate) struct Frames {
    response: Response,
    read: Vec<u8>,
}

impl Client {
    /// Opens a stream. `last` is the id of the last frame of an earlier one.
    pub(crate) async fn follow(&self, path: &str, last: Option<u64>) -> Frames {
        let last = last.map(|last| last.to_string());
        let mut headers = vec![("accept", "application/x-ndjson")];
        headers.extend(last.as_deref().map(|last| ("last-event-id", last)));
        let response = self.open(path, &headers).await;
        assert_eq!(response.status(), 200);
        let read = Vec::new();
        Frames { response, read }
    }
}

impl Frames {
    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await;
            self.read
                .extend_from_slice(&chunk.expect("a frame comes soon").unwrap()?);
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
