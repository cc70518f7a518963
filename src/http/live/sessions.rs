//! Streams of the first rows of a listing of sessions.
//!
//! A client holds the first rows of the listing, and gets what changes in them. The rows of a [`Picture`] are
//! compared with those that the client has, so a client that reads slowly misses pictures and loses nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::frame::{Encoding, Frames, Shared};
use super::{Bye, Chunks, Live, Place, next_bookmark};
use crate::domain::limits::{MIN_POSITION_WAIT_MS, SESSION_FEEDS_MAX};
use crate::domain::session::Status;
use crate::domain::{AgentId, Position, SessionFilter, TenantId};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::response::json::Json;
use crate::http::response::session_row;
use crate::http::state::App;
use crate::projection::{ListingPlace, RowBytes, Snapshot};
use crate::query::{self, AsOf, Changes, Held, Sight, Window};

/// The rows that a client follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FollowedSessions {
    pub(crate) tenant: TenantId,
    /// The agent of a credential that is bound to one.
    pub(crate) agent: Option<AgentId>,
    pub(crate) filter: SessionFilter,
    /// How many rows of the listing.
    pub(crate) window: u16,
}

impl FollowedSessions {
    fn sight(&self) -> Sight<'_> {
        Sight {
            tenant: &self.tenant,
            agent: self.agent.as_ref(),
        }
    }

    fn read(&self, snapshot: &Snapshot) -> Result<Window, Problem> {
        let rows_max = usize::from(self.window);
        Ok(query::sessions::window(
            snapshot,
            self.sight(),
            &self.filter,
            rows_max,
        )?)
    }
}

/// The rows at one time.
pub(super) struct Picture {
    /// Counts the pictures of a feed.
    number: u64,
    rows: Vec<Arc<Row>>,
    total: u64,
    by_status: Vec<(Status, u64)>,
    as_of: AsOf,
    /// The frames of the rows for a client that has nothing.
    whole: Shared,
    /// The frames of the rows for a client that has the picture before this one.
    step: Shared,
}

struct Row {
    held: Held,
    stored: RowBytes,
    /// The session as JSON.
    json: Box<[u8]>,
}

impl Picture {
    /// The picture after `last`. Rows that have not changed are those of `last`.
    fn next(last: Option<&Self>, window: Window) -> Result<Self, Problem> {
        let number = last.map_or(0, |last| last.number + 1);
        let known = last.map_or(&[][..], |last| &last.rows);
        let row = |(place, stored): (ListingPlace, RowBytes)| {
            let at = known.binary_search_by_key(&place, |row| row.held.place);
            match at.ok().and_then(|at| known.get(at)) {
                Some(row) if row.stored == stored => Ok(Arc::clone(row)),
                Some(_) | None => Row::new(place, stored, number).map(Arc::new),
            }
        };
        Ok(Self {
            number,
            rows: window.rows.into_iter().map(row).collect::<Result<_, _>>()?,
            total: window.total,
            by_status: window.by_status,
            as_of: window.as_of,
            whole: Shared::default(),
            step: Shared::default(),
        })
    }

    fn shows_the_same_as(&self, last: &Self) -> bool {
        let same = |(a, b): (&Arc<Row>, &Arc<Row>)| Arc::ptr_eq(a, b);
        self.by_status == last.by_status
            && self.rows.len() == last.rows.len()
            && self.rows.iter().zip(&last.rows).all(same)
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.rows.iter().map(|row| &row.held)
    }

    /// Writes the frames that lead from the rows that a client holds to those of this picture.
    fn write_rows(&self, frames: &mut Frames, held: &[Held]) {
        let changes = Changes::between(held, self.held());
        for id in &changes.remove {
            frames.add("leave", None, |out| {
                out.raw(",\"session_id\":");
                out.text(id);
            });
        }
        for index in changes.put {
            frames.add("upsert", None, |out| {
                out.raw(",\"index\":");
                out.value(&index);
                out.raw(",\"session\":");
                out.raw_on_one_line(&self.rows[index].json);
            });
        }
    }

    /// Writes the frame that ends a group: the client has this picture, which is that of a state.
    fn write_synced(&self, frames: &mut Frames, app: &App, as_of: AsOf) {
        frames.add("synced", Some(as_of.position), |out| {
            out.raw(",\"total\":");
            out.value(&self.total);
            out.raw(",\"by_status\":{");
            for (index, (status, total)) in self.by_status.iter().enumerate() {
                out.raw(if index == 0 { "" } else { "," });
                out.text(status.as_str());
                out.raw(":");
                out.value(total);
            }
            out.raw("},\"as_of\":");
            out.value(&app.as_of(as_of));
        });
    }
}

impl Row {
    fn new(place: ListingPlace, stored: RowBytes, version: u64) -> Result<Self, Problem> {
        let row = stored.row()?;
        let id = Arc::from(row.session_id);
        let mut out = Json::with_capacity(1024);
        session_row::write(&mut out, &row, row.status);
        Ok(Self {
            held: Held { place, version, id },
            json: out.into_bytes().into_boxed_slice(),
            stored,
        })
    }
}

/// The pictures of the rows that clients follow.
pub(super) struct Feed {
    /// The last picture that differs from the one before.
    pictures: watch::Sender<Arc<Picture>>,
    /// The last state that the feed has looked at. It has the last picture.
    reached: watch::Sender<AsOf>,
}

