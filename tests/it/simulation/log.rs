//! A model of the log that the simulated nodes share. It does nothing by itself: each call waits until the
//! scheduler answers it, with a failure if the scheduler says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use session_ledger::domain::{Position, Timestamp};
use session_ledger::log::{Appended, EventLog, Guard, LogError, NewRecord, Notice, Record, Tail};
use session_ledger::wire::Headers;
use tokio::sync::oneshot;

/// The cause of every failure here.
const CAUSE: &str = "the simulation says so";

/// A call that waits for its answer.
pub(crate) enum Call {
    Append(NewAppend, oneshot::Sender<Appended>),
    /// An append that is done, but whose caller does not know it yet.
    Acknowledge(Appended, oneshot::Sender<Appended>),
    Get(
        Vec<Position>,
        oneshot::Sender<Result<Vec<Record>, LogError>>,
    ),
    Tail(Position, oneshot::Sender<Result<(), LogError>>),
    Next(Position, usize, oneshot::Sender<Vec<Record>>),
    Head(oneshot::Sender<Result<Position, LogError>>),
}

/// Records to append, with a guard or without.
#[derive(Debug, Clone)]
pub(crate) struct NewAppend {
    pub(crate) records: Vec<NewRecord>,
    pub(crate) guard: Option<Guard>,
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Written and acknowledged.
    Acknowledged,
    /// Written now and acknowledged later.
    Delayed,
    /// The first records are written and acknowledged, and one more may be written.
    Torn(usize, bool),
    /// Written, but the caller does not learn it.
    Unconfirmed,
    /// Not written, and the caller does not learn it.
    Lost,
    /// Not confirmed, and written later, long after the caller has given up.
    Late,
    /// Refused, and the caller knows it.
    Unavailable,
    Refused,
}

/// The identity of a caller. Calls are answered in the order of these, never in that of arrival.
pub(crate) type Caller = (u32, &'static str, u64);

/// The log of the simulation.
#[derive(Default)]
pub(crate) struct SimLog(Mutex<State>);

#[derive(Default)]
struct State {
    records: Vec<Record>,
    calls: BTreeMap<Caller, Call>,
    /// Appends whose callers have given up, but which are still on their way.
    late: Vec<NewAppend>,
}

impl SimLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn head(&self) -> u64 {
        self.state().records.len() as u64
    }

    pub(crate) fn records_after(&self, after: u64) -> Vec<Record> {
        self.state().records[usize::try_from(after).unwrap()..].to_vec()
    }

    /// The calls that can be answered now. A reader waits for records.
    pub(crate) fn ready(&self) -> Vec<Caller> {
        let mut state = self.state();
        let head = Position::new(state.records.len() as u64);
        let given_up = state
            .calls
            .extract_if(.., |_caller, call| call.is_given_up());
        for (_caller, call) in given_up.collect::<Vec<_>>() {
            state.abandon(call);
        }
        let ready = state.calls.iter().filter(|(_caller, call)| match call {
            Call::Next(after, ..) => *after < head,
            _ => true,
        });
        ready.map(|(caller, _call)| *caller).collect()
    }

    /// Takes a call, to answer it.
    pub(crate) fn take(&self, caller: Caller) -> Option<Call> {
        self.state().calls.remove(&caller)
    }

    /// Puts a call back, or another one of the same caller.
    pub(crate) fn put(&self, caller: Caller, call: Call) {
        let mut state = self.state();
        if let Some(older) = state.calls.insert(caller, call) {
            state.abandon(older);
        }
    }

    /// Writes records as long as the guard allows, and returns the positions and the first failure.
    pub(crate) fn write(&self, append: &NewAppend, at: Timestamp) -> Appended {
        let mut state = self.state();
        let mut appended = Appended::new();
        let mut known = append.guard.map_or(Position::ZERO, |guard| guard.after);
        for record in &append.records {
            let overtaken = append.guard.is_some_and(|guard| {
                let mut latest = state.records.iter().rev();
                let last = latest.find(|one| guard.covers(&one.subject));
                last.is_some_and(|last| known < last.position)
            });
            if overtaken {
                appended.resize(append.records.len(), Err(LogError::Overtaken));
                break;
            }
            let position = Position::new(state.records.len() as u64 + 1);
            state.records.push(Record {
                position,
                recorded_at: at,
                subject: record.subject.clone(),
                private: record.private.clone(),
                headers: Headers::default(),
                payload: record.body.clone(),
            });
            known = position;
            appended.push(Ok(position));
        }
        appended
    }

    pub(crate) fn send_late(&self, append: NewAppend) {
        self.state().late.push(append);
    }

    pub(crate) fn late_count(&self) -> usize {
        self.state().late.len()
    }

    pub(crate) fn take_late(&self, number: usize) -> NewAppend {
        self.state().late.remove(number)
    }
}

