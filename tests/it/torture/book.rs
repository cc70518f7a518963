//! What the clients of a run were told, and when.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use crate::torture::Finding;

/// Most acknowledgements of a run. With more, clients only read.
const ACKNOWLEDGED_MAX: usize = 500_000;
/// Most positions whose totals are remembered.
const TOTALS_MAX: usize = 4_096;

/// An event or a command whose record is on the log.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) what: What,
    pub(crate) position: u64,
    pub(crate) verdict: Given,
}

/// What a client sent.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// An event, with the id that the client chose.
    Event(String),
    /// A command, with the type and the subject of the event that the ledger writes for it.
    Command(&'static str, String),
}

/// The verdict in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    None,
    Applied,
    Duplicate,
}

impl Given {
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Applied => Some("applied"),
            Self::Duplicate => Some("duplicate"),
        }
    }
}

/// What a client did to a session. No client changes a session that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Opened(Birth),
    Refreshed,
    Ended(End),
}

/// A session by the account of its one writer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) agent: String,
    pub(crate) birth: Birth,
    pub(crate) refreshed: u64,
    pub(crate) end: End,
    /// The position of the last step.
    pub(crate) position: u64,
}

/// How a session opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Birth {
    #[default]
    Created,
    /// It was created with a deadline.
    Expiring,
    /// It opened when its parent was handed off.
    Inherited,
}

/// How its writer ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Open,
    HandedOff,
    Terminated,
}

impl Session {
    /// The status once its deadline, if it has one, has passed.
    pub(crate) fn status(&self) -> &'static str {
        match (self.end, self.birth) {
            (End::Terminated, _) => "terminated",
            (End::HandedOff, _) => "handed_off",
            (End::Open, Birth::Expiring) => "expired",
            (End::Open, Birth::Created | Birth::Inherited) => "active",
        }
    }
}

/// How long after the last fault a ledger worked again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recovery {
    pub(crate) write: Option<Duration>,
    pub(crate) read: Option<Duration>,
    pub(crate) ready: Option<Duration>,
}

/// What the clients of a run were told.
pub(crate) struct Book {
    began: Instant,
    /// Clients begin nothing new once this is canceled.
    pub(crate) ending: CancellationToken,
    inner: Mutex<Inner>,
    pub(crate) counts: Counts,
}

/// How often things happened to clients.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tries: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) batches: AtomicU64,
    /// Answers with 503.
    pub(crate) later: AtomicU64,
    /// Answers to writes that say that the verdict is unreadable.
    pub(crate) unreadable: AtomicU64,
    /// Requests without an answer.
    pub(crate) lost: AtomicU64,
    pub(crate) own_reads: AtomicU64,
    pub(crate) repeated: AtomicU64,
    /// Agents that were revoked, whose sessions have all ended.
    pub(crate) revoked: AtomicU64,
    pub(crate) totals: AtomicU64,
    pub(crate) walks: AtomicU64,
    pub(crate) verdicts: AtomicU64,
}

#[derive(Default)]
struct Inner {
    acknowledged: Vec<Acknowledged>,
    sessions: HashMap<String, Session>,
    agents: HashMap<String, Vec<String>>,
    names: Vec<String>,
    totals: BTreeMap<u64, Totals>,
    calm_since: Option<Instant>,
    /// Of each ledger.
    recovery: Vec<Recovery>,
}

/// The sessions at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Totals {
    total: u64,
    by_status: Option<BTreeMap<String, u64>>,
}

