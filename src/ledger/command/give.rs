//! Gives the event of a command to the log, once or until the log confirms it.

use crate::domain::event::Writer;
use crate::domain::limits::UNCONFIRMED_TRIES_MAX;
use crate::domain::{Event, Payload, Position, Private, Rules, Source, TenantId, Verdict};
use crate::ledger::append::{Receipt, Submission, SubmissionError, Turn};
use crate::ledger::command::identity::Identity;
use crate::ledger::command::{By, CommandError, Commands};
use crate::log::LogError;
use crate::wire::{Notes, private, source};

/// The event of a command, and who gives the command.
pub(super) struct Step<'a> {
    pub(super) by: By<'a>,
    pub(super) event: Event,
    /// Why, for people.
    reason: Option<Box<str>>,
}

impl<'a> Step<'a> {
    /// An event with the id that the command has; `private` is what the command requires.
    pub(super) fn new(by: By<'a>, ids: Identity, payload: Payload, private: Private) -> Self {
        let event = Event {
            writer: Writer::Ledger,
            id: ids.event,
            source: Source::parse(source::API).expect("a constant that is a source"),
            time: None,
            payload,
            private,
        };
        Self {
            by,
            event,
            reason: None,
        }
    }

    /// Adds the reason that the client gave.
    #[must_use]
    pub(super) fn because(self, reason: Option<Box<str>>) -> Self {
        Self { reason, ..self }
    }

    fn submission(&self, rules: Rules) -> Result<Submission, SubmissionError> {
        let By { tenant, actor, .. } = self.by;
        let reason = self.reason.as_deref();
        Submission::of_values(rules, tenant, &self.event, Notes { actor, reason })
    }
}

impl Commands {
    /// Appends the event of a command once. Its client retries with the same idempotency key.
    pub(super) async fn give(&self, step: Step<'_>) -> Result<Receipt, CommandError> {
        let turn = self.ledger.turn().await?;
        self.give_in(&turn, step).await
    }

    /// Like [`give`](Self::give), in a turn that the command has and keeps.
    pub(super) async fn give_in(
        &self,
        turn: &Turn<'_>,
        step: Step<'_>,
    ) -> Result<Receipt, CommandError> {
        let event = step.submission(self.ledger.rules())?;
        let receipts = turn.append_and_wait(step.by.tenant, vec![event]);
        let receipt = only(receipts.await?)?;
        if let Some(Verdict::Duplicate(first)) = receipt.verdict.map(|row| row.verdict) {
            self.check_copy(first, &step.event.private).await?;
        }
        Ok(receipt)
    }

    /// The fold recognizes duplicates by what everybody may see of them. The answer to a duplicate
    /// has the tokens of the first copy. So the duplicate must have presented the same token for
    /// the same agent, and this node must make the same tokens.
    async fn check_copy(&self, first: Position, private: &Private) -> Result<(), CommandError> {
        if *private == Private::default() {
            return Ok(());
        }
        let records = self.ledger.log().get(vec![first]).await?;
        let record = records.first().map(|record| &record.private[..]);
        // The newest rules read the private parts of all before. Who wrote them does not matter: a
        // command's id is its credential's own, and the first rules noted no writer.
        let given = record.and_then(|bytes| private::decode(Rules::LATEST, bytes));
        let given = given.unwrap_or_default().without_writer();
        let tokens = given.tokens;
        let same_tokens = Private {
            tokens: private.tokens,
            ..given
        };
        if same_tokens != *private {
            return Err(CommandError::Reused(first));
        }
        if tokens != private.tokens {
            return Err(CommandError::OtherSecret(first));
        }
        Ok(())
    }

    /// Appends the event of a command until the log says that it has it or that it has not. For
    /// clients that do not retry: the fold drops the copies.
    pub(super) async fn give_surely(&self, step: Step<'_>) -> Result<Receipt, CommandError> {
        let receipts = self.give_each_surely(step.by.tenant, vec![step]).await?;
        Ok(only(receipts))
    }

    /// Appends the events of several commands of a tenant in the same way. If the log is in doubt
    /// of some, all are appended again: the copies are few.
    pub(super) async fn give_each_surely(
        &self,
        tenant: &TenantId,
        steps: Vec<Step<'_>>,
    ) -> Result<Vec<Receipt>, CommandError> {
        let rules = self.ledger.rules();
        let events = steps.iter().map(|step| step.submission(rules));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let turn = self.ledger.turn().await?;
        let mut doubt = None;
        for _ in 0..UNCONFIRMED_TRIES_MAX {
            match (append_all(&turn, tenant, events.clone()).await, &doubt) {
                (Ok(receipts), _) => return Ok(receipts),
                (Err(CommandError::Log(LogError::Unconfirmed(why))), _) => {
                    doubt = Some(LogError::Unconfirmed(why));
                }
                (Err(error), None) => return Err(error),
                // An earlier attempt may still have been written.
                (Err(_), Some(_)) => {}
            }
        }
        let doubt = doubt.expect("there is a try, and each returns or leaves a doubt");
        Err(doubt.into())
    }
}

/// Appends all or none: if the log has taken some of the events, it is in doubt about all of
/// them.
async fn append_all(
    turn: &Turn<'_>,
    tenant: &TenantId,
    events: Vec<Submission>,
) -> Result<Vec<Receipt>, CommandError> {
    let mut receipts = Vec::with_capacity(events.len());
    let mut failure = None;
    for one in turn.append_and_wait(tenant, events).await? {
        match one {
            Ok(receipt) => receipts.push(receipt),
            Err(error @ LogError::Unconfirmed(_)) => failure = Some(error),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        None => Ok(receipts),
        Some(error @ LogError::Unconfirmed(_)) => Err(error.into()),
        Some(error) if receipts.is_empty() => Err(error.into()),
        Some(error) => Err(LogError::unconfirmed(error).into()),
    }
}

/// Returns the receipt of the only record of an append.
fn only<T>(receipts: Vec<T>) -> T {
    let receipt = receipts.into_iter().next();
    receipt.expect("the log answers for each record of an append")
}