impl State {
    /// Keeps an append on its way whose caller has crashed.
    fn abandon(&mut self, call: Call) {
        if let Call::Append(append, _answer) = call {
            self.late.push(append);
        }
    }
}

impl Call {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Append(_, answer) | Self::Acknowledge(_, answer) => answer.is_closed(),
            Self::Get(_, answer) => answer.is_closed(),
            Self::Tail(_, answer) => answer.is_closed(),
            Self::Next(_, _, answer) => answer.is_closed(),
            Self::Head(answer) => answer.is_closed(),
        }
    }
}

pub(crate) fn unconfirmed() -> LogError {
    LogError::unconfirmed(CAUSE)
}

pub(crate) fn unavailable() -> LogError {
    LogError::unavailable(CAUSE)
}

pub(crate) fn refusing() -> LogError {
    LogError::refusing(CAUSE)
}

/// The log as one task of one node sees it.
pub(crate) struct Client {
    pub(crate) log: Arc<SimLog>,
    /// The last position that the node has seen.
    pub(crate) seen: Arc<AtomicU64>,
    pub(crate) node: u32,
    pub(crate) role: &'static str,
    /// Makes each call of this client distinct.
    calls: AtomicU64,
}

impl Client {
    pub(crate) fn new(
        log: &Arc<SimLog>,
        seen: &Arc<AtomicU64>,
        (node, role, first): Caller,
    ) -> Self {
        let (log, seen) = (Arc::clone(log), Arc::clone(seen));
        let calls = AtomicU64::new(first);
        Self {
            log,
            seen,
            node,
            role,
            calls,
        }
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> T {
        let (answer, answered) = oneshot::channel();
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        self.log.put((self.node, self.role, number), call(answer));
        match answered.await {
            Ok(answer) => answer,
            // Only the end of the simulation drops a call.
            Err(_dropped) => std::future::pending().await,
        }
    }

    fn see(&self, position: Position) {
        self.seen.fetch_max(position.get(), Ordering::SeqCst);
    }

    async fn append_with(&self, records: Vec<NewRecord>, guard: Option<Guard>) -> Appended {
        let append = NewAppend { records, guard };
        let appended = self.ask(|answer| Call::Append(append, answer)).await;
        for position in appended.iter().flatten() {
            self.see(*position);
        }
        appended
    }
}

impl EventLog for Client {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.append_with(records, None).boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        self.append_with(records, Some(guard)).boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.ask(|answer| Call::Get(positions, answer)).boxed()
    }

    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.get(positions)
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        async move {
            self.ask(|answer| Call::Tail(after, answer)).await?;
            let client = Self::new(&self.log, &self.seen, (self.node, "tail", 0));
            Ok(Box::new(SimTail { client, after }) as Box<dyn Tail>)
        }
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        async move {
            let head = self.ask(Call::Head).await?;
            self.see(head);
            Ok(head)
        }
        .boxed()
    }

    fn known_head(&self) -> Position {
        Position::new(self.seen.load(Ordering::SeqCst))
    }

    fn is_available(&self) -> bool {
        true
    }

    fn refuses_writes(&self) -> Option<String> {
        None
    }

    fn watch(&self) -> BoxFuture<'_, LogError> {
        std::future::pending().boxed()
    }

    fn notify(&self, _notices: Vec<Notice>) -> BoxFuture<'_, bool> {
        std::future::ready(true).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// A reader that gets records when the scheduler delivers some.
struct SimTail {
    client: Client,
    after: Position,
}

impl Tail for SimTail {
    fn next(&mut self, records_max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        async move {
            let next = |answer| Call::Next(self.after, records_max, answer);
            let records = self.client.ask(next).await;
            if let Some(last) = records.last() {
                self.client.see(last.position);
                self.after = last.position;
            }
            Ok(records)
        }
        .boxed()
    }
}
