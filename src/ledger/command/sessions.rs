//! Commands about sessions.

use crate::domain::command::{HandOff, KeepOpen, NewSession, Refresh, Terminate};
use crate::domain::event::{HandedOff, Terminated};
use crate::domain::{Payload, Private, SessionEvent, SessionId};
use crate::ledger::append::Receipt;
use crate::ledger::command::give::Step;
use crate::ledger::command::identity::Identity;
use crate::ledger::command::{By, ClientKind, CommandError, Commands, SessionDone};
use crate::ledger::tokens;

impl Commands {
    /// Opens a session. Idempotency keys of the two kinds of client are apart: their commands have
    /// different names.
    pub async fn create(
        &self,
        by: By<'_>,
        new: NewSession,
        client: ClientKind,
    ) -> Result<SessionDone, CommandError> {
        let NewSession { id, mut created } = new;
        created.agent_id = self.known_agent(&by, &created.agent_id)?;
        if let Some(parent) = &mut created.parent {
            *parent = self.known_session(&by, parent)?;
        }
        let (name, agent_registered) = match client {
            ClientKind::Full => ("create", true),
            ClientKind::Simple => ("open", false),
        };
        let ids = Identity::of(name, "", &by);
        let session = id.unwrap_or_else(|| ids.session());
        let private = Private {
            agent_registered,
            agent: by.agent.cloned(),
            ..Private::default()
        };
        let event = SessionEvent::Created(Box::new(created));
        let payload = Payload::Session(session.clone(), event);
        let step = Step::new(by, ids, payload, private);
        match client {
            ClientKind::Full => self.give_tokens(step, session).await,
            ClientKind::Simple => Ok(done(session, self.give_surely(step).await?)),
        }
    }

    /// Keeps a session open and replaces its tokens, if the client presents the latest refresh
    /// token.
    pub async fn refresh(
        &self,
        by: By<'_>,
        session: &SessionId,
        refresh: Refresh,
    ) -> Result<SessionDone, CommandError> {
        let session = self.known_session(&by, session)?;
        let Refresh {
            presented,
            refreshed,
        } = refresh;
        let ids = Identity::of("refresh", session.as_str(), &by);
        let private = Private {
            refresh_token: Some(tokens::hash(presented.reveal())),
            ..Private::of_existing(by.agent)
        };
        let payload = Payload::Session(session.clone(), SessionEvent::Refreshed(refreshed));
        let step = Step::new(by, ids, payload, private);
        self.give_tokens(step, session).await
    }

    /// Keeps a session open for a simple client. The tokens of the session stay, and the ledger
    /// itself repeats an append that the log did not confirm.
    pub async fn keep_open(
        &self,
        by: By<'_>,
        session: &SessionId,
        keep_open: KeepOpen,
    ) -> Result<SessionDone, CommandError> {
        let session = self.known_session(&by, session)?;
        let ids = Identity::of("note", session.as_str(), &by);
        let private = Private::of_existing(by.agent);
        let event = SessionEvent::Refreshed(keep_open.refreshed);
        let payload = Payload::Session(session.clone(), event);
        let step = Step::new(by, ids, payload, private);
        Ok(done(session, self.give_surely(step).await?))
    }

    /// Ends a session and opens its child for another agent.
    pub async fn hand_off(
        &self,
        by: By<'_>,
        parent: &SessionId,
        hand_off: HandOff,
    ) -> Result<SessionDone, CommandError> {
        let parent = self.known_session(&by, parent)?;
        let ids = Identity::of("handoff", parent.as_str(), &by);
        let child = hand_off.child.unwrap_or_else(|| ids.session());
        let event = SessionEvent::HandedOff(HandedOff {
            to: self.known_agent(&by, &hand_off.to)?,
            child: child.clone(),
            scopes: hand_off.scopes,
            metadata: hand_off.metadata,
            deadline: hand_off.deadline,
        });
        let private = Private {
            agent_registered: true,
            ..Private::of_existing(by.agent)
        };
        let step = Step::new(by, ids, Payload::Session(parent, event), private);
        let step = step.because(hand_off.reason);
        self.give_tokens(step, child).await
    }

    /// Ends a session.
    pub async fn terminate(
        &self,
        by: By<'_>,
        session: &SessionId,
        terminate: Terminate,
    ) -> Result<SessionDone, CommandError> {
        let session = self.known_session(&by, session)?;
        let ids = Identity::of("terminate", session.as_str(), &by);
        let step = terminated(by, ids, session.clone(), terminate);
        Ok(done(session, self.give(step).await?))
    }

    /// Ends a session for a simple client: the ledger itself repeats an append that the log did not
    /// confirm.
    pub async fn end(
        &self,
        by: By<'_>,
        session: &SessionId,
        terminate: Terminate,
    ) -> Result<SessionDone, CommandError> {
        let (session, step) = self.ending(by, session, terminate)?;
        Ok(done(session, self.give_surely(step).await?))
    }

    /// Ends several sessions, each by an event of its own, as [`end`](Self::end) ends one.
    pub async fn end_each(
        &self,
        by: By<'_>,
        sessions: &[SessionId],
        terminate: &Terminate,
    ) -> Result<Vec<SessionDone>, CommandError> {
        let mut ended = Vec::with_capacity(sessions.len());
        let mut steps = Vec::with_capacity(sessions.len());
        for session in sessions {
            let (session, step) = self.ending(by, session, terminate.clone())?;
            steps.push(step);
            ended.push(session);
        }
        let receipts = self.give_each_surely(by.tenant, steps).await?;
        let pairs = ended.into_iter().zip(receipts);
        Ok(pairs
            .map(|(session, receipt)| done(session, receipt))
            .collect())
    }

    fn ending<'a>(
        &self,
        by: By<'a>,
        session: &SessionId,
        terminate: Terminate,
    ) -> Result<(SessionId, Step<'a>), CommandError> {
        let session = self.known_session(&by, session)?;
        let ids = Identity::of("end", session.as_str(), &by);
        let step = terminated(by, ids, session.clone(), terminate);
        Ok((session, step))
    }

    /// Gives a command that hands out new tokens for a session.
    async fn give_tokens(
        &self,
        mut step: Step<'_>,
        session: SessionId,
    ) -> Result<SessionDone, CommandError> {
        let tokens = self.secret.issue(step.by.tenant, &session, &step.event.id);
        step.event.private.tokens = Some(tokens.hashes());
        Ok(SessionDone {
            session,
            receipt: self.give(step).await?,
            tokens: Some(tokens),
        })
    }
}

fn terminated(by: By<'_>, ids: Identity, session: SessionId, terminate: Terminate) -> Step<'_> {
    let Terminate { outcome, reason } = terminate;
    let event = SessionEvent::Terminated(Terminated { outcome });
    let private = Private::of_existing(by.agent);
    Step::new(by, ids, Payload::Session(session, event), private).because(reason)
}

/// The result of a command that gives out no tokens.
fn done(session: SessionId, receipt: Receipt) -> SessionDone {
    SessionDone {
        session,
        receipt,
        tokens: None,
    }
}
