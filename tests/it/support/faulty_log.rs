//! Logs that fail when a test says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use session_ledger::domain::Position;
use session_ledger::log::{Appended, EventLog, LogError, NewRecord, Record, Tail};

/// An append of a body with this word fails as unavailable.
pub(crate) const UNAVAILABLE: &str = "fails-unavailable";
/// An append of a body with this word fails as unconfirmed.
pub(crate) const UNCONFIRMED: &str = "fails-unconfirmed";

/// A log that fails such appends. Reading records by position panics.
pub(crate) struct FaultyLog(pub(crate) Arc<dyn EventLog>);

impl EventLog for FaultyLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        async move {
            let mut results = Vec::new();
            for record in records {
                let text = String::from_utf8_lossy(&record.body).into_owned();
                if text.contains(UNAVAILABLE) {
                    results.push(Err(LogError::Unavailable("the test says so".to_owned())));
                } else if text.contains(UNCONFIRMED) {
                    results.push(Err(LogError::Unconfirmed("the test says so".to_owned())));
                } else {
                    results.extend(self.0.append(vec![record]).await);
                }
            }
            results
        }
        .boxed()
    }

    fn get(&self, _positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        panic!("the test says so")
    }

    fn tail(&self, after: Position) -> BoxFuture<'_, Result<Box<dyn Tail>, LogError>> {
        self.0.tail(after)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.0.head()
    }

    fn known_head(&self) -> Position {
        self.0.known_head()
    }
}

/// Implements the reads of a log by calling the log in its field `log`.
macro_rules! reads_of_its_log {
    () => {
        fn get(
            &self,
            positions: Vec<session_ledger::domain::Position>,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<Vec<session_ledger::log::Record>, session_ledger::log::LogError>,
        > {
            self.log.get(positions)
        }

        fn tail(
            &self,
            after: session_ledger::domain::Position,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<Box<dyn session_ledger::log::Tail>, session_ledger::log::LogError>,
        > {
            self.log.tail(after)
        }

        fn head(
            &self,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<session_ledger::domain::Position, session_ledger::log::LogError>,
        > {
            self.log.head()
        }

        fn known_head(&self) -> session_ledger::domain::Position {
            self.log.known_head()
        }
    };
}
pub(crate) use reads_of_its_log;

/// A log that fails all appends while it is away, and counts the appends.
pub(crate) struct AwayLog {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) away: AtomicBool,
    pub(crate) tries: AtomicUsize,
}

impl EventLog for AwayLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            let error = LogError::Unavailable("the test says so".to_owned());
            return std::future::ready(vec![Err(error); records.len()]).boxed();
        }
        self.log.append(records)
    }

    reads_of_its_log!();
}

/// A log that keeps all records, but reports the next `doubts` appends as unconfirmed.
pub(crate) struct DoubtfulLog {
    log: Arc<dyn EventLog>,
    pub(crate) doubts: AtomicUsize,
}

impl DoubtfulLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        let doubts = AtomicUsize::new(0);
        Self { log, doubts }
    }
}

impl EventLog for DoubtfulLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        async move {
            let appended = self.log.append(records).await;
            let less = |doubts: usize| doubts.checked_sub(1);
            let doubted = self
                .doubts
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            match doubted {
                Ok(_) => {
                    let error = LogError::Unconfirmed("the test says so".to_owned());
                    vec![Err(error); appended.len()]
                }
                Err(_none) => appended,
            }
        }
        .boxed()
    }

    reads_of_its_log!();
}

/// A log that fails appends of one kind of record.
pub(crate) struct PickyLog {
    log: Arc<dyn EventLog>,
    refuses: Mutex<Option<(&'static str, LogError)>>,
}

impl EventLog for PickyLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        let refuses = self.refuses.lock().unwrap().clone();
        let of_kind = |kind| records.iter().all(|record| record.subject.ends_with(kind));
        match refuses.filter(|(kind, _error)| of_kind(*kind)) {
            Some((_kind, error)) => std::future::ready(vec![Err(error); records.len()]).boxed(),
            None => self.log.append(records),
        }
    }

    reads_of_its_log!();
}

impl PickyLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        let refuses = Mutex::new(None);
        Self { log, refuses }
    }

    /// Fails appends if the subjects of all records end like this.
    pub(crate) fn refuse(&self, kind: &'static str, error: LogError) {
        *self.refuses.lock().unwrap() = Some((kind, error));
    }

    pub(crate) fn take_all(&self) {
        *self.refuses.lock().unwrap() = None;
    }
}
