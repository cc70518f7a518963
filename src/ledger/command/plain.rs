//! Commands without tokens, for clients that know neither those nor idempotency keys.
//!
//! What such a client cannot repeat safely, the ledger repeats: as long as the log does not say
//! whether it has an event, the same event is given to it again, and the fold tells the copies.

use crate::domain::limits::UNCONFIRMED_TRIES_MAX;
use crate::domain::{EventType, Private, SessionId, TenantId};
use crate::ledger::append::{AppendError, Outcome, Submission};
use crate::ledger::command::identity::Identity;
use crate::ledger::command::{By, CommandError, Commands, SessionDone, Step, submission};
use crate::log::LogError;
use crate::wire::command::CommandBody;

impl Commands {
    /// Opens a session without tokens, for an agent that becomes known by it if it is not yet.
    /// Body: data of `session.created`, and `session_id` if the caller wants to choose it.
    pub async fn open(&self, by: By<'_>, body: &[u8]) -> Result<SessionDone, CommandError> {
        let event_type = EventType::SessionCreated;
        let mut body = CommandBody::parse(body, event_type, &["session_id"])?;
        self.spell_as_known(&by, &mut body)?;
        let ids = Identity::of("open", "", &by);
        let session = body.take_id("session_id", SessionId::parse)?;
        let session = session.unwrap_or_else(|| ids.session());
        let private = Private {
            agent: by.agent.cloned(),
            ..Private::default()
        };
        let step = Step::new(by, event_type, session.as_str(), &ids);
        let outcome = self.give_plain(step, body, &private).await?;
        Ok(done(session, outcome))
    }

    /// Notes a sign of life, without a token. Body: data of `session.refreshed`.
    pub async fn note(
        &self,
        by: By<'_>,
        session: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let call = ("note", EventType::SessionRefreshed);
        self.to_existing(call, by, session, body).await
    }

    /// Ends a session, or deletes one that has ended. Body: data of `session.terminated`.
    pub async fn end(
        &self,
        by: By<'_>,
        session: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let call = ("end", EventType::SessionTerminated);
        self.to_existing(call, by, session, body).await
    }

    async fn to_existing(
        &self,
        (call, event_type): (&str, EventType),
        by: By<'_>,
        session: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let body = CommandBody::parse(body, event_type, &[])?;
        let session = &self.known_session(&by, session)?;
        let ids = Identity::of(call, session.as_str(), &by);
        let private = Private::of_existing(by.agent);
        let step = Step::new(by, event_type, session.as_str(), &ids);
        let outcome = self.give_plain(step, body, &private).await?;
        Ok(done(session.clone(), outcome))
    }

    /// The same of several, each by an event of its own.
    pub async fn end_each(
        &self,
        by: By<'_>,
        sessions: &[SessionId],
        body: &[u8],
    ) -> Result<Vec<SessionDone>, CommandError> {
        let event_type = EventType::SessionTerminated;
        let private = Private::of_existing(by.agent);
        let rules = self.ledger.rules();
        let mut events = Vec::with_capacity(sessions.len());
        for session in sessions {
            let body = CommandBody::parse(body, event_type, &[])?;
            let ids = Identity::of("end", session.as_str(), &by);
            let step = Step::new(by, event_type, session.as_str(), &ids);
            events.push(submission(rules, step, body, &private)?);
        }
        let outcomes = self.append_surely(by.tenant, events).await?;
        let pairs = sessions.iter().cloned().zip(outcomes);
        Ok(pairs
            .map(|(session, outcome)| done(session, outcome))
            .collect())
    }

    async fn give_plain(
        &self,
        step: Step<'_>,
        body: CommandBody<'_>,
        private: &Private,
    ) -> Result<Outcome, CommandError> {
        let event = submission(self.ledger.rules(), step, body, private)?;
        let outcomes = self.append_surely(step.by.tenant, vec![event]).await?;
        let outcome = outcomes.into_iter().next();
        Ok(outcome.ok_or(AppendError::Stopped)?)
    }

    /// Appends events until the log says that it has them or that it has not. All of them again, if it
    /// is in doubt of some: the fold knows the copies, and they are few.
    async fn append_surely(
        &self,
        tenant: &TenantId,
        events: Vec<Submission>,
    ) -> Result<Vec<Outcome>, CommandError> {
        let mut doubt = None;
        for _ in 0..UNCONFIRMED_TRIES_MAX {
            match (self.append_all(tenant, events.clone()).await, &doubt) {
                (Ok(outcomes), _) => return Ok(outcomes),
                (Err(CommandError::Log(LogError::Unconfirmed(why))), _) => {
                    doubt = Some(LogError::Unconfirmed(why));
                }
                (Err(error), None) => return Err(error),
                // That this try wrote nothing says nothing of those before.
                (Err(_), Some(_)) => {}
            }
        }
        Err(doubt.unwrap_or(LogError::Overtaken).into())
    }

    /// All or none: if the log has taken some of the events, it is in doubt about the whole.
    async fn append_all(
        &self,
        tenant: &TenantId,
        events: Vec<Submission>,
    ) -> Result<Vec<Outcome>, CommandError> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut failure = None;
        for one in self.ledger.append_and_wait(tenant, events).await? {
            match one {
                Ok(outcome) => outcomes.push(outcome),
                Err(error @ LogError::Unconfirmed(_)) => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Ok(outcomes),
            Some(error @ LogError::Unconfirmed(_)) => Err(error.into()),
            Some(error) if outcomes.is_empty() => Err(error.into()),
            Some(error) => Err(LogError::unconfirmed(error).into()),
        }
    }
}

/// What a step that gives no tokens came to.
pub(super) fn done(session: SessionId, outcome: Outcome) -> SessionDone {
    SessionDone {
        session,
        outcome,
        tokens: None,
    }
}
