//! Streams of a tenant's history: what is on the log already, and then each event when it is folded.
//!
//! A client that reads what is on the log reads it on its own, page by page. Once it has everything, it gets the
//! batches of the feed. If it misses one, it reads pages again, so a slow client loses nothing.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::frame::{Encoding, Frames, Shared};
use super::{Bye, Chunks, Live, Place, next_bookmark};
use crate::domain::limits::{
    EVENT_FEEDS_MAX, FEED_BATCH_BYTES_MAX, FEED_BATCH_EVENTS_MAX, FEED_BATCHES_MAX,
    STREAM_PAGE_BYTES_MAX, STREAM_PAGE_EVENTS_MAX,
};
use crate::domain::{AgentId, Position, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::response::event_row;
use crate::http::response::json::Json;
use crate::http::state::App;
use crate::projection::{EventRange, Order};
use crate::query::{self, AsOf, EventFilter, Sight};

/// The events that a client follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FollowedEvents {
    pub(crate) tenant: TenantId,
    /// The agent of a credential that is bound to one.
    pub(crate) agent: Option<AgentId>,
    pub(crate) filter: EventFilter,
}

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
struct Size {
    events: usize,
    bytes: usize,
}

/// For a client that reads what is on the log.
const PAGE: Size = Size {
    events: STREAM_PAGE_EVENTS_MAX,
    bytes: STREAM_PAGE_BYTES_MAX,
};
/// For the clients of a feed.
const BATCH: Size = Size {
    events: FEED_BATCH_EVENTS_MAX,
    bytes: FEED_BATCH_BYTES_MAX,
};

/// Events that were read together.
pub(super) struct Batch {
    /// Each position, and the event as JSON.
    events: Vec<(Position, Box<[u8]>)>,
    /// The batch has every event after this position that the client follows,
    after: Position,
    /// up to this one.
    upto: Position,
    /// Whether the log has more after it.
    more: bool,
    frames: Shared,
}

impl Batch {
    /// Reads the events after a position. A batch that would be too long ends earlier, but has an event.
    async fn read(
        app: &App,
        followed: &FollowedEvents,
        after: Position,
        size: Size,
    ) -> Result<Self, Problem> {
        let range = EventRange {
            after,
            before: Position::new(u64::MAX),
            order: Order::OldestFirst,
        };
        let FollowedEvents {
            tenant,
            agent,
            filter,
        } = followed.clone();
        let page = app.scan(move |snapshot| {
            let sight = Sight {
                tenant: &tenant,
                agent: agent.as_ref(),
            };
            Ok(query::events::list(
                snapshot,
                sight,
                &filter,
                range,
                size.events,
            )?)
        });
        let page = page.await?;
        let read = event_row::matching(app, page.events, &followed.filter, usize::MAX).await?;
        let mut next = read.next_place(page.next).map(Position::new);
        let (mut events, mut bytes) = (Vec::with_capacity(read.events.len()), 0);
        for event in &read.events {
            let mut out = Json::with_capacity(1024);
            event_row::write(&mut out, event);
            let json = out.into_bytes().into_boxed_slice();
            bytes += json.len();
            if size.bytes < bytes
                && let Some((last, _)) = events.last()
            {
                next = Some(*last);
                break;
            }
            events.push((event.record.position, json));
        }
        Ok(Self {
            events,
            after,
            upto: next.unwrap_or_else(|| page.as_of.position.max(after)),
            more: next.is_some(),
            frames: Shared::default(),
        })
    }

    /// Writes the events after a position.
    fn write(&self, frames: &mut Frames, after: Position) {
        for (position, json) in &self.events {
            if after < *position {
                frames.add("event", Some(*position), |out| {
                    out.raw(",");
                    // The members of the event, without its braces.
                    out.raw_on_one_line(json.get(1..json.len() - 1).unwrap_or_default());
                });
            }
        }
    }
}

/// The batches of the events that clients follow.
pub(super) struct Feed {
    batches: broadcast::Sender<Arc<Batch>>,
    /// The position up to which the feed has looked. All batches up to there are sent.
    reached: watch::Sender<Position>,
    /// The end of the last batch that was sent, or the start of the feed.
    sent: watch::Sender<Position>,
}

/// The batches, and the position up to which the feed has looked.
type Batches = (broadcast::Receiver<Arc<Batch>>, watch::Receiver<Position>);

impl super::feed::Feed for Feed {
    type Key = FollowedEvents;
    type Receiver = Batches;
    const FEEDS_MAX: usize = EVENT_FEEDS_MAX;

    fn new(app: &App, _followed: &FollowedEvents) -> Result<Self, Problem> {
        let position = app.projection().position();
        Ok(Self {
            batches: broadcast::Sender::new(FEED_BATCHES_MAX),
            reached: watch::Sender::new(position),
            sent: watch::Sender::new(position),
        })
    }

    fn receiver(&self) -> Batches {
        (self.batches.subscribe(), self.reached.subscribe())
    }

