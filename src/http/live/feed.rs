//! Feeds: what all clients share that follow the same thing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::limits::{FEED_LOOKS_MAX, FEED_RETRY_MS};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::state::App;
use crate::http::stream_tasks::StreamTasks;

/// What clients follow, and what they get of it.
pub(super) trait Feed: Send + Sync + Sized + 'static {
    /// What they follow.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// The end of a feed that a client has.
    type Receiver;
    /// Most feeds of this kind at one time.
    const FEEDS_MAX: usize;

    /// Makes a feed that shows the present state.
    fn new(app: &App, key: &Self::Key) -> Result<Self, Problem>;

    /// Adds a follower.
    fn receiver(&self) -> Self::Receiver;

    /// Reads what the fold has added, and hands it to the followers.
    fn look(&self, app: &App, key: &Self::Key) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Whether the feed has a follower.
    fn is_followed(&self) -> bool;

    /// Waits until the feed has no follower.
    fn is_left(&self) -> impl Future<Output = ()> + Send;
}

/// The feeds of one kind.
pub(super) struct Feeds<F: Feed> {
    open: Mutex<HashMap<F::Key, Arc<F>>>,
    /// Bounds the feeds that read at one time.
    looks: Semaphore,
}

impl<F: Feed> Feeds<F> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            looks: Semaphore::new(FEED_LOOKS_MAX),
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<F::Key, Arc<F>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the feed with this key, and starts it if there is none.
    pub(super) fn join(
        self: &Arc<Self>,
        app: &App,
        tasks: &StreamTasks,
        key: F::Key,
    ) -> Result<F::Receiver, Problem> {
        if let Some(known) = self.open().get(&key) {
            return Ok(known.receiver());
        }
        // Without the lock, because it reads the read model.
        let feed = Arc::new(F::new(app, &key)?);
        let receiver = feed.receiver();
        let mut open = self.open();
        if let Some(known) = open.get(&key) {
            return Ok(known.receiver());
        }
        if F::FEEDS_MAX <= open.len() {
            return Err(Problem::new(Code::TooManyFollowers));
        }
        open.insert(key.clone(), Arc::clone(&feed));
        let feeds = Arc::clone(self);
        let running = Running { feeds, key, feed };
        tasks
            .tasks
            .spawn(running.run(app.clone(), tasks.stop.clone()));
        Ok(receiver)
    }
}

/// A feed and its task. If the task panics, its followers see the end of the feed, and connect again.
struct Running<F: Feed> {
    feeds: Arc<Feeds<F>>,
    key: F::Key,
    feed: Arc<F>,
}

impl<F: Feed> Drop for Running<F> {
    fn drop(&mut self) {
        let mut open = self.feeds.open();
        // The feed may be gone already, and a new one with its key may be there.
        if open
            .get(&self.key)
            .is_some_and(|feed| Arc::ptr_eq(feed, &self.feed))
        {
            open.remove(&self.key);
        }
    }
}

impl<F: Feed> Running<F> {
    /// Looks at each state of the read model, until the feed has no followers.
    async fn run(self, app: App, stop: CancellationToken) {
        let mut folded = app.projection().watch();
        loop {
            let look = async {
                let _turn = self.feeds.looks.acquire().await;
                self.feed.look(&app, &self.key).await
            };
            let Some(looked) = stop.run_until_cancelled(look).await else {
                return;
            };
            if let Err(problem) = &looked {
                // Until the next try, the followers keep what they have.
                tracing::debug!("a feed cannot be read: {}", problem.detail());
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.feed.is_left() => {
                    // A follower joins under the same lock.
                    let mut open = self.feeds.open();
                    if !self.feed.is_followed() {
                        open.remove(&self.key);
                        return;
                    }
                }
                changed = folded.changed() => if changed.is_err() {
                    return;
                },
                () = sleep(Duration::from_millis(FEED_RETRY_MS)), if looked.is_err() => {}
            }
        }
    }
}
