//! Group commit: one thread writes all that is waiting in one durable transaction.
//!
//! An fsync costs about as much for a thousand records as for one, so concurrent callers share it.
//! A caller is answered, and the head published, after the commit alone.

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};

use super::codec;
use super::store::{End, Store, closed};
use crate::domain::limits::{BODY_BYTES_MAX, LOG_APPEND_QUEUE_MAX, LOG_GROUP_RECORDS_MAX};
use crate::domain::{Clock, Position, Timestamp};
use crate::log::{Appended, LogError, NewRecord};

/// Work for the writer.
pub(super) enum Command {
    /// Append these records and answer.
    Append {
        records: Vec<NewRecord>,
        answer: oneshot::Sender<Appended>,
    },
    /// Finish what is queued, then stop.
    Close,
}

/// The thread's own state.
struct Writer {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<Command>,
    head: watch::Sender<Position>,
    recorded_at: Timestamp,
    /// Set by a failed commit: what the file holds is unknown until it is opened again.
    broken: Arc<OnceLock<String>>,
}

/// One append of a group.
struct Waiting {
    records: Vec<NewRecord>,
    /// Per record its encoded length, or nothing if it is too large.
    lens: Vec<Option<usize>>,
    answer: oneshot::Sender<Appended>,
}

/// A started writer, and how to reach it.
pub(super) struct Started {
    pub(super) thread: JoinHandle<()>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) head: watch::Receiver<Position>,
    /// Why it takes nothing any more.
    pub(super) broken: Arc<OnceLock<String>>,
}

/// Starts the thread.
pub(super) fn start(
    store: Arc<Store>,
    end: End,
    clock: Arc<dyn Clock>,
) -> Result<Started, LogError> {
    let (commands, receiver) = mpsc::channel(LOG_APPEND_QUEUE_MAX);
    let (head, head_receiver) = watch::channel(end.head);
    let broken = Arc::<OnceLock<String>>::default();
    let writer = Writer {
        store,
        clock,
        commands: receiver,
        head,
        recorded_at: end.recorded_at,
        broken: Arc::clone(&broken),
    };
    let thread = thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(|| writer.run())
        .map_err(|error| LogError::Unavailable(error.to_string()))?;
    Ok(Started {
        thread,
        commands,
        head: head_receiver,
        broken,
    })
}

impl Writer {
    fn run(mut self) {
        while let Some(command) = self.commands.blocking_recv() {
            let group = self.gather(command);
            self.commit(group);
        }
    }

    /// Takes what is waiting, up to the bound of a group.
    fn gather(&mut self, first: Command) -> Vec<Waiting> {
        let mut group = Vec::new();
        let mut records_count = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append { records, answer } => {
                    records_count += records.len();
                    group.push(Waiting::new(records, answer));
                }
                // Takes no more; what is queued already is still received.
                Command::Close => self.commands.close(),
            }
            next = (records_count < LOG_GROUP_RECORDS_MAX)
                .then(|| self.commands.try_recv().ok())
                .flatten();
        }
        group
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        let head = *self.head.borrow();
        let written: u64 = group.iter().map(Waiting::fitting_count).sum();
        let result = if written == 0 {
            Ok(())
        } else {
            self.write(head, &group)
        };
        let mut position = head;
        for waiting in group {
            waiting.answer(&result, &mut position);
        }
    }

    fn write(&mut self, head: Position, group: &[Waiting]) -> Result<(), LogError> {
        if let Some(why) = self.broken.get() {
            return Err(LogError::Refusing(why.clone()));
        }
        // A clock that was set back must not put a record before an earlier one.
        let recorded_at = self.recorded_at.max(self.clock.now());
        let records = group.iter().flat_map(Waiting::fitting);
        match self.store.write(head, records, recorded_at) {
            Ok(()) => {
                let written: u64 = group.iter().map(Waiting::fitting_count).sum();
                self.recorded_at = recorded_at;
                self.head.send_replace(Position::new(head.get() + written));
                Ok(())
            }
            Err(error) => {
                if matches!(error, LogError::Unconfirmed(_)) {
                    tracing::error!(error = %error, "the log failed to commit and takes no more");
                    let why = "an earlier commit failed; start the server again".to_owned();
                    // It is set once: nothing is written after it.
                    drop(self.broken.set(why));
                }
                Err(error)
            }
        }
    }
}

impl Waiting {
    fn new(records: Vec<NewRecord>, answer: oneshot::Sender<Appended>) -> Self {
        let len = |record: &NewRecord| record.fits().then(|| codec::encoded_len(record)).flatten();
        let lens = records.iter().map(len).collect();
        Self {
            records,
            lens,
            answer,
        }
    }

    fn fitting(&self) -> impl Iterator<Item = (&NewRecord, usize)> {
        self.records
            .iter()
            .zip(&self.lens)
            .filter_map(|(record, len)| Some((record, (*len)?)))
    }

    fn fitting_count(&self) -> u64 {
        self.lens.iter().flatten().map(|_| 1).sum()
    }

    /// Answers the caller and moves the position past what was written.
    fn answer(self, result: &Result<(), LogError>, position: &mut Position) {
        let one = |len: &Option<usize>| match (len, result) {
            (None, _) => Err(LogError::TooLarge {
                bytes_max: BODY_BYTES_MAX,
            }),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(())) => {
                *position = position.next();
                Ok(*position)
            }
        };
        // A caller that no longer listens has given up waiting; its records stand.
        drop(self.answer.send(self.lens.iter().map(one).collect()));
    }
}

/// Sends records to the writer and waits for its answer.
pub(super) async fn append(commands: &mpsc::Sender<Command>, records: Vec<NewRecord>) -> Appended {
    let count = records.len();
    let all = |error: LogError| vec![Err(error); count];
    let (answer, answered) = oneshot::channel();
    if commands
        .send(Command::Append { records, answer })
        .await
        .is_err()
    {
        return all(closed());
    }
    answered.await.unwrap_or_else(|_| {
        all(LogError::Unconfirmed(
            "the log's writer stopped before it answered".to_owned(),
        ))
    })
}
