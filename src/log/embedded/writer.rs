//! Group commit: one thread writes all appends that are waiting in one durable transaction.
//!
//! An fsync costs about as much for a thousand records as for one, so concurrent callers share it. The
//! writer answers its callers and publishes the head only after the commit.
//!
//! The writer also checks guards, because only it knows what it is about to write.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};

use super::codec;
use super::refusal::Refusal;
use super::store::{End, Store};
use crate::domain::limits::{
    BODY_BYTES_MAX, LOG_APPEND_QUEUE_MAX, LOG_CLOCK_BEHIND_US_MAX, LOG_GROUP_RECORDS_MAX,
};
use crate::domain::{Clock, Position, Timestamp, WithCauses};
use crate::log::{Appended, Guard, LogError, NewRecord};
use crate::storage::Failure;

/// A job for the writer.
pub(super) enum Job {
    /// Append records.
    Append(Append),
    /// Find out whether the log accepts records again.
    Probe,
    /// Finish the jobs that are queued, then stop.
    Close,
}

/// An append that waits for its answer.
pub(super) struct Append {
    records: Vec<NewRecord>,
    /// The encoded length of each record; `None` if the record is too large.
    lens: Vec<Option<usize>>,
    guard: Option<Guard>,
    answer: oneshot::Sender<Appended>,
}

/// The state of the writer's thread.
struct Writer {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    jobs: mpsc::Receiver<Job>,
    head: watch::Sender<Position>,
    recorded_at: Timestamp,
    refusal: Arc<Refusal>,
}

/// A started writer.
pub(super) struct Started {
    pub(super) thread: JoinHandle<()>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) head: watch::Receiver<Position>,
    pub(super) refusal: Arc<Refusal>,
}

/// Starts the thread.
pub(super) fn start(
    store: Arc<Store>,
    end: End,
    clock: Arc<dyn Clock>,
) -> Result<Started, LogError> {
    let (jobs, receiver) = mpsc::channel(LOG_APPEND_QUEUE_MAX);
    let (head, head_receiver) = watch::channel(end.head);
    let refusal = Arc::<Refusal>::default();
    let writer = Writer {
        store,
        clock,
        jobs: receiver,
        head,
        recorded_at: end.recorded_at,
        refusal: Arc::clone(&refusal),
    };
    let thread = thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(|| writer.run())
        .map_err(LogError::unavailable)?;
    Ok(Started {
        thread,
        jobs,
        head: head_receiver,
        refusal,
    })
}

impl Writer {
    fn run(mut self) {
        while let Some(job) = self.jobs.blocking_recv() {
            let group = self.gather(job);
            self.commit(group);
        }
    }

