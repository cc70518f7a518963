//! Logs that fail where a test says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use session_ledger::domain::Position;
use session_ledger::log::{Appended, EventLog, Guard, LogError, NewRecord, Record};

/// The cause of every failure here.
const CAUSE: &str = "the test says so";

/// An append of a body with this word fails as unavailable.
pub(crate) const UNAVAILABLE: &str = "fails-unavailable";
/// An append of a body with this word fails as unconfirmed.
pub(crate) const UNCONFIRMED: &str = "fails-unconfirmed";

/// Implements methods of `EventLog` by calls to the log in the field `log`.
macro_rules! call_its_log {
    ($($method:ident)*) => { $( call_its_log!(@ $method); )* };
    (@ append) => {
        fn append(
            &self,
            records: Vec<session_ledger::log::NewRecord>,
        ) -> futures_util::future::BoxFuture<'_, session_ledger::log::Appended> {
            self.log.append(records)
        }
    };
    (@ append_after) => {
        fn append_after(
            &self,
            records: Vec<session_ledger::log::NewRecord>,
            guard: session_ledger::log::Guard,
        ) -> futures_util::future::BoxFuture<'_, session_ledger::log::Appended> {
            self.log.append_after(records, guard)
        }
    };
    (@ get) => {
        fn get(
            &self,
            positions: Vec<session_ledger::domain::Position>,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<Vec<session_ledger::log::Record>, session_ledger::log::LogError>,
        > {
            self.log.get(positions)
        }
    };
    (@ recall) => {
        fn recall(
            &self,
            positions: Vec<session_ledger::domain::Position>,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<Vec<session_ledger::log::Record>, session_ledger::log::LogError>,
        > {
            self.log.recall(positions)
        }
    };
    (@ tail) => {
        fn tail(
            &self,
            after: session_ledger::domain::Position,
        ) -> futures_util::future::BoxFuture<
            '_,
            Result<Box<dyn session_ledger::log::Tail>, session_ledger::log::LogError>,
        > {
            self.log.tail(after)
        }
    };
    (@ head) => {
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
    (@ state) => {
        fn is_available(&self) -> bool {
            self.log.is_available()
        }

        fn refuses_writes(&self) -> Option<String> {
            self.log.refuses_writes()
        }

        fn watch(&self) -> futures_util::future::BoxFuture<'_, session_ledger::log::LogError> {
            self.log.watch()
        }

        fn close(&self) -> futures_util::future::BoxFuture<'_, ()> {
            self.log.close()
        }
    };
    (@ notify) => {
        fn notify(
            &self,
            notices: Vec<session_ledger::log::Notice>,
        ) -> futures_util::future::BoxFuture<'_, bool> {
            self.log.notify(notices)
        }
    };
}
pub(crate) use call_its_log;

/// Calls the log, with a guard if there is one.
fn append_to(
    log: &Arc<dyn EventLog>,
    records: Vec<NewRecord>,
    guard: Option<Guard>,
) -> BoxFuture<'_, Appended> {
    match guard {
        Some(guard) => log.append_after(records, guard),
        None => log.append(records),
    }
}

/// Fails appends of some records, and panics when records are read by position.
pub(crate) struct FaultyLog {
    log: Arc<dyn EventLog>,
}

impl FaultyLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    async fn append_one_by_one(
        &self,
        records: Vec<NewRecord>,
        mut guard: Option<Guard>,
    ) -> Appended {
        let mut results = Vec::new();
        for record in records {
            let text = String::from_utf8_lossy(&record.body).into_owned();
            if text.contains(UNAVAILABLE) {
                results.push(Err(LogError::unavailable(CAUSE)));
            } else if text.contains(UNCONFIRMED) {
                results.push(Err(LogError::unconfirmed(CAUSE)));
            } else {
                let appended = append_to(&self.log, vec![record], guard).await;
                // The caller knows its own records.
                if let (Some(guard), Some(Ok(position))) = (&mut guard, appended.last()) {
                    guard.after = *position;
                }
                results.extend(appended);
            }
        }
        results
    }
}

impl EventLog for FaultyLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.append_one_by_one(records, None).boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        self.append_one_by_one(records, Some(guard)).boxed()
    }

    fn get(&self, _positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        panic!("{CAUSE}")
    }

    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.get(positions)
    }

    call_its_log!(tail head state notify);
}

/// Accepts nothing while it is away, and counts the appends.
pub(crate) struct AwayLog {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) away: AtomicBool,
    pub(crate) tries: AtomicUsize,
}

impl AwayLog {
    fn append_with(
        &self,
        records: Vec<NewRecord>,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Appended> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            let error = LogError::unavailable(CAUSE);
            return std::future::ready(vec![Err(error); records.len()]).boxed();
        }
        append_to(&self.log, records, guard)
    }
}

impl EventLog for AwayLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.append_with(records, None)
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        self.append_with(records, Some(guard))
    }

    call_its_log!(get recall tail head state notify);
}

/// Fails every read by position.
pub(crate) struct UnreadLog {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) error: LogError,
}

impl EventLog for UnreadLog {
    fn get(&self, _positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        std::future::ready(Err(self.error.clone())).boxed()
    }

    fn recall(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.get(positions)
    }

    call_its_log!(append append_after tail head state notify);
}

/// Stores every record, and a number of times says that it does not know whether it did.
pub(crate) struct DoubtfulLog {
    log: Arc<dyn EventLog>,
    pub(crate) doubts: AtomicUsize,
}

impl DoubtfulLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        let doubts = AtomicUsize::new(0);
        Self { log, doubts }
    }

    async fn append_with(&self, records: Vec<NewRecord>, guard: Option<Guard>) -> Appended {
        let appended = append_to(&self.log, records, guard).await;
        let less = |doubts: usize| doubts.checked_sub(1);
        let doubted = self
            .doubts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        match doubted {
            Ok(_) => vec![Err(LogError::unconfirmed(CAUSE)); appended.len()],
            Err(_none) => appended,
        }
    }
}

impl EventLog for DoubtfulLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.append_with(records, None).boxed()
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        self.append_with(records, Some(guard)).boxed()
    }

    call_its_log!(get recall tail head state notify);
}

/// Refuses records of a kind, as long as a test says so.
pub(crate) struct PickyLog {
    log: Arc<dyn EventLog>,
    refuses: Mutex<Option<(&'static str, LogError)>>,
}

impl PickyLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        let refuses = Mutex::new(None);
        Self { log, refuses }
    }

    /// Refuses appends of records whose subjects end like this.
    pub(crate) fn refuse(&self, kind: &'static str, error: LogError) {
        *self.refuses.lock().unwrap() = Some((kind, error));
    }

    pub(crate) fn take_all(&self) {
        *self.refuses.lock().unwrap() = None;
    }

    fn append_with(
        &self,
        records: Vec<NewRecord>,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Appended> {
        let refuses = self.refuses.lock().unwrap().clone();
        let of_kind = |kind| records.iter().all(|record| record.subject.ends_with(kind));
        match refuses.filter(|(kind, _error)| of_kind(*kind)) {
            Some((_kind, error)) => std::future::ready(vec![Err(error); records.len()]).boxed(),
            None => append_to(&self.log, records, guard),
        }
    }
}

impl EventLog for PickyLog {
    fn append(&self, records: Vec<NewRecord>) -> BoxFuture<'_, Appended> {
        self.append_with(records, None)
    }

    fn append_after(&self, records: Vec<NewRecord>, guard: Guard) -> BoxFuture<'_, Appended> {
        self.append_with(records, Some(guard))
    }

    call_its_log!(get recall tail head state notify);
}
