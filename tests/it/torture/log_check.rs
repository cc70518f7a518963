//! Compares the log with what clients were told.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use crate::torture::address::Address;
use crate::torture::book::{Birth, Book, End, What};
use crate::torture::{Finding, LOOK_AGAIN, QUIET_MAX};

/// Events of one page.
const PAGE: u64 = 1_000;

/// The log of the tenant as one ledger shows it.
pub(crate) struct SeenLog {
    /// The record at each position.
    records: HashMap<u64, Record>,
    /// How often an event with this subject and id was applied. Expiries of two sessions can have one id.
    applied: HashMap<(String, String), u64>,
    /// How often an event of this type was applied to this subject.
    steps: HashMap<(String, String), u64>,
    /// The hash of positions, ids and verdicts.
    pub(crate) digest: u64,
}

/// A record of the log with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    id: String,
    event_type: String,
    subject: String,
    verdict: String,
}

/// Reads all events of the tenant up to a position.
pub(crate) async fn read(address: &Address, ledger: usize, head: u64) -> Result<SeenLog, Finding> {
    let mut log = SeenLog {
        records: HashMap::new(),
        applied: HashMap::new(),
        steps: HashMap::new(),
        digest: 0,
    };
    let (mut after, mut hasher, mut missing_since) = (0, DefaultHasher::new(), None);
    while after < head {
        let path = format!("/v1/events?limit={PAGE}&after={after}&min_position={head}");
        let Some(page) = address.get(ledger, &path).await? else {
            // The read may have found damage that nothing had read before, so that the ledger folds its log again.
            if QUIET_MAX < missing_since.get_or_insert_with(Instant::now).elapsed() {
                return Err(Finding(format!(
                    "expected: a page of events within {QUIET_MAX:?}; seen: none for {path} at ledger {ledger}"
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        };
        missing_since = None;
        for entry in page.body["events"].as_array().into_iter().flatten() {
            let position = entry["position"].as_u64().unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let record = Record {
                id: text(&entry["event"]["id"]),
                event_type: text(&entry["type"]),
                subject: text(&entry["event"]["subject"]),
                verdict: text(&entry["verdict"]),
            };
            if position <= after || head < position {
                if head < position {
                    break;
                }
                return Err(Finding(format!(
                    "expected: positions after {after} at ledger {ledger}; seen: {entry}"
                )));
            }
            (position, &record).hash(&mut hasher);
            after = position;
            log.add(position, record);
        }
        match page.body["next_after"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    log.digest = hasher.finish();
    Ok(log)
}

impl SeenLog {
    fn add(&mut self, position: u64, record: Record) {
        if record.verdict == "applied" {
            let event = (record.subject.clone(), record.id.clone());
            *self.applied.entry(event).or_insert(0) += 1;
            let step = (record.event_type.clone(), record.subject.clone());
            *self.steps.entry(step).or_insert(0) += 1;
        }
        self.records.insert(position, record);
    }

    /// Checks that each acknowledged write is on the log and has its verdict, that each event took effect once,
    /// and that each session took exactly the steps that its writer knows.
    pub(crate) fn check(&self, book: &Book) -> Result<(), Finding> {
        for given in book.acknowledged() {
            let record = self.records.get(&given.position);
            let is_there = record.is_some_and(|record| {
                let stands = given
                    .verdict
                    .word()
                    .is_none_or(|word| record.verdict == word);
                let is_it = match &given.what {
                    What::Event(id) => {
                        let event = (record.subject.clone(), id.clone());
                        record.id == *id && self.applied.get(&event) == Some(&1)
                    }
                    What::Command(event_type, subject) => {
                        record.event_type == *event_type && record.subject == *subject
                    }
                };
                is_it && stands && record.verdict != "rejected"
            });
            if !is_there {
                return Err(Finding(format!(
                    "expected on the log: {given:?}; seen: {record:?}"
                )));
            }
        }
        let twice = self.applied.iter().find(|(_, count)| **count != 1);
        if let Some((event, count)) = twice {
            return Err(Finding(format!(
                "expected: one effect of {event:?}; seen: {count}"
            )));
        }
        for (id, session) in book.sessions() {
            let expected = [
                (
                    "session.created",
                    u64::from(session.birth != Birth::Inherited),
                ),
                ("session.refreshed", session.refreshed),
                (
                    "session.handed_off",
                    u64::from(session.end == End::HandedOff),
                ),
                (
                    "session.terminated",
                    u64::from(session.end == End::Terminated),
                ),
                (
                    "session.expired",
                    u64::from(session.birth == Birth::Expiring),
                ),
            ];
            for (event_type, expected) in expected {
                let step = (event_type.to_owned(), id.clone());
                let seen = self.steps.get(&step).copied().unwrap_or_default();
                if seen != expected {
                    return Err(Finding(format!(
                        "expected: {expected} applied {event_type} of {id} ({session:?}); seen: {seen}"
                    )));
                }
            }
        }
        Ok(())
    }
}
