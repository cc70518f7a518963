//! Frames of a stream, as Server-Sent Events or as NDJSON.
//!
//! A frame is a JSON object on one line; its member `frame` is its name. As a Server-Sent Event, the name is the
//! event's type as well. Its id is the position up to which the client has everything.
//! The format is that of <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use axum::body::Bytes;

use super::Bye;
use crate::domain::Position;
use crate::http::request::stream_headers::NDJSON;
use crate::http::response::json::Json;

/// How the frames of a stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Server-Sent Events.
    Sse,
    /// One JSON object per line.
    Ndjson,
}

impl Encoding {
    pub(crate) fn of(wants_ndjson: bool) -> Self {
        if wants_ndjson {
            Self::Ndjson
        } else {
            Self::Sse
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => NDJSON,
        }
    }
}

/// Frames that are sent together.
pub(super) struct Frames {
    encoding: Encoding,
    out: Json,
}

impl Frames {
    pub(super) fn new(encoding: Encoding) -> Self {
        let out = Json::with_capacity(1024);
        Self { encoding, out }
    }

    /// Adds a frame. `write` writes its other members, each with a comma before it.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        id: Option<Position>,
        write: impl FnOnce(&mut Json),
    ) {
        let Self { encoding, out } = self;
        if *encoding == Encoding::Sse {
            if let Some(position) = id {
                out.raw("id: ");
                out.value(&position);
                out.raw("\n");
            }
            out.raw("event: ");
            out.raw(name);
            out.raw("\ndata: ");
        }
        out.raw("{\"frame\":");
        out.text(name);
        write(out);
        out.raw("}\n");
        if *encoding == Encoding::Sse {
            out.raw("\n");
        }
    }

    /// Adds frames that were written before.
    pub(super) fn add_written(&mut self, frames: &[u8]) {
        self.out.bytes(frames);
    }

    /// Adds the last frame of a stream, which says when to connect again.
    pub(super) fn bye(&mut self, bye: Bye) {
        // A client of Server-Sent Events keeps this time for all later ends of its connections.
        if self.encoding == Encoding::Sse && bye.retry_ms() != 0 {
            self.out.raw("retry: ");
            self.out.value(&bye.retry_ms());
            self.out.raw("\n");
        }
        self.add("bye", None, |out| {
            out.raw(",\"reason\":");
            out.text(bye.reason());
            out.raw(",\"retry_ms\":");
            out.value(&bye.retry_ms());
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.out.into_bytes().into()
    }
}

/// The bytes of a chunk that many clients get, made once for each encoding.
#[derive(Debug, Default)]
pub(super) struct Shared {
    sse: std::sync::OnceLock<Bytes>,
    ndjson: std::sync::OnceLock<Bytes>,
}

impl Shared {
    pub(super) fn get(&self, encoding: Encoding, make: impl FnOnce(&mut Frames)) -> Bytes {
        let made = match encoding {
            Encoding::Sse => &self.sse,
            Encoding::Ndjson => &self.ndjson,
        };
        let bytes = made.get_or_init(|| {
            let mut frames = Frames::new(encoding);
            make(&mut frames);
            frames.into_bytes()
        });
        bytes.clone()
    }
}