impl Book {
    pub(crate) fn new(ledgers: usize) -> Self {
        Self {
            began: Instant::now(),
            ending: CancellationToken::new(),
            inner: Mutex::new(Inner {
                recovery: vec![Recovery::default(); ledgers],
                ..Inner::default()
            }),
            counts: Counts::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether clients begin nothing new.
    pub(crate) fn is_ending(&self) -> bool {
        ACKNOWLEDGED_MAX <= self.writes() || self.ending.is_cancelled()
    }

    /// Notes an acknowledgement of a ledger.
    pub(crate) fn acknowledge(&self, sent: Instant, ledger: usize, acknowledged: Acknowledged) {
        self.keep(acknowledged);
        let mut inner = self.inner.lock().unwrap();
        if let Some(since) = inner.calm_since.filter(|since| *since <= sent) {
            let recovery = &mut inner.recovery[ledger];
            recovery.write.get_or_insert(since.elapsed());
        }
    }

    /// Notes an acknowledgement of NATS.
    pub(crate) fn keep(&self, acknowledged: Acknowledged) {
        self.inner.lock().unwrap().acknowledged.push(acknowledged);
    }

    /// Notes that a session has taken a step at a position.
    pub(crate) fn step(&self, session: &str, agent: &str, step: Step, position: u64) {
        let inner = &mut *self.inner.lock().unwrap();
        let entry = inner.sessions.entry(session.to_owned()).or_default();
        entry.position = position;
        match step {
            Step::Opened(birth) => entry.birth = birth,
            Step::Refreshed => entry.refreshed += 1,
            Step::Ended(end) => entry.end = end,
        }
        if entry.agent.is_empty() {
            agent.clone_into(&mut entry.agent);
            let sessions = inner.agents.entry(agent.to_owned()).or_default();
            if sessions.is_empty() {
                inner.names.push(agent.to_owned());
            }
            sessions.push(session.to_owned());
        }
    }

    /// Notes that a read has succeeded at a ledger.
    pub(crate) fn read(&self, sent: Instant, ledger: usize) {
        let mut inner = self.inner.lock().unwrap();
        if let Some(since) = inner.calm_since.filter(|since| *since <= sent) {
            let recovery = &mut inner.recovery[ledger];
            recovery.read.get_or_insert(since.elapsed());
        }
    }

    /// All faults have ended at this time.
    pub(crate) fn calm_since(&self, since: Instant) {
        let mut inner = self.inner.lock().unwrap();
        inner.calm_since = Some(since);
        inner.recovery.fill(Recovery::default());
    }

    /// Notes that all ledgers are ready.
    pub(crate) fn all_are_ready(&self) {
        let mut inner = self.inner.lock().unwrap();
        if let Some(since) = inner.calm_since {
            for recovery in &mut inner.recovery {
                recovery.ready.get_or_insert(since.elapsed());
            }
        }
    }

    /// Whether a write and a read have succeeded at each ledger since all faults ended.
    pub(crate) fn is_calm(&self) -> bool {
        let recovery = self.recovery();
        let no_more_writes = ACKNOWLEDGED_MAX <= self.writes();
        (recovery.write.is_some() || no_more_writes) && recovery.read.is_some()
    }

    /// The recovery of the slowest ledger.
    pub(crate) fn recovery(&self) -> Recovery {
        let recovery = self.inner.lock().unwrap().recovery.clone();
        let slowest = |part: fn(&Recovery) -> Option<Duration>| {
            let parts: Option<Vec<_>> = recovery.iter().map(part).collect();
            parts?.into_iter().max()
        };
        Recovery {
            write: slowest(|recovery| recovery.write),
            read: slowest(|recovery| recovery.read),
            ready: slowest(|recovery| recovery.ready),
        }
    }

    /// An agent at random and its sessions with their agents' names, as they are known now.
    pub(crate) fn any_agent(&self, rng: &mut Rng) -> Option<(String, Vec<(String, Session)>)> {
        let inner = self.inner.lock().unwrap();
        let name = inner.names.get(rng.usize(..inner.names.len().max(1)))?;
        let sessions = inner.agents[name].iter();
        let known = sessions.map(|id| (id.clone(), inner.sessions[id].clone()));
        Some((name.clone(), known.collect()))
    }

    /// An acknowledgement at random, rather a new one.
    pub(crate) fn any_acknowledged(&self, rng: &mut Rng) -> Option<Acknowledged> {
        let inner = self.inner.lock().unwrap();
        let len = inner.acknowledged.len();
        let first = if rng.bool() {
            len.saturating_sub(50)
        } else {
            0
        };
        inner
            .acknowledged
            .get(rng.usize(first..len.max(first + 1)))
            .cloned()
    }

    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.inner.lock().unwrap().acknowledged.clone()
    }

    pub(crate) fn sessions(&self) -> HashMap<String, Session> {
        self.inner.lock().unwrap().sessions.clone()
    }

    /// The status of a session by the account of its writer.
    pub(crate) fn status_of(&self, session: &str) -> &'static str {
        self.inner.lock().unwrap().sessions[session].status()
    }

