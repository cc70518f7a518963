//! Reads the stream through one consumer after another. Each starts after the last record that the tail
//! returned.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Shared;
use super::open::{NotOpened, Opened, Opening, open};
use super::pull::{Doubt, Pull};
use crate::domain::{Position, backoff};
use crate::log::{LogError, Record, Tail};

/// The first and the longest pause after a failed attempt.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(2_560);
/// How often the connection may break before the next record arrives. After that, the tail assumes that
/// the record breaks it.
const LOSSES_MAX: u32 = 2;

/// A reader. `after` is the last position that it has returned.
pub(super) struct JetStreamTail {
    shared: Arc<Shared>,
    after: Position,
    stage: Stage,
    /// The number of attempts since the last record that returned no record.
    failures: u32,
    /// How many of these ended because the connection broke.
    losses: u32,
}

enum Stage {
    /// Lives longer than one call, so a caller that often drops the future does not start it again.
    Opening(BoxFuture<'static, Result<Opened, NotOpened>>),
    Open(Box<Pull>),
}

impl JetStreamTail {
    /// Starts to read after a position.
    pub(super) fn new(shared: Arc<Shared>, after: Position) -> Self {
        let opening = Opening {
            after,
            ..Opening::default()
        };
        let stage = Stage::Opening(open(Arc::clone(&shared), opening).boxed());
        Self {
            shared,
            after,
            stage,
            failures: 0,
            losses: 0,
        }
    }

    async fn next_records(&mut self, records_max: usize) -> Result<Vec<Record>, LogError> {
        loop {
            match &mut self.stage {
                Stage::Opening(opening) => match opening.await {
                    Ok(Opened::Pull(pull)) => self.stage = Stage::Open(pull),
                    Ok(Opened::Rescued(records)) => {
                        tracing::warn!(
                            position = %self.after.next(),
                            "read a message by its position, because its delivery breaks the \
                             connection"
                        );
                        return Ok(self.hand_over(records));
                    }
                    Err(NotOpened::Final(error)) => {
                        self.reopen(None);
                        return Err(error);
                    }
                    Err(NotOpened::Later(why)) => self.fail(&why, None),
                },
                Stage::Open(pull) => match pull.next(records_max).await {
                    Ok(records) => {
                        self.shared.note_head(pull.head());
                        self.after = records.last().map_or(self.after, |last| last.position);
                        return Ok(records);
                    }
                    Err(doubt) => self.doubt(&doubt),
                },
            }
        }
    }

    fn hand_over(&mut self, records: Vec<Record>) -> Vec<Record> {
        self.after = records.last().map_or(self.after, |last| last.position);
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
            Doubt::Lost | Doubt::Silent | Doubt::Ended(_) => None,
        };
        self.fail(&format!("{doubt:?}"), jumped_to);
    }

    fn fail(&mut self, why: &str, jumped_to: Option<Position>) {
        if self.failures == 0 {
            tracing::warn!(why, position = %self.after, "reading was interrupted; trying again");
        }
        self.failures = self.failures.saturating_add(1);
        self.reopen(jumped_to);
    }

    fn reopen(&mut self, jumped_to: Option<Position>) {
        let rescue = LOSSES_MAX <= self.losses;
        let opening = Opening {
            after: self.after,
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
