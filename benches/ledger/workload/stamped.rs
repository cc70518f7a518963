//! Events of one tenant for clients that follow it. The ids of events and new sessions begin with the microsecond in
//! which they were published.
//!
//! Of 10 events, 6 open a session (every second one for a parent), 2 refresh one and 2 terminate one.

use std::collections::VecDeque;

use fastrand::Rng;

use super::SEED;

const AGENTS: u32 = 20;
const PROJECTS: u32 = 10;
const USERS: u32 = 50;
/// Events concern one of the sessions that opened last,
const OPEN_MAX: usize = 6_000;
/// but none of the very last: their openings may be on their way, and overtaken.
const OPENING: usize = 2_400;
/// A session that was there before clients follow has this in place of a time.
const BEFORE: &str = "before";

/// An endless generator of events.
pub(crate) struct Stamped {
    random: Rng,
    number: u64,
    open: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StampedStep {
    Created,
    Refreshed,
    Terminated,
}

pub(crate) struct StampedEvent {
    pub(crate) step: StampedStep,
    pub(crate) id: String,
    pub(crate) session: String,
    /// Of an opening.
    pub(crate) parent: Option<String>,
    pub(crate) agent: u32,
    pub(crate) project: u32,
    pub(crate) user: u32,
}

impl Stamped {
    pub(crate) fn new() -> Self {
        Self {
            random: Rng::with_seed(SEED),
            number: 0,
            open: VecDeque::new(),
        }
    }

    /// An opening that was published before clients follow.
    pub(crate) fn before(&mut self) -> StampedEvent {
        self.number += 1;
        let id = format!("{BEFORE}-{}", self.number);
        self.opening(id)
    }

    /// The next event, published at this time.
    pub(crate) fn next(&mut self, at_us: u64) -> StampedEvent {
        self.number += 1;
        let id = format!("{at_us}-{}", self.number);
        let place = self.place();
        let (step, session) = match self.random.u32(..10) {
            0 | 1 => (StampedStep::Refreshed, self.open.get(place).cloned()),
            2 | 3 => (StampedStep::Terminated, self.open.remove(place)),
            _ => (StampedStep::Created, None),
        };
        match session {
            Some(session) => StampedEvent {
                step,
                session,
                ..self.opening_of(id)
            },
            None => self.opening(id),
        }
    }

    fn opening(&mut self, id: String) -> StampedEvent {
        let event = self.opening_of(id);
        self.open.push_back(event.session.clone());
        if OPEN_MAX < self.open.len() {
            self.open.pop_front();
        }
        event
    }

    /// A place among the open sessions that an event may concern.
    fn place(&mut self) -> usize {
        match self.open.len().saturating_sub(OPENING) {
            0 => usize::MAX,
            opened => self.random.usize(..opened),
        }
    }

    fn opening_of(&mut self, id: String) -> StampedEvent {
        let place = self.place();
        let random = &mut self.random;
        StampedEvent {
            step: StampedStep::Created,
            session: id.clone(),
            parent: self.open.get(place).filter(|_| random.bool()).cloned(),
            agent: random.u32(..AGENTS),
            project: random.u32(..PROJECTS),
            user: random.u32(..USERS),
            id,
        }
    }
}

impl StampedEvent {
    fn type_name(&self) -> &'static str {
        match self.step {
            StampedStep::Created => "session.created",
            StampedStep::Refreshed => "session.refreshed",
            StampedStep::Terminated => "session.terminated",
        }
    }

    /// Returns the subject on NATS.
    pub(crate) fn subject(&self) -> String {
        format!("ledger.v1.t0.{}", self.type_name())
    }

    /// Some 200 bytes.
    pub(crate) fn metadata(&self) -> String {
        format!(r#"{{"task":"{:>180}"}}"#, self.id)
    }

    /// Returns the `CloudEvent`.
    pub(crate) fn body(&self) -> String {
        let data = match self.step {
            StampedStep::Created => {
                let parent = self.parent.as_ref().map_or_else(String::new, |parent| {
                    format!(r#""parent_session_id":"{parent}","#)
                });
                format!(
                    r#"{{"agent_id":"a{}",{parent}"project_id":"p{}","user_id":"u{}","scopes":["files:read"],"metadata":{}}}"#,
                    self.agent,
                    self.project,
                    self.user,
                    self.metadata()
                )
            }
            StampedStep::Refreshed => r#"{"phase":"running"}"#.to_owned(),
            StampedStep::Terminated => r#"{"outcome":"completed"}"#.to_owned(),
        };
        format!(
            r#"{{"specversion":"1.0","id":"{}","source":"/runtimes/0","type":"{}","subject":"{}","data":{data}}}"#,
            self.id,
            self.type_name(),
            self.session
        )
    }
}
