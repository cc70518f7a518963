//! An HTTP/1.1 client that costs little, so that the server has the machine.

mod follow;
mod load;
mod streams;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) use follow::Follows;
pub(crate) use load::{Load, PagesLoad};
pub(crate) use streams::Streams;

const HEADERS_MAX: usize = 32;
const READ_BYTES: usize = 64 * 1024;

/// A keep-alive connection, with one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    /// When to try again, in seconds, as the last answer said.
    pub(crate) retry_after: Option<u64>,
}

/// Returns the bytes of a GET, with a key unless it is empty.
pub(crate) fn get(target: &str, key: &str) -> Vec<u8> {
    let key = match key {
        "" => String::new(),
        key => format!("X-API-Key: {key}\r\n"),
    };
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{key}\r\n").into_bytes()
}

/// Returns the bytes of a POST of events.
pub(crate) fn post_events(key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nContent-Type: application/cloudevents-batch+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(READ_BYTES),
            retry_after: None,
        })
    }

    /// Sends a request. Returns the status and the body of the answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            self.more().await?;
            if let Some(head) = head(&self.read) {
                break head;
            }
        };
        self.retry_after = head.retry_after;
        let end = head.bytes + head.body_bytes;
        while self.read.len() < end {
            self.more().await?;
        }
        Ok((head.status, &self.read[head.bytes..end]))
    }

    /// Sends a request. Returns the body of the answer, whose status must be 200.
    pub(crate) async fn ok(&mut self, request: &[u8]) -> &[u8] {
        let (status, body) = self.ask(request).await.unwrap();
        assert!(
            (200..300).contains(&status),
            "{}: {status} {}",
            String::from_utf8_lossy(&request[..request.len().min(300)]),
            String::from_utf8_lossy(body)
        );
        body
    }

    pub(crate) async fn text(&mut self, request: &[u8]) -> String {
        String::from_utf8(self.ok(request).await.to_vec()).unwrap()
    }

    pub(crate) async fn json(&mut self, request: &[u8]) -> serde_json::Value {
        serde_json::from_slice(self.ok(request).await).unwrap()
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    retry_after: Option<u64>,
}

/// Parses the head of an answer, if it is complete. The servers measured here send `Content-Length`.
fn head(read: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(bytes) = answer.parse(read).unwrap() else {
        return None;
    };
    let number = |name: &str| {
        let mut headers = answer.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(std::str::from_utf8(header.value).unwrap().parse().unwrap())
    };
    Some(Head {
        status: answer.code.unwrap(),
        bytes,
        body_bytes: number("content-length").map_or(0, |length| usize::try_from(length).unwrap()),
        retry_after: number("retry-after"),
    })
}