/// The pictures, and the state up to which the last one is the present one.
type Pictures = (watch::Receiver<Arc<Picture>>, watch::Receiver<AsOf>);

impl super::feed::Feed for Feed {
    type Key = FollowedSessions;
    type Receiver = Pictures;
    const FEEDS_MAX: usize = SESSION_FEEDS_MAX;

    fn new(app: &App, followed: &FollowedSessions) -> Result<Self, Problem> {
        let window = app.read(|snapshot| followed.read(snapshot))?;
        let first = Picture::next(None, window)?;
        Ok(Self {
            reached: watch::Sender::new(first.as_of),
            pictures: watch::Sender::new(Arc::new(first)),
        })
    }

    fn receiver(&self) -> Pictures {
        (self.pictures.subscribe(), self.reached.subscribe())
    }

    async fn look(&self, app: &App, followed: &FollowedSessions) -> Result<(), Problem> {
        app.read(|snapshot| self.look_at(snapshot, followed))
    }

    fn is_followed(&self) -> bool {
        self.pictures.receiver_count() != 0
    }

    async fn is_left(&self) {
        self.pictures.closed().await;
    }
}

impl Feed {
    /// Makes a new picture if the rows or totals have changed.
    fn look_at(&self, snapshot: &Snapshot, followed: &FollowedSessions) -> Result<(), Problem> {
        let (sight, before) = (followed.sight(), self.reached.borrow().position);
        let as_of = AsOf::of(snapshot, sight)?;
        if as_of.position <= before {
            return Ok(());
        }
        if query::sessions::has_new_records(snapshot, sight, before)? {
            let last = Arc::clone(&self.pictures.borrow());
            let picture = Picture::next(Some(&last), followed.read(snapshot)?)?;
            if !picture.shows_the_same_as(&last) {
                self.pictures.send_replace(Arc::new(picture));
            }
        }
        // After the picture: who sees this state must see its picture as well.
        self.reached.send_replace(as_of);
        Ok(())
    }
}

/// The rows that one client follows.
pub(crate) struct SessionStream {
    app: App,
    encoding: Encoding,
    place: Place,
    pictures: watch::Receiver<Arc<Picture>>,
    reached: watch::Receiver<AsOf>,
    /// The number of the picture that the client has, and its rows.
    has: Option<(u64, Vec<Held>)>,
    /// Whether the stream goes on after the first picture.
    follow: bool,
    ended: bool,
    bookmark: Instant,
}

impl SessionStream {
    /// Begins to follow. The first picture is of this position or a later one.
    pub(crate) async fn start(
        (app, live): (App, Arc<Live>),
        followed: FollowedSessions,
        min_position: Option<Position>,
        (encoding, follow): (Encoding, bool),
    ) -> Result<Self, Problem> {
        let place = live.place()?;
        app.wait_for(min_position).await?;
        let (pictures, mut reached) = live.sessions.join(&app, &live.tasks, followed)?;
        let min_position = min_position.unwrap_or_default();
        let has_reached = reached.wait_for(|as_of| min_position <= as_of.position);
        let at_most = Duration::from_millis(MIN_POSITION_WAIT_MS);
        if !matches!(timeout(at_most, has_reached).await, Ok(Ok(_))) {
            return Err(Problem::new(Code::NotCaughtUp));
        }
        Ok(Self {
            app,
            encoding,
            place,
            pictures,
            reached,
            has: None,
            follow,
            ended: false,
            bookmark: next_bookmark(),
        })
    }

    /// The frames that lead from what the client has to the last picture, and the state of that.
    fn step(&mut self) -> Bytes {
        // In this order: the picture is that of this state, or of a later one.
        let reached = *self.reached.borrow();
        let picture = Arc::clone(&self.pictures.borrow_and_update());
        let mut frames = Frames::new(self.encoding);
        match &self.has {
            Some((number, _)) if *number == picture.number => {}
            Some((number, held)) if number + 1 == picture.number => {
                let rows = |frames: &mut Frames| picture.write_rows(frames, held);
                frames.add_written(&picture.step.get(self.encoding, rows));
            }
            Some((_, held)) => picture.write_rows(&mut frames, held),
            None => {
                let rows = |frames: &mut Frames| picture.write_rows(frames, &[]);
                frames.add("reset", None, |_| {});
                frames.add_written(&picture.whole.get(self.encoding, rows));
            }
        }
        let as_of = if reached.position < picture.as_of.position {
            picture.as_of
        } else {
            reached
        };
        picture.write_synced(&mut frames, &self.app, as_of);
        self.has = Some((picture.number, picture.held().cloned().collect()));
        self.bookmark = next_bookmark();
        frames.into_bytes()
    }
}

impl Chunks for SessionStream {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.has.is_none() {
            return Some(Ok(self.step()));
        }
        if self.ended || !self.follow {
            return None;
        }
        let bye = tokio::select! {
            biased;
            bye = self.place.end() => bye,
            changed = self.pictures.changed() => match changed {
                Ok(()) => return Some(Ok(self.step())),
                Err(_the_feed_has_failed) => Bye::Restart,
            },
            () = sleep_until(self.bookmark) => return Some(Ok(self.step())),
        };
        self.ended = true;
        let mut frames = Frames::new(self.encoding);
        frames.bye(bye);
        Some(Ok(frames.into_bytes()))
    }
}
