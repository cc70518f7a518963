//! Reads the records of the log for the naive model, without the ledger's own decoder.

use std::collections::HashMap;

use serde_json::Value;
use session_ledger::domain::Timestamp;
use session_ledger::log::Record;

use crate::fold::history::{Command, Logged, Sent, TENANTS};

const KINDS: [&str; 11] = [
    "session.created",
    "session.refreshed",
    "session.handed_off",
    "session.terminated",
    "session.expired",
    "agent.registered",
    "agent.updated",
    "agent.suspended",
    "agent.reinstated",
    "agent.revoked",
    "ledger.rules",
];

/// What the simulation knows about records that it has sent itself.
#[derive(Default)]
pub(crate) struct Oracle {
    /// By its body: an event that is broken on purpose.
    broken: HashMap<Vec<u8>, Sent>,
    /// The numbers of refresh tokens, by their hashes.
    tokens: HashMap<String, u8>,
    history: Vec<Logged>,
    rules: u32,
}

impl Oracle {
    /// Notes an event that the model could not read from its body.
    pub(crate) fn note_broken(&mut self, sent: &Sent) {
        if sent.broken.is_some() {
            let body = sent.body.clone().into_bytes();
            self.broken.insert(body, sent.clone());
        }
    }

    /// Adds the next records of the log.
    pub(crate) fn read(&mut self, records: &[Record]) {
        for record in records {
            let sent = self.sent(record);
            let is_switch = sent.is_switch();
            self.history.push(Logged {
                position: record.position.get(),
                recorded_at: record.recorded_at.micros(),
                rules: self.rules.max(1),
                sent,
            });
            if is_switch {
                self.rules = 2;
            }
        }
    }

    /// All records so far.
    pub(crate) fn history(&self) -> &[Logged] {
        &self.history
    }

    fn sent(&mut self, record: &Record) -> Sent {
        let tokens: Vec<&str> = record.subject.split('.').collect();
        let (by_ledger, rest) = match tokens.as_slice() {
            ["ledger", "sys", "v1", "rules"] => return Sent::switch(),
            ["ledger", "sys", "v1", rest @ ..] => (true, rest),
            ["ledger", "v1", rest @ ..] => (false, rest),
            other => panic!("a subject that nobody uses: {other:?}"),
        };
        let [tenant, kind @ ..] = rest else {
            panic!("a subject without a tenant");
        };
        let (tenant, kind) = (known(&TENANTS, tenant), known(&KINDS, &kind.join(".")));
        let private = self.private(&record.private);
        let command = private.filter(|_| by_ledger && kind != "session.expired");
        if let Some(sent) = self.broken.get(&*record.payload) {
            let mut sent = sent.clone();
            (sent.tenant, sent.command) = (tenant, command);
            return sent;
        }
        let body: Value = serde_json::from_slice(&record.payload).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let time = body["time"].as_str().and_then(Timestamp::parse);
        Sent {
            tenant,
            kind,
            subject: text("subject"),
            source: text("source"),
            id: text("id"),
            time: time.map(Timestamp::micros),
            data: body["data"].clone(),
            command,
            broken: None,
            body: String::from_utf8(record.payload.to_vec()).unwrap(),
        }
    }

    /// The private part; `None` if a runtime emitted the event through a node.
    fn private(&mut self, bytes: &[u8]) -> Option<Command> {
        if bytes.is_empty() {
            return Some(Command::default());
        }
        let private: Value = serde_json::from_slice(bytes).unwrap();
        if private["emitted"] == true {
            return None;
        }
        Some(Command {
            existing: private["existing"] == true,
            agent_registered: private["agent_registered"] == true,
            agent: private["agent"].as_str().map(ToOwned::to_owned),
            presented: self.number(&private["refresh_token"]),
            given: self.number(&private["tokens"]["refresh"]),
        })
    }

    fn number(&mut self, hash: &Value) -> Option<u8> {
        let next = u8::try_from(self.tokens.len()).unwrap();
        let hash = hash.as_str()?.to_owned();
        Some(*self.tokens.entry(hash).or_insert(next))
    }
}

fn known(all: &[&'static str], wanted: &str) -> &'static str {
    let found = all.iter().find(|one| **one == wanted);
    found.unwrap_or_else(|| panic!("`{wanted}` is not known"))
}
