//! Reads the stream through one consumer after another. Each starts after the last record that the tail
//! returned.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::open::{NotOpened, Opened, Opening, check_stream, open, position_of};
use super::pull::{Doubt, Pull};
use super::{DOUBT_MAX, Shared};
use crate::domain::{Position, WithCauses, backoff};
use crate::log::{LogError, Record, Tail};

/// The first and the longest pause after a failed attempt.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(2_560);
/// How often to check that the stream still has what was read.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the connection may break before the next record arrives. After that, the tail assumes that
/// the record breaks it.
const LOSSES_MAX: u32 = 2;

/// A reader.
pub(super) struct JetStreamTail {
    shared: Arc<Shared>,
    /// The last record that was read: returned by this tail, or by an earlier one.
    last: Option<Record>,
    stage: Stage,
    /// Checks at intervals, while a consumer is open, that the stream still has what was read. An
    /// operator can erase records without ending the consumer.
    check: BoxFuture<'static, Result<(), NotOpened>>,
    /// Since when records seem to be missing.
    doubtful_since: Option<Instant>,
    /// The number of attempts since the last record that returned no record.
    failures: u32,
    /// How many of these ended because the connection broke.
    losses: u32,
    /// Whether the last attempt read by position, because no consumer was created.
    by_position: bool,
}

enum Stage {
    /// Lives longer than one call, so a caller that often drops the future does not start it again.
    Opening(BoxFuture<'static, Result<Opened, NotOpened>>),
    Open(Box<Pull>),
}

/// What a tail waits for.
enum Event {
    Next(Result<Vec<Record>, Doubt>),
    Checked(Result<(), NotOpened>),
}

async fn check_later(shared: Arc<Shared>, last: Option<Record>) -> Result<(), NotOpened> {
    sleep(CHECK_INTERVAL).await;
    check_stream(&shared, last.as_ref()).await
}

impl JetStreamTail {
    /// Starts to read after a record, or at the beginning.
    pub(super) fn new(shared: Arc<Shared>, last: Option<Record>) -> Self {
        let opening = Opening {
            last: last.clone(),
            ..Opening::default()
        };
        let stage = Stage::Opening(open(Arc::clone(&shared), opening).boxed());
        let check = check_later(Arc::clone(&shared), last.clone()).boxed();
        Self {
            shared,
            last,
            stage,
            check,
            doubtful_since: None,
            failures: 0,
            losses: 0,
            by_position: false,
        }
    }

    async fn next_records(&mut self, records_max: usize) -> Result<Vec<Record>, LogError> {
        loop {
            match &mut self.stage {
                Stage::Opening(opening) => match opening.await {
                    Ok(Opened::Pull(pull)) => {
                        self.doubtful_since = None;
                        self.shared.doubt(false);
                        self.by_position = false;
                        self.stage = Stage::Open(pull);
                    }
                    Ok(Opened::Rescued(records)) => {
                        tracing::warn!(
                            position = %self.after().next(),
                            "read a message by its position, because its delivery breaks the \
                             connection"
                        );
                        return Ok(self.hand_over(records));
                    }
                    Ok(Opened::ByPosition(records, why)) => {
                        self.doubtful_since = None;
                        self.shared.doubt(false);
                        if !self.by_position {
                            tracing::warn!(why, "no consumer was created; reading by position");
                            self.by_position = true;
                        }
                        let records = self.hand_over(records);
                        if !records.is_empty() {
                            return Ok(records);
                        }
                    }
                    Err(NotOpened::Final(error)) => {
                        self.reopen(None);
                        return Err(error);
                    }
                    Err(NotOpened::Doubtful(error)) => self.ask_again(error)?,
                    Err(NotOpened::Later(why)) => {
                        // Only answers without a failure between them count as one doubt.
                        self.doubtful_since = None;
                        self.fail(&why, None);
                    }
                },
                Stage::Open(pull) => {
                    let event = tokio::select! {
                        next = pull.next(records_max) => Event::Next(next),
                        checked = &mut self.check => Event::Checked(checked),
                    };
                    match event {
                        Event::Next(Ok(records)) => {
                            self.shared.note_head(pull.head());
                            self.remember(&records);
                            return Ok(records);
                        }
                        Event::Next(Err(doubt)) => self.doubt(&doubt),
                        Event::Checked(checked) => self.checked(checked)?,
                    }
                }
            }
        }
    }

    fn checked(&mut self, checked: Result<(), NotOpened>) -> Result<(), LogError> {
        self.check = check_later(Arc::clone(&self.shared), self.last.clone()).boxed();
        match checked {
            Ok(()) => Ok(()),
            Err(NotOpened::Final(error)) => Err(error),
            Err(NotOpened::Doubtful(error)) => self.ask_again(error),
            Err(NotOpened::Later(why)) => {
                tracing::debug!(why, "the stream could not be checked");
                Ok(())
            }
        }
    }

    /// Opens another consumer after an answer that may come from a server that lags behind. Fails once
    /// the servers have said so for a while.
    fn ask_again(&mut self, error: LogError) -> Result<(), LogError> {
        let since = *self.doubtful_since.get_or_insert_with(Instant::now);
        if DOUBT_MAX <= since.elapsed() {
            self.reopen(None);
            return Err(error);
        }
        self.shared.doubt(true);
        self.fail(&WithCauses(&error).to_string(), None);
        Ok(())
    }

    fn after(&self) -> Position {
        position_of(self.last.as_ref())
    }

    fn remember(&mut self, records: &[Record]) {
        self.shared.recent.keep(records);
        if let Some(last) = records.last() {
            self.last = Some(last.clone());
        }
    }

    fn hand_over(&mut self, records: Vec<Record>) -> Vec<Record> {
        self.remember(&records);
        (self.failures, self.losses) = (0, 0);
        self.reopen(None);
        records
    }

    fn doubt(&mut self, doubt: &Doubt) {
        if let Stage::Open(pull) = &self.stage
            && pull.progressed()
        {
            (self.failures, self.losses) = (0, 0);
        } else if *doubt == Doubt::Lost {
            self.losses += 1;
        }
        let jumped_to = match doubt {
            Doubt::Jumped(found) => Some(*found),
            Doubt::Lost | Doubt::Moved | Doubt::Silent | Doubt::Ended(_) => None,
        };
        self.fail(&format!("{doubt:?}"), jumped_to);
    }

    fn fail(&mut self, why: &str, jumped_to: Option<Position>) {
        if self.failures == 0 {
            tracing::warn!(why, position = %self.after(), "reading was interrupted; trying again");
        }
        self.failures = self.failures.saturating_add(1);
        self.reopen(jumped_to);
    }

    fn reopen(&mut self, jumped_to: Option<Position>) {
        let rescue = LOSSES_MAX <= self.losses;
        let opening = Opening {
            last: self.last.clone(),
            pause: pause(self.failures),
            jumped_to,
            rescue,
        };
        self.stage = Stage::Opening(open(Arc::clone(&self.shared), opening).boxed());
    }
}

impl Tail for JetStreamTail {
    fn next(&mut self, records_max: usize) -> BoxFuture<'_, Result<Vec<Record>, LogError>> {
        self.next_records(records_max).boxed()
    }
}

/// Returns the pause before an attempt: zero before the first two.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(retries) => backoff(retries, PAUSE_MIN, PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_attempts_grows_to_a_bound() {
        assert_eq!(pause(0), Duration::ZERO);
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(2), PAUSE_MIN);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
