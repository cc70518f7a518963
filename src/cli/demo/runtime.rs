//! A simulated agent runtime: opens sessions, keeps them alive, hands them off and ends them.
//!
//! Like a real runtime it is imperfect: it sends copies, sends some events late or before their
//! session opens, and forgets some sessions, which then expire.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Builder;

use crate::domain::Timestamp;

/// The jobs of the agents, which their names begin with.
const JOBS: [&str; 8] = [
    "triage", "billing", "research", "coder", "reviewer", "planner", "support", "indexer",
];
const MODELS: [&str; 3] = ["small", "medium", "large"];
const SCOPES: [&str; 5] = [
    "mail.read",
    "tickets.write",
    "repo.read",
    "web.search",
    "calendar.read",
];
const PROJECTS: [&str; 3] = ["apollo", "hermes", "zephyr"];
const PHASES: [&str; 3] = ["ready", "running", "paused"];
const REASONS: [&str; 3] = ["task finished", "user left", "tool failed"];
const OUTCOMES: [&str; 3] = ["completed", "completed", "error"];

/// The largest and the smallest number of sessions that a runtime keeps open.
const OPEN_MAX: usize = 40;
const OPEN_MIN: usize = 3;
/// How many earlier events a runtime keeps to send copies of.
const RECENT_MAX: usize = 64;
/// The time to live of an ordinary session and of a forgotten one, in seconds.
const TTL_S: usize = 3600;
const FORGOTTEN_TTL_S: usize = 3;

/// One runtime with its open sessions.
pub(super) struct Runtime {
    rng: Rng,
    agent: String,
    peers: Vec<String>,
    open: Vec<String>,
    recent: VecDeque<String>,
    /// Late events, each with the number of batches until it is sent.
    held: Vec<(usize, String)>,
}

/// The name of the agent with this number.
pub(super) fn agent_name(number: usize) -> String {
    let job = JOBS.get(number % JOBS.len()).copied().unwrap_or("agent");
    format!("{job}-{}", number / JOBS.len() + 1)
}

impl Runtime {
    /// Makes the runtime of agent `number` in a fleet of `agents`.
    pub(super) fn new(rng: Rng, number: usize, agents: usize) -> Self {
        let peers = (0..agents).filter(|other| *other != number);
        Self {
            rng,
            agent: agent_name(number),
            peers: peers.map(agent_name).collect(),
            open: Vec::new(),
            recent: VecDeque::new(),
            held: Vec::new(),
        }
    }

    /// Returns the next events to send, as JSON: `events` of them, or a few more.
    pub(super) fn batch(&mut self, events: usize, now: Timestamp) -> Vec<String> {
        let mut batch = Vec::with_capacity(events + 1);
        for (batches, _) in &mut self.held {
            *batches = batches.saturating_sub(1);
        }
        let due = self.held.extract_if(.., |(batches, _)| *batches == 0);
        batch.extend(due.map(|(_, event)| event));
        while batch.len() < events {
            self.step(now, &mut batch);
        }
        batch
    }

    fn step(&mut self, now: Timestamp, batch: &mut Vec<String>) {
        if self.rng.u8(..100) < 3
            && let Some(copy) = self.rng.choice(&self.recent)
        {
            batch.push(copy.clone());
            return;
        }
        let roll = self.rng.usize(..100);
        if self.open.len() < OPEN_MIN || (roll < 24 && self.open.len() < OPEN_MAX) {
            self.create(now, batch);
        } else if roll < 78 {
            self.refresh(now, batch);
        } else if roll < 84 {
            self.hand_off(now, batch);
        } else {
            self.terminate(now, batch);
        }
    }