    /// Takes the appends that are waiting, until a group is full.
    fn gather(&mut self, first: Job) -> Vec<Append> {
        let mut group = Vec::new();
        let mut records_count = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Append(append) => {
                    records_count += append.records.len();
                    group.push(append);
                }
                Job::Probe => self.probe(),
                // The channel accepts no more jobs, but still hands over those that are queued.
                Job::Close => self.jobs.close(),
            }
            next = (records_count < LOG_GROUP_RECORDS_MAX)
                .then(|| self.jobs.try_recv().ok())
                .flatten();
        }
        group
    }

    fn commit(&mut self, group: Vec<Append>) {
        let head = *self.head.borrow();
        let mut position = head;
        let mut admitted = Vec::with_capacity(group.len());
        for append in group {
            match self.check_guard(&append, head, &admitted) {
                Ok(()) => admitted.push(append),
                Err(error) => append.answer(&Err(error), &mut position),
            }
        }
        let written: u64 = admitted.iter().map(Append::fitting_count).sum();
        let result = if written == 0 {
            Ok(())
        } else {
            self.write(head, &admitted)
        };
        for append in admitted {
            append.answer(&result, &mut position);
        }
    }

    /// Fails as `Overtaken` if a record on the guard's subjects is in the file, or in front of this
    /// append in its group, and the caller does not know it.
    fn check_guard(
        &self,
        append: &Append,
        head: Position,
        in_front: &[Append],
    ) -> Result<(), LogError> {
        let Some(guard) = &append.guard else {
            return Ok(());
        };
        let mut in_group = in_front.iter().flat_map(Append::fitting);
        if in_group.any(|(record, _len)| guard.covers(&record.subject))
            || self.store.has_unread(guard, head)?
        {
            return Err(LogError::Overtaken);
        }
        Ok(())
    }

    fn write(&mut self, head: Position, group: &[Append]) -> Result<(), LogError> {
        self.require_writable(head)?;
        let recorded_at = self.now();
        let records = group.iter().flat_map(Append::fitting);
        match self.store.write(head, records, recorded_at) {
            Ok(()) if !self.store.is_in_place() => {
                self.refusal.give_up(LOST);
                Err(LogError::unconfirmed(LOST))
            }
            Ok(()) => {
                let written: u64 = group.iter().map(Append::fitting_count).sum();
                self.recorded_at = recorded_at;
                self.head.send_replace(Position::new(head.get() + written));
                Ok(())
            }
            Err(error) => Err(self.after_failure(head, error)),
        }
    }

    /// Fails as `Refusing` if the log cannot take records now. A head that differs from `head` means that
    /// records were found after a failure: then the caller's checks are out of date.
    fn require_writable(&mut self, head: Position) -> Result<(), LogError> {
        self.probe();
        match self.refusal.why() {
            Some(why) => Err(LogError::refusing(why)),
            None if *self.head.borrow() != head => Err(LogError::unavailable(
                "records that were thought lost were found",
            )),
            None => Ok(()),
        }
    }

    /// Finds out whether the log can take records, and opens the file again if it failed.
    fn probe(&mut self) {
        if self.refusal.is_final() {
            return;
        }
        if self.store.has_failed()
            && let Err(error) = self.reopen()
        {
            return self.refuse(error);
        }
        if self.store.has_room() {
            self.refusal.end();
        } else {
            self.refusal.wait(NO_ROOM);
        }
    }

    /// Opens the file again, and takes the head that it has.
    fn reopen(&mut self) -> Result<(), LogError> {
        match self.store.failure() {
            Some(Failure::Sync(why)) => return Err(LogError::NotSynced(why)),
            Some(failure) => tracing::warn!("the file of the log is opened again: {failure}"),
            None => {}
        }
        if !self.store.is_in_place() {
            return Err(LogError::damaged(LOST));
        }
        let end = self.store.reopen()?;
        let head = *self.head.borrow();
        if end.head < head {
            return Err(LogError::damaged(format!(
                "its file ends at position {}, although {head} was acknowledged: stop the server and \
                 restore the log from a backup",
                end.head
            )));
        }
        self.recorded_at = end.recorded_at;
        self.head.send_if_modified(|head| {
            let found = *head < end.head;
            *head = end.head;
            found
        });
        Ok(())
    }

    /// Accepts no records after an error, for as long as that error may last.
    fn refuse(&self, error: LogError) {
        match error {
            LogError::NotSynced(why) => self.refusal.not_synced(why),
            LogError::Damaged(why) => self.refusal.give_up(&WithCauses(&*why).to_string()),
            error => self.refusal.wait(&format!(
                "its file cannot be opened again: {}",
                WithCauses(&error)
            )),
        }
    }

    /// Finds out what a failed write has left, and returns the error for its callers.
    fn after_failure(&mut self, head: Position, error: LogError) -> LogError {
        tracing::error!("a write to the log failed: {}", WithCauses(&error));
        if let LogError::Damaged(_) = error {
            self.refuse(error.clone());
            return LogError::unconfirmed(error);
        }
        let failure = self.store.failure();
        match self.reopen() {
            // Nothing was written.
            Ok(()) if *self.head.borrow() == head => {
                let why = match failure {
                    Some(failure) => failure.to_string(),
                    None => WithCauses(&error).to_string(),
                };
                self.refusal.wait(&why);
                LogError::refusing(why)
            }
            Ok(()) => error,
            Err(reopening) => {
                self.refuse(reopening);
                error
            }
        }
    }

    /// The time of the next records. A clock that is a little behind the last record does not set the
    /// time back. One that is far behind does: otherwise a clock that was once a year ahead would keep
    /// every later record there.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        let behind_us = self.recorded_at.micros_since(now);
        if self.head.borrow().get() == 0 || behind_us <= LOG_CLOCK_BEHIND_US_MAX {
            return self.recorded_at.max(now);
        }
        tracing::warn!(
            "the clock is {} s behind the last record of the log: it is wrong now, or was wrong then. \
             Records get its time again, so recorded_at goes back here",
            behind_us / 1_000_000
        );
        now
    }
}

/// Why the log accepts no records on a full disk.
const NO_ROOM: &str = "its disk is full, or nearly full: make room";

/// Why the log accepts no more records after its file was removed.
pub(super) const LOST: &str = "the file of the log was removed or replaced while the server runs: its \
                               records are lost when the server stops; copy them with \
                               `session-ledger events` first";

impl Append {
    fn new(
        records: Vec<NewRecord>,
        guard: Option<Guard>,
        answer: oneshot::Sender<Appended>,
    ) -> Self {
        let len = |record: &NewRecord| record.fits().then(|| codec::encoded_len(record)).flatten();
        let lens = records.iter().map(len).collect();
        Self {
            records,
            lens,
            guard,
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

    /// Answers the caller, and moves the position past the records that were written.
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
        // Fails if the caller has stopped waiting. Its records stay on the log.
        drop(self.answer.send(self.lens.iter().map(one).collect()));
    }
}

/// Sends records to the writer and waits for its answer.
pub(super) async fn append(
    jobs: &mpsc::Sender<Job>,
    records: Vec<NewRecord>,
    guard: Option<Guard>,
) -> Appended {
    let count = records.len();
    let all = |error: LogError| vec![Err(error); count];
    let (answer, answered) = oneshot::channel();
    let append = Append::new(records, guard, answer);
    if jobs.send(Job::Append(append)).await.is_err() {
        return all(LogError::closed());
    }
    answered.await.unwrap_or_else(|_stopped| {
        all(LogError::unconfirmed(
            "the log's writer stopped before it answered",
        ))
    })
}
