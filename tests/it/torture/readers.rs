//! Clients that only read: totals and pages, walks by cursor, and verdicts that were given before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use crate::torture::Finding;
use crate::torture::address::{Address, Answer};
use crate::torture::book::{Book, End, Session, What, count};

/// The longest pause between two reads, in milliseconds.
const PAUSE_MS: u64 = 80;
/// Most tries of one page of a walk. Then the walk is given up: that a ledger is not ready is no finding.
const TRIES_MAX: u32 = 40;

/// The path of one event. Its answer is the only one that does not say which position it shows.
const ONE_EVENT: &str = "/v1/events/";

/// A client that only reads.
pub(crate) struct Reader {
    rng: Rng,
    address: Arc<Address>,
    book: Arc<Book>,
    /// The last position that each ledger has shown to this client.
    shown: HashMap<usize, u64>,
}

impl Reader {
    pub(crate) fn new(seed: u64, address: &Arc<Address>, book: &Arc<Book>) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            address: Arc::clone(address),
            book: Arc::clone(book),
            shown: HashMap::new(),
        }
    }

    /// Reads counts, the status of the tenant and pages, whose totals must agree.
    pub(crate) async fn totals(mut self) -> Result<(), Finding> {
        while !self.book.ending.is_cancelled() {
            match self.rng.u8(..4) {
                0 => self.count_all().await?,
                1 => self.count_agent().await?,
                2 => self.status().await?,
                _ => self.page().await?,
            }
            self.pause().await;
        }
        Ok(())
    }

    async fn get(&mut self, path: &str) -> Result<Option<Value>, Finding> {
        let ledger = self.rng.usize(..self.address.ledgers());
        let Some(answer) = self.address.get(ledger, path).await? else {
            return Ok(None);
        };
        if answer.status != 200 {
            return Err(unexpected(path, ledger, &answer));
        }
        // After a start, a ledger first folds what the log has, so it never shows an older state again.
        let shown = answer.body["as_of"]["position"].as_u64();
        if shown.is_none() && !path.starts_with(ONE_EVENT) {
            return Err(unexpected(path, ledger, &answer));
        }
        if let Some(position) = shown {
            let before = self.shown.insert(ledger, position).unwrap_or_default();
            if position < before {
                return Err(Finding(format!(
                    "expected: ledger {ledger} shows position {before} or later, as it did before; seen: \
                     {position} for {path}"
                )));
            }
        }
        self.book.read(answer.sent, ledger);
        Ok(Some(answer.body))
    }

    async fn count_all(&mut self) -> Result<(), Finding> {
        let Some(body) = self.get("/v1/agent-sessions/count").await? else {
            return Ok(());
        };
        let by_status = parts(&body["by_status"]);
        self.sum(&by_status, &body["total"], &body)?;
        let position = body["as_of"]["position"].as_u64().unwrap_or_default();
        let total = by_status.values().sum();
        self.book.check_totals(position, total, Some(&by_status))
    }

    async fn count_agent(&mut self) -> Result<(), Finding> {
        let Some((agent, _)) = self.book.any_agent(&mut self.rng) else {
            return Ok(());
        };
        let path = format!("/v1/agent-sessions/count?agent_id={agent}");
        match self.get(&path).await? {
            Some(body) => self.sum(&parts(&body["by_status"]), &body["total"], &body),
            None => Ok(()),
        }
    }

    async fn status(&mut self) -> Result<(), Finding> {
        let Some(body) = self.get("/v1/status").await? else {
            return Ok(());
        };
        let sessions = &body["sessions"];
        let by_status = parts(&sessions["by"]);
        self.sum(&by_status, &sessions["total"], &body)?;
        let position = body["as_of"]["position"].as_u64().unwrap_or_default();
        let total = by_status.values().sum();
        self.book.check_totals(position, total, None)
    }

    /// Reads a page by offset: its rows are as many as its total allows.
    async fn page(&mut self) -> Result<(), Finding> {
        let limit = self.rng.u64(1..=200);
        let offset = self.rng.u64(..300);
        let path = format!("/v1/agent-sessions?limit={limit}&offset={offset}");
        let Some(body) = self.get(&path).await? else {
            return Ok(());
        };
        let total = body["total"].as_u64().unwrap_or_default();
        let rows = body["sessions"].as_array().map_or(0, Vec::len) as u64;
        let expected = total.saturating_sub(offset).min(limit);
        if rows != expected {
            return Err(Finding(format!(
                "expected: {expected} rows of {total} for {path}; seen: {rows}"
            )));
        }
        let position = body["as_of"]["position"].as_u64().unwrap_or_default();
        count(&self.book.counts.totals);
        self.book.check_totals(position, total, None)
    }

    fn sum(
        &self,
        parts: &BTreeMap<String, u64>,
        total: &Value,
        body: &Value,
    ) -> Result<(), Finding> {
        count(&self.book.counts.totals);
        if Some(parts.values().sum()) == total.as_u64() {
            return Ok(());
        }
        Err(Finding(format!(
            "expected: the total is the sum by status; seen: {body}"
        )))
    }

    /// Walks through the sessions of one agent after another.
    pub(crate) async fn walks(mut self) -> Result<(), Finding> {
        while !self.book.ending.is_cancelled() {
            if let Some((agent, known)) = self.book.any_agent(&mut self.rng) {
                self.walk(&agent, &known).await?;
            }
            self.pause().await;
        }
        Ok(())
    }

    /// Walks by cursor. Each row appears once, and each known session that still matches appears.
    async fn walk(&mut self, agent: &str, known: &[(String, Session)]) -> Result<(), Finding> {
        let position = known.iter().map(|(_, session)| session.position).max();
        let ended = self.rng.bool();
        let filter = if ended { "&status=terminated" } else { "" };
        let limit = self.rng.u64(3..=30);
        let base = format!(
            "/v1/agent-sessions?agent_id={agent}{filter}&limit={limit}&min_position={}",
            position.unwrap_or_default()
        );
        let (mut seen, mut cursor, mut last) = (HashSet::new(), String::new(), None::<String>);
        loop {
            let Some(page) = self.page_of_walk(&format!("{base}{cursor}")).await? else {
                return Ok(());
            };
            for row in page["sessions"].as_array().into_iter().flatten() {
                let id = row["session_id"].as_str().unwrap_or_default().to_owned();
                let created = row["created_at"].as_str().unwrap_or_default().to_owned();
                if row["agent_id"] != agent || ended && row["status"] != "terminated" {
                    return Err(Finding(format!("expected: rows of {base}; seen: {row}")));
                }
                if last.as_ref().is_some_and(|last| *last < created) {
                    return Err(Finding(format!(
                        "expected: the newest session of {agent} first; seen: {row} after {last:?}"
                    )));
                }
                last = Some(created);
                if !seen.insert(id) {
                    return Err(Finding(format!(
                        "expected: each row once in {base}; seen twice: {row}"
                    )));
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let matches = |session: &Session| !ended || session.end == End::Terminated;
        let missing = known
            .iter()
            .find(|(id, session)| matches(session) && !seen.contains(id));
        if let Some((id, session)) = missing {
            return Err(Finding(format!(
                "expected: {id} ({session:?}) in the walk {base}; seen: {} other rows",
                seen.len()
            )));
        }
        count(&self.book.counts.walks);
        Ok(())
    }

    /// Reads a page at any ledger. Returns `None` if none gives it for long, or if the run ends.
    async fn page_of_walk(&mut self, path: &str) -> Result<Option<Value>, Finding> {
        for _ in 0..TRIES_MAX {
            if self.book.ending.is_cancelled() {
                break;
            }
            if let Some(page) = self.get(path).await? {
                return Ok(Some(page));
            }
            self.pause().await;
        }
        Ok(None)
    }

    /// Reads verdicts again that clients were given.
    pub(crate) async fn verdicts(mut self) -> Result<(), Finding> {
        while !self.book.ending.is_cancelled() {
            if let Some(given) = self.book.any_acknowledged(&mut self.rng) {
                let position = given.position;
                let path = format!("{ONE_EVENT}{position}?min_position={position}");
                if let Some(body) = self.get(&path).await? {
                    let is_it = match &given.what {
                        What::Event(id) => body["event"]["id"] == **id,
                        What::Command(event_type, subject) => {
                            body["type"] == *event_type && body["event"]["subject"] == **subject
                        }
                    };
                    let stands = given
                        .verdict
                        .word()
                        .is_none_or(|word| body["verdict"] == word);
                    if !is_it || !stands || body["verdict"] == "rejected" {
                        return Err(Finding(format!("expected: {given:?}; seen: {body}")));
                    }
                    count(&self.book.counts.verdicts);
                }
            }
            self.pause().await;
        }
        Ok(())
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(..PAUSE_MS))).await;
    }
}

fn parts(by: &Value) -> BTreeMap<String, u64> {
    let parts = by.as_object().into_iter().flatten();
    parts
        .map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default()))
        .collect()
}

fn unexpected(path: &str, ledger: usize, answer: &Answer) -> Finding {
    Finding(format!(
        "expected: 200 and a position for {path} at ledger {ledger}; seen: {} {}",
        answer.status, answer.body
    ))
}