    async fn look(&self, app: &App, followed: &FollowedEvents) -> Result<(), Problem> {
        while self.is_followed() {
            let reached = *self.reached.borrow();
            if app.projection().position() <= reached {
                break;
            }
            let batch = Batch::read(app, followed, reached, BATCH).await?;
            let (upto, more) = (batch.upto, batch.more);
            if !batch.events.is_empty() {
                let after = self.sent.send_replace(upto);
                // Fails if the last follower has just left.
                let _receivers = self.batches.send(Arc::new(Batch { after, ..batch }));
            }
            // After the batch: who sees this position must find its batch.
            self.reached.send_replace(upto);
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn is_followed(&self) -> bool {
        self.batches.receiver_count() != 0
    }

    async fn is_left(&self) {
        self.batches.closed().await;
    }
}

/// The events that one client follows.
pub(crate) struct EventStream {
    app: App,
    followed: FollowedEvents,
    encoding: Encoding,
    place: Place,
    /// `None` for a stream that ends after the last event.
    feed: Option<Batches>,
    /// The client has every event up to here.
    has: Position,
    stage: Stage,
    /// A chunk that is made already.
    first: Option<Bytes>,
    bookmark: Instant,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has missed what the feed has sent, and reads pages.
    Behind,
    /// It has everything, and gets what the feed sends.
    Synced,
    /// It has got its last frame.
    Ended,
}

impl EventStream {
    /// Begins to follow after a position.
    pub(crate) async fn start(
        (app, live): (App, Arc<Live>),
        followed: FollowedEvents,
        after: Position,
        (encoding, follow): (Encoding, bool),
    ) -> Result<Self, Problem> {
        let place = live.place()?;
        let is_beyond_head = match app.wait_for(Some(after)).await {
            Err(problem) if problem.code() == Code::PositionBeyondHead => true,
            waited => waited.map(|()| false)?,
        };
        // Before the first page is read, so that no event falls between the two.
        let feed = follow.then(|| live.events.join(&app, &live.tasks, followed.clone()));
        let mut stream = Self {
            feed: feed.transpose()?,
            app,
            followed,
            encoding,
            place,
            has: if is_beyond_head {
                Position::ZERO
            } else {
                after
            },
            stage: Stage::Behind,
            first: None,
            bookmark: next_bookmark(),
        };
        let mut frames = Frames::new(encoding);
        if is_beyond_head {
            frames.add("reset", None, |_| {});
        }
        // Here, a failure is an answer with a problem.
        stream.write_page(&mut frames).await?;
        stream.first = Some(frames.into_bytes());
        Ok(stream)
    }

    /// Writes the next page of what is on the log.
    async fn write_page(&mut self, frames: &mut Frames) -> Result<(), Problem> {
        let page = Batch::read(&self.app, &self.followed, self.has, PAGE).await?;
        page.write(frames, self.has);
        self.has = page.upto;
        if !page.more {
            self.stage = Stage::Synced;
            self.write_synced(frames);
        } else if page.events.is_empty() {
            frames.add("searched", Some(self.has), |out| {
                out.raw(",\"position\":");
                out.value(&self.has);
            });
        }
        Ok(())
    }

    fn write_synced(&mut self, frames: &mut Frames) {
        let as_of = AsOf {
            position: self.has,
            time: None,
        };
        frames.add("synced", Some(self.has), |out| {
            out.raw(",\"as_of\":");
            out.value(&self.app.as_of(as_of));
        });
        self.bookmark = next_bookmark();
    }

    async fn page(&mut self) -> io::Result<Bytes> {
        let mut frames = Frames::new(self.encoding);
        if let Err(problem) = self.write_page(&mut frames).await {
            tracing::warn!("a followed history cannot be read: {}", problem.detail());
            self.stage = Stage::Ended;
            return Err(io::Error::other(problem.detail().to_owned()));
        }
        Ok(frames.into_bytes())
    }

    /// The frames of a batch that the client has not seen; `None` if there are none.
    fn step(&mut self, batch: &Batch) -> Option<Bytes> {
        if batch.upto <= self.has {
            return None;
        }
        if self.has < batch.after {
            self.stage = Stage::Behind;
            return None;
        }
        let had = std::mem::replace(&mut self.has, batch.upto);
        self.bookmark = next_bookmark();
        let (first, _) = batch.events.first()?;
        if had < *first {
            let all = |frames: &mut Frames| batch.write(frames, batch.after);
            return Some(batch.frames.get(self.encoding, all));
        }
        let mut frames = Frames::new(self.encoding);
        batch.write(&mut frames, had);
        (!frames.is_empty()).then(|| frames.into_bytes())
    }

    fn bye(&mut self, bye: Bye) -> Bytes {
        self.stage = Stage::Ended;
        let mut frames = Frames::new(self.encoding);
        frames.bye(bye);
        frames.into_bytes()
    }
}

impl Chunks for EventStream {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        loop {
            match (self.stage, self.place.has_ended()) {
                (Stage::Ended, _) => return None,
                (Stage::Behind, Some(bye)) => return Some(Ok(self.bye(bye))),
                (Stage::Behind, None) => return Some(self.page().await),
                (Stage::Synced, _) => {}
            }
            let (batches, reached) = self.feed.as_mut()?;
            tokio::select! {
                biased;
                bye = self.place.end() => return Some(Ok(self.bye(bye))),
                received = batches.recv() => match received {
                    Ok(batch) => if let Some(bytes) = self.step(&batch) {
                        return Some(Ok(bytes));
                    },
                    Err(RecvError::Lagged(_)) => self.stage = Stage::Behind,
                    Err(RecvError::Closed) => return Some(Ok(self.bye(Bye::Restart))),
                },
                () = sleep_until(self.bookmark) => {
                    // In this order: the feed sends a batch before it says that it has reached its end.
                    let reached = *reached.borrow();
                    if batches.is_empty() {
                        self.has = self.has.max(reached);
                    }
                    let mut frames = Frames::new(self.encoding);
                    self.write_synced(&mut frames);
                    return Some(Ok(frames.into_bytes()));
                }
            }
        }
    }
}
