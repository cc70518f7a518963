//! Clients that write over HTTP: events with fixed ids, and commands with idempotency keys. They repeat each
//! write until it is acknowledged. They then read it, unless it is in a batch or its session expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};

use crate::torture::Finding;
use crate::torture::address::{Address, Answer, Request};
use crate::torture::book::{Acknowledged, Birth, Book, End, Given, Step, What, count};

/// Sessions of one agent.
const SESSIONS_PER_AGENT: u64 = 50;
/// The longest pause between two steps, and between two tries, in milliseconds.
const STEP_MS: u64 = 60;
pub(crate) const RETRY_MS: u64 = 250;

/// One command of so many is given once more after its acknowledgement.
const REPEAT_EVERY: u64 = 8;

/// Most events of a batch.
const BATCH_EVENTS_MAX: u64 = 30;
/// The longest filler of an event, in bytes.
const FILLER_BYTES_MAX: usize = 12_000;

/// The session that a client works on.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) session: String,
    pub(crate) agent: String,
    pub(crate) expires: bool,
    pub(crate) refreshes: u64,
    pub(crate) hands_off: bool,
    pub(crate) ends: bool,
}

impl Story {
    fn birth(&self) -> Birth {
        if self.expires {
            Birth::Expiring
        } else {
            Birth::Created
        }
    }

    /// Draws the next session of a client.
    pub(crate) fn draw(prefix: &str, number: u64, rng: &mut Rng) -> Self {
        Self {
            session: format!("{prefix}-s{number}"),
            agent: format!("{prefix}-a{}", number / SESSIONS_PER_AGENT),
            expires: rng.u8(..10) == 0,
            refreshes: rng.u64(..3),
            hands_off: rng.u8(..6) == 0,
            ends: rng.u8(..10) < 7,
        }
    }
}

/// What an answer to a write has confirmed.
pub(crate) struct Confirmed {
    pub(crate) answer: Answer,
    pub(crate) position: u64,
}

/// A client that writes over HTTP.
pub(crate) struct Writer {
    number: u64,
    pub(crate) rng: Rng,
    pub(crate) address: Arc<Address>,
    pub(crate) book: Arc<Book>,
}

impl Writer {
    pub(crate) fn new(number: u64, seed: u64, address: &Arc<Address>, book: &Arc<Book>) -> Self {
        Self {
            number,
            rng: Rng::with_seed(seed ^ (number + 1)),
            address: Arc::clone(address),
            book: Arc::clone(book),
        }
    }

    /// Emits the events of one session after another.
    pub(crate) async fn events(mut self) -> Result<(), Finding> {
        let prefix = format!("e{}", self.number);
        for number in 0.. {
            if self.book.is_ending() {
                break;
            }
            if self.rng.u8(..10) == 0 {
                self.batch(&format!("b{}-{number}", self.number)).await?;
            }
            let story = Story::draw(&prefix, number, &mut self.rng);
            for (event, step) in events_of(&story, &mut self.rng) {
                let confirmed = self.emit(&event).await?;
                let (session, agent) = (&story.session, &story.agent);
                self.book.step(session, agent, step, confirmed.position);
                if !story.expires {
                    self.read_own(session, confirmed.position).await?;
                }
                self.pause(STEP_MS).await;
            }
        }
        Ok(())
    }