    fn create(&mut self, now: Timestamp, batch: &mut Vec<String>) {
        let id = self.new_id();
        let forgotten = self.rng.u8(..100) < 6;
        let ttl = if forgotten { FORGOTTEN_TTL_S } else { TTL_S };
        let scopes: Vec<&str> = SCOPES
            .into_iter()
            .filter(|_| self.rng.u8(..100) < 40)
            .collect();
        let mut data = json!({
            "agent_id": self.agent,
            "agent_name": self.agent,
            "ttl_seconds": ttl,
            "scopes": scopes,
            "metadata": { "model": self.rng.choice(&MODELS), "attempt": 1 },
            "machine_id": format!("node-{}", self.rng.usize(..6) + 1),
            "phase": "initializing",
        });
        if self.rng.u8(..100) < 30 {
            data["project_id"] = json!(self.rng.choice(&PROJECTS));
        }
        let created = self.event("session.created", &id, now, &data);
        if self.rng.u8(..100) < 3 {
            // Events of a real runtime can overtake each other on two connections.
            let phase = json!({ "phase": "ready" });
            let early = self.event("session.refreshed", &id, now.plus_micros(1), &phase);
            batch.push(early);
        }
        batch.push(created);
        if !forgotten {
            self.open.push(id);
        }
    }

    fn refresh(&mut self, now: Timestamp, batch: &mut Vec<String>) {
        let Some(id) = self.rng.choice(&self.open).cloned() else {
            return;
        };
        let data = json!({
            "phase": self.rng.choice(&PHASES),
            "ttl_seconds": TTL_S,
            "metadata": { "tokens_used": self.rng.u32(..90_000) },
        });
        let event = self.event("session.refreshed", &id, now, &data);
        if self.rng.u8(..100) < 5 {
            self.held.push((self.rng.usize(..4) + 1, event));
        } else {
            batch.push(event);
        }
    }

    fn hand_off(&mut self, now: Timestamp, batch: &mut Vec<String>) {
        let (Some(id), Some(to)) = (self.take_open(), self.rng.choice(&self.peers).cloned()) else {
            return;
        };
        let child = self.new_id();
        let data = json!({
            "to_agent_id": to,
            "session_id": child,
            "metadata": { "model": self.rng.choice(&MODELS), "attempt": 2 },
            "reason": "needs another skill",
        });
        batch.push(self.event("session.handed_off", &id, now, &data));
        self.open.push(child);
    }

    fn terminate(&mut self, now: Timestamp, batch: &mut Vec<String>) {
        let Some(id) = self.take_open() else {
            return;
        };
        let data = json!({
            "outcome": self.rng.choice(&OUTCOMES),
            "reason": self.rng.choice(&REASONS),
        });
        batch.push(self.event("session.terminated", &id, now, &data));
    }

    fn take_open(&mut self) -> Option<String> {
        let index = self.rng.choice(0..self.open.len())?;
        Some(self.open.swap_remove(index))
    }

    fn event(&mut self, event_type: &str, subject: &str, time: Timestamp, data: &Value) -> String {
        let event = json!({
            "specversion": "1.0",
            "id": self.new_id(),
            "source": format!("urn:demo:runtime:{}", self.agent),
            "type": event_type,
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
        });
        let event = event.to_string();
        self.recent.push_back(event.clone());
        if RECENT_MAX < self.recent.len() {
            self.recent.pop_front();
        }
        event
    }

    fn new_id(&mut self) -> String {
        Builder::from_random_bytes(self.rng.u128(..).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::{Rules, TenantId};
    use crate::ledger::{Emitter, Submission};

    #[test]
    fn a_seed_decides_every_event_and_the_ledger_accepts_them_all() {
        let batch = || {
            let mut runtime = Runtime::new(Rng::with_seed(7), 0, 3);
            runtime.batch(500, Timestamp::from_micros_clamped(1))
        };
        let events = batch();
        assert_eq!(events, batch());
        assert!(500 <= events.len());
        let tenant = TenantId::parse("demo").unwrap();
        for event in events {
            let emitter = Emitter {
                tenant: &tenant,
                credential: None,
            };
            let submission = Submission::check(Rules::LATEST, emitter, Bytes::from(event));
            assert!(submission.is_ok_and(|submission| submission.ignored().is_empty()));
        }
    }
}
