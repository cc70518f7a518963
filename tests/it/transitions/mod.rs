//! The transition tables of sessions and agents. HTTP, the command line and NATS walk them with equal
//! steps, and must get equal verdicts and rows.

mod drivers;
mod story;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use session_ledger::domain::Timestamp;

use crate::support::cli::Server;
use crate::support::client::event;
use crate::support::nats::NatsServer;
use drivers::{Commands, Driver, Ledger};
use story::{Expect, SentBy, Step, Story, at_times, with};

/// The pause between two checks for an event of the ledger.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the ledger may take to write it.
const SOON: Duration = Duration::from_secs(20);

/// A state, and an event in that state.
type Cell = (&'static str, &'static str);

#[tokio::test]
async fn commands_over_http_walk_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    walk(server, Driver::Http(Commands::default())).await;
}

#[tokio::test]
async fn the_command_line_walks_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    walk(server, Driver::Cli(Commands::default())).await;
}

#[tokio::test]
async fn events_on_nats_walk_the_tables() {
    let nats = NatsServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--nats-url", nats.url()]);
    walk(server, Driver::nats(nats.url()).await).await;
}

async fn walk(server: Server, mut driver: Driver) {
    let ledger = Ledger::of(server);
    for agent in table::AGENTS {
        let registered = Step::new("agent.registered", json!({}));
        driver.give(&ledger, agent, &registered).await;
    }
    let mut walker = Walker {
        ledger,
        driver,
        cells: BTreeSet::new(),
    };
    for story in table::sessions().iter().chain(&table::agents()) {
        walker.tell(story).await;
    }
    let pairs = |states: [&'static str; 5], events: &'static [&'static str]| {
        let of = move |state| events.iter().map(move |event| (state, *event));
        states.into_iter().flat_map(of)
    };
    let sessions = pairs(table::SESSION_STATES, &table::SESSION_EVENTS);
    let agents = pairs(table::AGENT_STATES, &table::AGENT_EVENTS);
    let all: BTreeSet<Cell> = sessions.chain(agents).collect();
    assert_eq!(walker.cells, all);
}

struct Walker {
    ledger: Ledger,
    driver: Driver,
    cells: BTreeSet<Cell>,
}

/// The time of an event on the log, and its verdict.
struct Recorded {
    at: Timestamp,
    verdict: Value,
}

impl Walker {
    async fn tell(&mut self, story: &Story) {
        let (mut row, mut opened) = (Value::Null, None);
        for (number, step) in story.steps.iter().enumerate() {
            if step.sent_by == SentBy::RuntimeAtOpening && !self.driver.is_runtime() {
                continue;
            }
            drivers::check_words(step);
            let context = format!("{} {number} {}", story.id, step.event);
            let position = self.take(story.id, step, opened).await;
            let recorded = self.recorded(position).await;
            assert_eq!(recorded.verdict, self.expected(step), "{context}");
            let opened = *opened.get_or_insert(recorded.at);
            if step.expect == Expect::Applied {
                row = with(&row, &at_times(&step.changes, opened, recorded.at));
            }
            if !step.shown {
                continue;
            }
            assert_eq!(self.row(story.id, step).await, row, "{context}");
            if step.event == "session.handed_off" {
                self.check_child(story.id, step, &recorded, opened).await;
            }
        }
    }

    /// Sends a step and records its cell of the table. Returns its position.
    async fn take(&mut self, id: &str, step: &Step, opened: Option<Timestamp>) -> u64 {
        let Self { ledger, driver, .. } = self;
        match step.sent_by {
            SentBy::Anyone => {
                let state = state(&self.row(id, step).await);
                self.cells.insert((state, step.event));
                self.driver.give(&self.ledger, id, step).await
            }
            SentBy::RuntimeAtOpening => {
                let mut event = drivers::event(id, step);
                event["time"] = json!(opened.unwrap());
                driver.emit(ledger, &event).await
            }
            SentBy::FirstSession => {
                let session = format!("of-{id}");
                let position = driver.emit(ledger, &drivers::event(&session, step)).await;
                let end = event(id, "session.terminated", &session, &json!({}));
                let ended = driver.emit(ledger, &end).await;
                // The row counts active sessions, so the termination must be folded, too.
                self.recorded(ended).await;
                position
            }
            SentBy::Ledger => self.noted_by_ledger(id, step).await,
        }
    }

    /// Waits until the ledger has written an event by itself. Returns its position.
    async fn noted_by_ledger(&self, id: &str, step: &Step) -> u64 {
        let path = format!("/v1/agent-sessions/{id}/events");
        let look = async {
            loop {
                let history = self.ledger.client.get(&path).await.ok();
                let last = history["events"].as_array().unwrap().last().cloned();
                if let Some(last) = last.filter(|last| last["type"] == step.event) {
                    return last["position"].as_u64().unwrap();
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(SOON, look).await.unwrap()
    }

    async fn recorded(&self, position: u64) -> Recorded {
        let path = format!("/v1/events/{position}?min_position={position}");
        let event = self.ledger.client.get(&path).await.ok();
        Recorded {
            at: Timestamp::parse(event["recorded_at"].as_str().unwrap()).unwrap(),
            verdict: json!([event["type"], event["verdict"], event["reason"]]),
        }
    }

    /// Returns the type, verdict and reason that a step must have.
    fn expected(&self, step: &Step) -> Value {
        match step.expect {
            Expect::Applied => json!([step.event, "applied", null]),
            Expect::Rejected(reason) => json!([step.event, "rejected", reason]),
            Expect::TooEarly if self.driver.is_runtime() => json!([step.event, "parked", null]),
            Expect::TooEarly => json!([step.event, "rejected", "not_found"]),
        }
    }

    /// Returns the row that a step is about, or null if there is none.
    async fn row(&self, id: &str, step: &Step) -> Value {
        let is_session = step.event.starts_with("session.") && step.sent_by != SentBy::FirstSession;
        let things = if is_session {
            "agent-sessions"
        } else {
            "agents"
        };
        self.read(&format!("/v1/{things}/{id}")).await
    }

    async fn read(&self, path: &str) -> Value {
        let answer = self.ledger.client.get(path).await;
        if answer.status == 404 {
            answer.problem(404, "not_found");
            return Value::Null;
        }
        answer.ok()
    }

    async fn check_child(&self, parent: &str, step: &Step, at: &Recorded, opened: Timestamp) {
        let id = step.data["session_id"].as_str().unwrap();
        let expected = match step.expect {
            Expect::Applied => at_times(&table::child(id, parent), opened, at.at),
            Expect::Rejected(_) | Expect::TooEarly => Value::Null,
        };
        let found = self.read(&format!("/v1/agent-sessions/{id}")).await;
        assert_eq!(found, expected, "{parent}");
    }
}

/// Returns the state of a row, by its name in the tables.
fn state(row: &Value) -> &'static str {
    if row.is_null() {
        return "unknown";
    }
    if row["registered"] == false && row["status"] == "active" {
        return "implicit";
    }
    let states = table::SESSION_STATES.iter().chain(&table::AGENT_STATES);
    let mut states = states.filter(|state| row["status"] == **state);
    states.next().unwrap()
}