    /// The number of acknowledgements.
    pub(crate) fn writes(&self) -> usize {
        self.inner.lock().unwrap().acknowledged.len()
    }

    /// Checks totals against those that any ledger has given: at one position they are equal, and they never
    /// become smaller.
    pub(crate) fn check_totals(
        &self,
        position: u64,
        total: u64,
        by_status: Option<&BTreeMap<String, u64>>,
    ) -> Result<(), Finding> {
        let mut inner = self.inner.lock().unwrap();
        let new = Totals {
            total,
            by_status: by_status.cloned(),
        };
        let known = inner.totals.entry(position).or_insert_with(|| new.clone());
        let differs = known.by_status.is_some() && new.by_status.is_some() && *known != new;
        if known.total != total || differs {
            return Err(Finding(format!(
                "expected: equal totals at position {position}; seen: {known:?} and {new:?}"
            )));
        }
        if known.by_status.is_none() {
            known.by_status.clone_from(&new.by_status);
        }
        let before = inner.totals.range(..position).next_back();
        let after = inner.totals.range(position + 1..).next();
        let shrinks = before.is_some_and(|(_, known)| total < known.total)
            || after.is_some_and(|(_, known)| known.total < total);
        if shrinks {
            return Err(Finding(format!(
                "expected: totals that never shrink; seen: {total} at position {position}, before it \
                 {before:?} and after it {after:?}"
            )));
        }
        if TOTALS_MAX < inner.totals.len() {
            inner.totals.pop_first();
        }
        Ok(())
    }

    /// What the recovery still lacks, in words.
    pub(crate) fn what_is_missing(&self) -> String {
        format!(
            "all ledgers are ready, but of a write and a read at each: {:?}",
            self.inner.lock().unwrap().recovery
        )
    }

    /// The checks that never took place.
    pub(crate) fn never_checked(&self) -> Vec<&'static str> {
        let counts = &self.counts;
        let checks = [
            ("own writes read", &counts.own_reads),
            ("commands repeated later", &counts.repeated),
            ("agents revoked", &counts.revoked),
            ("totals and pages checked", &counts.totals),
            ("walks by cursor", &counts.walks),
            ("verdicts read again", &counts.verdicts),
        ];
        let never = checks.into_iter();
        never
            .filter(|(_, count)| count.load(Ordering::Relaxed) == 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// The counts, as lines.
    pub(crate) fn summary(&self) -> String {
        let counts = &self.counts;
        let mut text = String::new();
        let rows = [
            ("acknowledged writes", self.writes() as u64),
            ("tries of writes", counts.tries.load(Ordering::Relaxed)),
            (
                "batches of events among them",
                counts.batches.load(Ordering::Relaxed),
            ),
            (
                "verdict duplicate for a retry",
                counts.duplicates.load(Ordering::Relaxed),
            ),
            (
                "answers that say: try again",
                counts.later.load(Ordering::Relaxed),
            ),
            (
                "answers that say: verdict unreadable",
                counts.unreadable.load(Ordering::Relaxed),
            ),
            (
                "requests without an answer",
                counts.lost.load(Ordering::Relaxed),
            ),
            ("own writes read", counts.own_reads.load(Ordering::Relaxed)),
            (
                "commands repeated later",
                counts.repeated.load(Ordering::Relaxed),
            ),
            ("agents revoked", counts.revoked.load(Ordering::Relaxed)),
            (
                "totals and pages checked",
                counts.totals.load(Ordering::Relaxed),
            ),
            ("walks by cursor", counts.walks.load(Ordering::Relaxed)),
            (
                "verdicts read again",
                counts.verdicts.load(Ordering::Relaxed),
            ),
        ];
        for (name, count) in rows {
            writeln!(text, "| {name} | {count} |").unwrap();
        }
        text
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