    /// Opens several sessions with one batch. Repeats the batch until each of its events is acknowledged.
    async fn batch(&mut self, prefix: &str) -> Result<(), Finding> {
        let stories = 0..self.rng.u64(2..=BATCH_EVENTS_MAX);
        let stories: Vec<_> = stories
            .map(|number| Story::draw(prefix, number, &mut self.rng))
            .collect();
        let created = stories
            .iter()
            .map(|story| events_of(story, &mut self.rng).swap_remove(0).0);
        let events: Vec<_> = created.collect();
        let body = Value::Array(events.clone());
        let request = Request {
            method: Method::POST,
            path: "/v1/events",
            body: Some(&body),
            key: None,
        };
        let (mut acknowledged, mut tries) = (vec![false; events.len()], 0);
        while !acknowledged.iter().all(|is_acknowledged| *is_acknowledged) {
            tries += 1;
            count(&self.book.counts.tries);
            let ledger = self.rng.usize(..self.address.ledgers());
            let Some(answer) = self.address.send(ledger, &request).await? else {
                self.pause(RETRY_MS).await;
                continue;
            };
            let results = answer.body["results"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            if answer.status != 200 || results.len() != events.len() {
                return Err(Finding(format!(
                    "expected: a result for each of {} events; seen: {} {}",
                    events.len(),
                    answer.status,
                    answer.body
                )));
            }
            for (index, result) in results.iter().enumerate() {
                let status = u16::try_from(result["status"].as_u64().unwrap_or_default());
                let what = What::Event(events[index]["id"].as_str().unwrap_or_default().to_owned());
                let status = status.unwrap_or_default();
                if status == 503 {
                    continue;
                }
                let given = acknowledgement(&what, status, result, tries)?;
                if !std::mem::replace(&mut acknowledged[index], true) {
                    let (position, story) = (given.position, &stories[index]);
                    self.book.acknowledge(answer.sent, answer.ledger, given);
                    let step = Step::Opened(story.birth());
                    self.book.step(&story.session, &story.agent, step, position);
                }
            }
            self.pause(STEP_MS).await;
        }
        count(&self.book.counts.batches);
        Ok(())
    }

    /// Emits an event until it is acknowledged.
    async fn emit(&mut self, event: &Value) -> Result<Confirmed, Finding> {
        let request = Request {
            method: Method::POST,
            path: "/v1/events",
            body: Some(event),
            key: None,
        };
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        self.write(&request, &What::Event(id)).await
    }

    /// Sends a write until it is acknowledged. Every other answer is a finding.
    async fn write(&mut self, request: &Request<'_>, what: &What) -> Result<Confirmed, Finding> {
        let mut tries = 0;
        loop {
            tries += 1;
            count(&self.book.counts.tries);
            let ledger = self.rng.usize(..self.address.ledgers());
            let Some(answer) = self.address.send(ledger, request).await? else {
                self.pause(RETRY_MS).await;
                continue;
            };
            let acknowledged = acknowledgement(what, answer.status, &answer.body, tries)?;
            let position = acknowledged.position;
            if acknowledged.verdict == Given::Duplicate {
                count(&self.book.counts.duplicates);
            }
            self.book
                .acknowledge(answer.sent, answer.ledger, acknowledged);
            return Ok(Confirmed { answer, position });
        }
    }

    /// Reads a session that this client has written. Any ledger must show the write.
    async fn read_own(&mut self, session: &str, position: u64) -> Result<(), Finding> {
        while !self.book.ending.is_cancelled() {
            let ledger = self.rng.usize(..self.address.ledgers());
            if self.address.read_own(ledger, session, position).await? {
                break;
            }
            self.pause(RETRY_MS).await;
        }
        Ok(())
    }

    /// Runs one session after another by commands.
    pub(crate) async fn commands(mut self) -> Result<(), Finding> {
        let prefix = format!("c{}", self.number);
        for number in 0.. {
            if self.book.is_ending() {
                break;
            }
            let story = Story::draw(&prefix, number, &mut self.rng);
            if number.is_multiple_of(SESSIONS_PER_AGENT) {
                let body = json!({"agent_id": story.agent});
                let what = What::Command("agent.registered", story.agent.clone());
                self.command(Method::POST, "/v1/agents", &body, &what)
                    .await?;
            }
            self.run_session(&story).await?;
        }
        Ok(())
    }

    async fn run_session(&mut self, story: &Story) -> Result<(), Finding> {
        let (agent, mut session) = (&story.agent, story.session.clone());
        let mut body = json!({"agent_id": agent, "session_id": session});
        if story.expires {
            body["ttl_seconds"] = json!(self.rng.u64(1..5));
        }
        let what = What::Command("session.created", session.clone());
        let sessions = "/v1/agent-sessions";
        let mut last = self.command(Method::POST, sessions, &body, &what).await?;
        self.book
            .step(&session, agent, Step::Opened(story.birth()), last.position);
        if story.expires {
            return Ok(());
        }
        self.read_own(&session, last.position).await?;
        for _ in 0..story.refreshes {
            let token = &last.answer.body["refresh_token"];
            let body = json!({"refresh_token": token, "phase": "running"});
            let path = format!("{sessions}/{session}/refresh");
            let what = What::Command("session.refreshed", session.clone());
            last = self.command(Method::POST, &path, &body, &what).await?;
            self.book
                .step(&session, agent, Step::Refreshed, last.position);
            self.read_own(&session, last.position).await?;
        }
        if story.hands_off {
            let child = format!("{session}-child");
            let body = json!({"to_agent_id": agent, "session_id": child});
            let path = format!("{sessions}/{session}/handoff");
            let what = What::Command("session.handed_off", session.clone());
            last = self.command(Method::POST, &path, &body, &what).await?;
            self.book
                .step(&session, agent, Step::Ended(End::HandedOff), last.position);
            self.book
                .step(&child, agent, Step::Opened(Birth::Inherited), last.position);
            self.read_own(&session, last.position).await?;
            session = child;
        }
        if story.ends {
            let body = json!({"outcome": "completed"});
            let path = format!("{sessions}/{session}");
            let what = What::Command("session.terminated", session.clone());
            last = self.command(Method::DELETE, &path, &body, &what).await?;
            self.book
                .step(&session, agent, Step::Ended(End::Terminated), last.position);
            self.read_own(&session, last.position).await?;
        }
        Ok(())
    }

    /// Gives a command until it is acknowledged. Now and then, gives it once more: the answer must have the
    /// tokens of the first one.
    pub(crate) async fn command(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
        what: &What,
    ) -> Result<Confirmed, Finding> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let number = KEYS.fetch_add(1, Ordering::Relaxed);
        let key = format!("key-{number}");
        let request = Request {
            method,
            path,
            body: Some(body),
            key: Some(&key),
        };
        let confirmed = self.write(&request, what).await?;
        if number.is_multiple_of(REPEAT_EVERY) {
            let ledger = self.rng.usize(..self.address.ledgers());
            if let Some(again) = self.address.send(ledger, &request).await? {
                let tokens = |body: &Value| [body["token"].clone(), body["refresh_token"].clone()];
                let [first, second] = [&confirmed.answer.body, &again.body].map(tokens);
                let word = again.body["verdict"].as_str();
                let is_done = again.status == 200 || what.is_unsettled(again.status);
                let is_copy = is_done && word == Some("duplicate");
                if first != second || !(is_copy || word == Some("pending")) {
                    return Err(Finding(format!(
                        "expected: duplicate with the same tokens for {what:?}, given again; seen: {} {}, at \
                         first {}",
                        again.status, again.body, confirmed.answer.body
                    )));
                }
                count(&self.book.counts.repeated);
            }
        }
        self.pause(STEP_MS).await;
        Ok(confirmed)
    }

