//! Clients that follow random histories while the server restarts and catches up in large batches: each holds the
//! listing of each position that a `synced` names, and gets each event once and in order.
//!
//! Each seed is a tenant of one ledger with a follower of a listing and one of events. They break off at any frame,
//! read nothing for a while, or read so slowly that the server cannot send. After each round the server restarts, and
//! finds events of all tenants on the log, which it folds in large batches.

mod events;
mod history;
mod sessions;
mod unread;

use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::support::app::App;
use crate::support::client::Client;
use events::EventFollower;
use history::History;
use sessions::ListFollower;

/// The seeds of one ledger: fewer than the histories that clients of a server may follow.
const SEEDS: u64 = 50;
/// How many of them begin at one time.
const AT_A_TIME: usize = 8;
/// A restart is at the end of each round.
const ROUNDS: usize = 3;
const STEPS: usize = 4;
/// Less than one row.
const SLOW_WINDOW_BYTES: u32 = 200;
/// How long the history file may trail.
const TRAILS: Duration = Duration::from_mins(1);

/// A history, and the clients that follow it.
struct Seed {
    history: History,
    list: ListFollower,
    events: EventFollower,
}

impl Seed {
    async fn begin(client: &Client, seed: u64) -> Self {
        let mut history = History::new(seed);
        history.begin(&history.client(client)).await;
        let list = ListFollower::new(&mut history.rng);
        let events = EventFollower::new(&mut history);
        let mut seed = Self {
            history,
            list,
            events,
        };
        seed.connect(client).await;
        seed
    }

    async fn connect(&mut self, client: &Client) {
        let client = &self.history.client(client);
        let slowly = self.history.rng.bool();
        self.list.connect(client, slowly).await;
        let slowly = self.history.rng.bool();
        self.events.connect(client, slowly).await;
    }

    async fn round(&mut self, client: &Client) {
        let client = &self.history.client(client);
        for _ in 0..STEPS {
            self.history.write(client).await;
            let rng = &mut self.history.rng;
            let (slowly, count) = (rng.bool(), rng.usize(0..20));
            match rng.u8(0..4) {
                // Reads nothing now.
                0 => {}
                // Breaks off in the middle.
                1 => {
                    self.list.read_some(count).await;
                    self.list.connect(client, slowly).await;
                    self.events.read_some(client, count).await;
                    self.events.connect(client, slowly).await;
                }
                2 => self.list.catch_up(client).await,
                _ => self.events.catch_up(client).await,
            }
        }
        self.list.check(client).await;
    }

    /// Follows the server to its end, or breaks off before.
    async fn server_stops(&mut self) {
        if self.history.rng.bool() {
            tokio::join!(self.list.read_to_the_end(), self.events.read_to_the_end());
        }
        self.list.break_off();
        self.events.break_off();
    }

    /// Has events on the log that are not folded, and may connect before they are.
    async fn server_starts(&mut self, app: &App, client: &Client) {
        self.history.append(app).await;
        if self.history.rng.bool() {
            self.connect(client).await;
        }
    }

    /// Connects if it has not, and then has everything.
    async fn caught_up(&mut self, client: &Client) {
        if !self.list.is_connected() {
            self.connect(client).await;
        }
        let client = &self.history.client(client);
        self.list.catch_up(client).await;
        self.list.check(client).await;
        self.events.catch_up(client).await;
    }
}

/// Runs something for each seed.
async fn each(seeds: &mut [Seed], run: impl AsyncFn(&mut Seed)) {
    let seeds = stream::iter(seeds.iter_mut());
    // All at one time, because most of the time they wait for the history file.
    seeds
        .for_each_concurrent(None, async |seed| run(seed).await)
        .await;
}

/// Stops the ledger under its followers, and starts it again with a backlog.
async fn restart(app: App, seeds: &mut [Seed]) -> App {
    let followers = stream::iter(seeds.iter_mut()).for_each_concurrent(None, Seed::server_stops);
    let (dir, ()) = tokio::join!(app.stop_and_keep(), followers);
    let app = App::start_again(dir).await;
    let client = app.client("any");
    each(seeds, async |seed| seed.server_starts(&app, &client).await).await;
    app.folding().await
}

/// Reads an answer, which may be of a past position, once the history file has that position.
async fn read_of_past(client: &Client, path: &str, position: Option<u64>) -> Value {
    let Some(position) = position else {
        return client.get(path).await.ok();
    };
    let path = format!("{path}&as_of={position}");
    let read = async {
        loop {
            let answer = client.get(&path).await;
            if answer.status != 503 {
                return answer.ok();
            }
        }
    };
    let read = tokio::time::timeout(TRAILS, read).await;
    read.expect("the history file follows")
}

/// Runs these seeds on one ledger.
async fn follow(seeds: Range<u64>) {
    let mut app = App::start().await;
    let client = app.client("any");
    let begun = stream::iter(seeds).map(|seed| Seed::begin(&client, seed));
    let mut seeds: Vec<Seed> = begun.buffered(AT_A_TIME).collect().await;
    for _ in 0..ROUNDS {
        let client = app.client("any");
        each(&mut seeds, async |seed| seed.round(&client).await).await;
        app = restart(app, &mut seeds).await;
        let client = app.client("any");
        each(&mut seeds, async |seed| seed.caught_up(&client).await).await;
    }
    drop(seeds);
    app.stop().await;
}

/// Tests of fifty seeds each, so that they run at the same time.
macro_rules! seeds {
    ($($name:ident: $first:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                follow($first..$first + SEEDS).await;
            }
        )*
    };
}

seeds! {
    followers_have_each_listing_and_event_through_restarts_and_large_batches_from_seed_0: 0;
    followers_have_each_listing_and_event_through_restarts_and_large_batches_from_seed_50: 50;
    followers_have_each_listing_and_event_through_restarts_and_large_batches_from_seed_100: 100;
    followers_have_each_listing_and_event_through_restarts_and_large_batches_from_seed_150: 150;
}
