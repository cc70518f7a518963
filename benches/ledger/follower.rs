//! A client of a stream, which keeps what the frames say. It shares the machine with the server, so it reads only what
//! it needs of each frame.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use h2::RecvStream;

/// A client and what it has.
pub(crate) struct Follower {
    /// Which of the followed things it follows.
    pub(crate) what: usize,
    pub(crate) rows: Vec<HeldRow>,
    /// The last `synced`.
    pub(crate) synced: Vec<u8>,
    /// The positions of the events that it got.
    pub(crate) events: Vec<u64>,
    /// It has everything up to this position.
    position: u64,
    /// The highest number of a session that it had seen at the last `synced`, and that it has seen.
    newest: [u64; 2],
    /// The microseconds from each publish until its frame.
    pub(crate) times_us: Vec<u64>,
}

/// A row that a client holds.
pub(crate) struct HeldRow {
    id: Box<[u8]>,
    /// The session as JSON.
    pub(crate) session: Box<[u8]>,
}

impl Follower {
    pub(crate) fn new(what: usize) -> Self {
        Self {
            what,
            rows: Vec::new(),
            synced: Vec::new(),
            events: Vec::new(),
            position: 0,
            newest: [0; 2],
            times_us: Vec::new(),
        }
    }

    /// Follows until it has everything up to the end, which is set later. Publishes count their time from `started`.
    pub(crate) async fn run(
        mut self,
        mut body: RecvStream,
        started: Instant,
        end: Arc<AtomicU64>,
    ) -> Self {
        // A line whose end has not come.
        let mut begun = Vec::new();
        while self.position < end.load(Ordering::Relaxed) {
            let chunk = body.data().await.expect("the stream goes on").unwrap();
            let released = body.flow_control().release_capacity(chunk.len());
            released.unwrap();
            let now_us = u64::try_from(started.elapsed().as_micros()).expect("a short time");
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let from = rest;
                let length = rest.skip_until(b'\n').expect("bytes in memory");
                match from[..length].strip_suffix(b"\n") {
                    None => begun.extend_from_slice(from),
                    Some(line) if begun.is_empty() => self.take(line, now_us),
                    Some(line) => {
                        begun.extend_from_slice(line);
                        self.take(&begun, now_us);
                        begun.clear();
                    }
                }
            }
        }
        self
    }

    /// Does what a frame says.
    fn take(&mut self, frame: &[u8], now_us: u64) {
        let rest = frame.strip_prefix(b"{\"frame\":\"").expect("a frame");
        match rest {
            [b'u', ..] => self.upsert(rest, now_us),
            [b'l', ..] => {
                let id = text(rest, b"\"session_id\":\"");
                let place = self.rows.iter().position(|row| *row.id == *id);
                self.rows.remove(place.expect("it holds the row"));
            }
            [b'e', ..] => {
                self.position = number(rest, b"\"position\":");
                self.events.push(self.position);
                let id = text(rest, b"\"specversion\":\"1.0\",\"id\":\"");
                if let Some((published_us, _)) = stamp(id) {
                    self.times_us.push(now_us.saturating_sub(published_us));
                }
            }
            [b's', b'y', ..] => {
                self.position = number(rest, b"\"position\":");
                self.synced.clear();
                self.synced.extend_from_slice(frame);
                self.newest[0] = self.newest[1];
            }
            [b's', b'e', ..] => self.position = number(rest, b"\"position\":"),
            [b'r', ..] => self.rows.clear(),
            _ => panic!("{}", String::from_utf8_lossy(frame)),
        }
    }

    fn upsert(&mut self, rest: &[u8], now_us: u64) {
        let session = b"\"session\":";
        let at = find(rest, session) + session.len();
        // Without the frame's own brace.
        let session = &rest[at..rest.len() - 1];
        let id = text(session, b"\"session_id\":\"");
        let place = self.rows.iter().position(|row| *row.id == *id);
        match place {
            Some(place) => drop(self.rows.remove(place)),
            None => self.note_opening(id, session, now_us),
        }
        let index = usize::try_from(number(rest, b"\"index\":")).expect("a small number");
        let row = HeldRow {
            id: id.into(),
            session: session.into(),
        };
        self.rows.insert(index, row);
    }

    /// Notes when a new session was seen. An older one can also come into the window: when it ends, or when others
    /// leave.
    fn note_opening(&mut self, id: &[u8], session: &[u8], now_us: u64) {
        let Some((published_us, number)) = stamp(id) else {
            return;
        };
        let is_new = self.newest[0] < number && text(session, b"\"status\":\"") == b"active";
        self.newest[1] = self.newest[1].max(number);
        if is_new {
            self.times_us.push(now_us.saturating_sub(published_us));
        }
    }
}

/// The microsecond of a publish and its number, which the id has. Ids from before have none.
fn stamp(id: &[u8]) -> Option<(u64, u64)> {
    let dash = id.iter().position(|byte| *byte == b'-')?;
    Some((
        leading_number(&id[..dash])?,
        leading_number(&id[dash + 1..])?,
    ))
}

/// The place of a text that is there.
fn find(line: &[u8], what: &[u8]) -> usize {
    let place = line.windows(what.len()).position(|window| window == what);
    place.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(line)))
}

/// The text behind a name, up to its quote.
fn text<'a>(line: &'a [u8], name: &[u8]) -> &'a [u8] {
    let from = &line[find(line, name) + name.len()..];
    let end = from.iter().position(|byte| *byte == b'"');
    &from[..end.expect("a text ends")]
}

/// The number behind a name.
fn number(line: &[u8], name: &[u8]) -> u64 {
    let from = &line[find(line, name) + name.len()..];
    leading_number(from).expect("a number")
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}