    pub(crate) async fn pause(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(..most_ms))).await;
    }
}

impl What {
    /// Whether an answer with this status gives a verdict, and says that some of its effects are still to come:
    /// the sessions of a revoked agent have not all ended yet.
    fn is_unsettled(&self, status: u16) -> bool {
        status == 202 && matches!(self, Self::Command("agent.revoked", _))
    }
}

/// Reads what an answer to a write, or a result of a batch, says. Every answer that confirms nothing is a finding.
fn acknowledgement(
    what: &What,
    status: u16,
    body: &Value,
    tries: u64,
) -> Result<Acknowledged, Finding> {
    let is_done = status == 200 || what.is_unsettled(status);
    let verdict = match (status, body["verdict"].as_str()) {
        (202, Some("pending")) => Some(Given::None),
        (201, Some("applied")) => Some(Given::Applied),
        // Commands that change something that exists.
        (_, Some("applied")) if is_done && matches!(what, What::Command(..)) => {
            Some(Given::Applied)
        }
        (_, Some("duplicate")) if is_done && 1 < tries => Some(Given::Duplicate),
        _ => None,
    };
    // Answers to commands do not have it.
    let first = match (verdict, what) {
        (Some(Given::Duplicate), What::Event(_)) => {
            body["first_verdict"].as_str().unwrap_or_default()
        }
        _ => "applied",
    };
    let position = body["position"].as_u64();
    let (Some(verdict), "applied", Some(position)) = (verdict, first, position) else {
        return Err(Finding(format!(
            "expected: applied, pending or, for a retry, duplicate of an applied event for {what:?}; seen at \
             try {tries}: {status} {body}"
        )));
    };
    Ok(Acknowledged {
        what: what.clone(),
        position,
        verdict,
    })
}

/// The events of a session, with the step that each confirms. Every event has an id of its own.
pub(crate) fn events_of(story: &Story, rng: &mut Rng) -> Vec<(Value, Step)> {
    let session = &story.session;
    let event = |number: usize, event_type: &str, data: Value| {
        json!({
            "specversion": "1.0",
            "id": format!("{session}-{number}"),
            "source": "/torture",
            "type": event_type,
            "subject": session,
            "data": data,
        })
    };
    let mut data = json!({"agent_id": story.agent});
    if rng.u8(..20) == 0 {
        // So that files grow.
        data["metadata"] = json!({"filler": "x".repeat(rng.usize(..FILLER_BYTES_MAX))});
    }
    if story.expires {
        data["ttl_seconds"] = json!(rng.u64(1..5));
    }
    let mut events = vec![(
        event(0, "session.created", data),
        Step::Opened(story.birth()),
    )];
    if story.expires {
        return events;
    }
    for _ in 0..story.refreshes {
        let data = json!({"phase": "running", "metadata": {"n": events.len()}});
        events.push((
            event(events.len(), "session.refreshed", data),
            Step::Refreshed,
        ));
    }
    if story.ends {
        let data = json!({"outcome": "completed"});
        events.push((
            event(events.len(), "session.terminated", data),
            Step::Ended(End::Terminated),
        ));
    }
    events
}
