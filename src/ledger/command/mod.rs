//! Commands: each is one event on the ledger's own subject, answered with the fold's verdict on it.
//!
//! What a command demands of the state that it meets (the session is open, the refresh token is the
//! latest, the agent is the credential's) rides in the private part of its record, and the fold
//! alone decides. So of two that race, both learn the truth.
//!
//! Events carry no time: the log's own is taken. A retry is then the same bytes, and the fold finds
//! the copy.

mod identity;
mod plain;

use std::sync::Arc;

use crate::domain::event::Writer;
use crate::domain::limits::TOKEN_CHARS_MAX;
use crate::domain::{
    AgentId, EventId, EventType, Position, Private, Reason, Rules, SessionId, Source, TenantId,
    Verdict,
};
use crate::ledger::append::{AppendError, Ledger, Outcome, Refused, Submission};
use crate::ledger::tokens::{self, TokenSecret, Tokens};
use crate::log::LogError;
use crate::projection::StoreError;
use crate::query;
use crate::wire::command::{CommandBody, refused};
use crate::wire::{Envelope, Subject, Undecodable, private, source};
use identity::Identity;

pub use identity::{IdempotencyKey, NotAKey};

/// The commands of a ledger.
#[derive(Clone)]
pub struct Commands {
    ledger: Ledger,
    secret: Arc<TokenSecret>,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Whose sessions and agents it is about.
    pub tenant: &'a TenantId,
    /// Names the credential; the event says it.
    pub actor: Option<&'a str>,
    /// The only agent that the credential speaks for.
    pub agent: Option<&'a AgentId>,
    /// Makes a retry of the command safe.
    pub retry: Option<&'a IdempotencyKey>,
}

/// What became of a command about a session.
#[derive(Debug, Clone)]
pub struct SessionDone {
    /// The session that the answer is about: for a hand-off, the child.
    pub session: SessionId,
    /// Its position and verdict.
    pub outcome: Outcome,
    /// Tokens that it gave out; they count if it was applied.
    pub tokens: Option<Tokens>,
}

/// What became of a command about an agent.
#[derive(Debug, Clone)]
pub struct AgentDone {
    /// The agent.
    pub agent: AgentId,
    /// Its position and verdict.
    pub outcome: Outcome,
}

/// Why a command has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not well formed. Nothing was written.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The credential speaks for one agent, and changes none. Nothing was written.
    #[error("the credential is bound to an agent, and may change its sessions alone")]
    AgentBound,
    /// What it is about cannot be looked up. Nothing was written.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The ledger takes no commands now. Nothing was written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log did not take it, or did not say so.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The idempotency key came with another command about the same session before.
    #[error("the idempotency key was used for the command at position {0}")]
    Reused(Position),
    /// It was given before, to a node with another token secret, so its tokens cannot be told again.
    #[error("the command was applied at position {0} with tokens of another secret")]
    OtherSecret(Position),
}

impl From<Undecodable> for CommandError {
    fn from(undecodable: Undecodable) -> Self {
        Self::Refused(Refused::Undecodable(undecodable))
    }
}

impl Commands {
    /// Commands that append to a ledger and make tokens with a secret.
    pub fn new(ledger: Ledger, secret: TokenSecret) -> Self {
        let secret = Arc::new(secret);
        Self { ledger, secret }
    }

    /// A secret for one purpose of somebody else's, the same on every node that shares this one's.
    pub fn secret_for(&self, purpose: &str) -> [u8; TokenSecret::BYTES] {
        self.secret.derive(purpose)
    }

    /// The session that a caller means, as events name it.
    fn known_session(&self, by: &By<'_>, id: &SessionId) -> Result<SessionId, StoreError> {
        match id.as_made() {
            Some(_) => query::known_session(&*self.ledger.snapshot()?, by.tenant, id),
            None => Ok(id.clone()),
        }
    }

    /// The agent that a caller means, as events name it.
    fn known_agent(&self, by: &By<'_>, id: &AgentId) -> Result<AgentId, StoreError> {
        match id.as_made() {
            Some(_) => query::known_agent(&*self.ledger.snapshot()?, by.tenant, id),
            None => Ok(id.clone()),
        }
    }

    /// Names the agents and sessions in a body as events do.
    fn spell_as_known(&self, by: &By<'_>, body: &mut CommandBody<'_>) -> Result<(), StoreError> {
        for name in ["agent_id", "to_agent_id"] {
            if let Some(id) = body.text(name).and_then(|text| AgentId::parse(&text).ok()) {
                body.set_text(name, self.known_agent(by, &id)?.as_str());
            }
        }
        let parent = body.text("parent_session_id");
        if let Some(id) = parent.and_then(|text| SessionId::parse(&text).ok()) {
            body.set_text("parent_session_id", self.known_session(by, &id)?.as_str());
        }
        Ok(())
    }

    /// Opens a session. Body: data of `session.created`, and `session_id` if the caller wants to
    /// choose it.
    pub async fn create(&self, by: By<'_>, body: &[u8]) -> Result<SessionDone, CommandError> {
        let event_type = EventType::SessionCreated;
        let mut body = CommandBody::parse(body, event_type, &["session_id"])?;
        self.spell_as_known(&by, &mut body)?;
        let ids = Identity::of("create", "", &by);
        let session = body.take_id("session_id", SessionId::parse)?;
        let session = session.unwrap_or_else(|| ids.session());
        if let Some(agent) = by.agent.filter(|_| !body.has("agent_id")) {
            body.add_text("agent_id", agent.as_str());
        }
        let private = Private {
            agent_registered: true,
            agent: by.agent.cloned(),
            ..Private::default()
        };
        let step = Step::new(by, event_type, session.as_str(), &ids);
        self.give_tokens(step, &session, body, private).await
    }

    /// Extends a session from now on by its time to live, unless the body says otherwise, and
    /// replaces both tokens. Body: `refresh_token`, and data of `session.refreshed`.
    pub async fn refresh(
        &self,
        by: By<'_>,
        session: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let event_type = EventType::SessionRefreshed;
        let mut body = CommandBody::parse(body, event_type, &["refresh_token"])?;
        let presented = body.take_text("refresh_token")?;
        let presented = presented.ok_or_else(|| {
            let message = "is required: the latest one that create, refresh or handoff gave out";
            refused(Reason::Invalid, "refresh_token", message)
        })?;
        if TOKEN_CHARS_MAX < presented.len() {
            let message = format!("must have at most {TOKEN_CHARS_MAX} characters");
            return Err(refused(Reason::Invalid, "refresh_token", message).into());
        }
        if !["expires_at", "ttl_seconds", "extend"]
            .iter()
            .any(|name| body.has(name))
        {
            body.add_flag("extend");
        }
        let session = &self.known_session(&by, session)?;
        let ids = Identity::of("refresh", session.as_str(), &by);
        let private = Private {
            refresh_token: Some(tokens::hash(&presented)),
            ..Private::of_existing(by.agent)
        };
        let step = Step::new(by, event_type, session.as_str(), &ids);
        self.give_tokens(step, session, body, private).await
    }

    /// Ends a session and opens its child for another agent. Body: data of `session.handed_off`; an
    /// id for the child is made unless given.
    pub async fn hand_off(
        &self,
        by: By<'_>,
        parent: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let event_type = EventType::SessionHandedOff;
        let mut body = CommandBody::parse(body, event_type, &[])?;
        self.spell_as_known(&by, &mut body)?;
        let parent = &self.known_session(&by, parent)?;
        let ids = Identity::of("handoff", parent.as_str(), &by);
        let child = body.take_id("session_id", SessionId::parse)?;
        let child = child.unwrap_or_else(|| ids.session());
        body.add_text("session_id", child.as_str());
        let private = Private {
            agent_registered: true,
            ..Private::of_existing(by.agent)
        };
        let step = Step::new(by, event_type, parent.as_str(), &ids);
        self.give_tokens(step, &child, body, private).await
    }

    /// Ends a session. Body: data of `session.terminated`.
    pub async fn terminate(
        &self,
        by: By<'_>,
        session: &SessionId,
        body: &[u8],
    ) -> Result<SessionDone, CommandError> {
        let event_type = EventType::SessionTerminated;
        let body = CommandBody::parse(body, event_type, &[])?;
        let session = &self.known_session(&by, session)?;
        let ids = Identity::of("terminate", session.as_str(), &by);
        let private = Private::of_existing(by.agent);
        let step = Step::new(by, event_type, session.as_str(), &ids);
        let outcome = self.give(step, body, &private).await?;
        Ok(plain::done(session.clone(), outcome))
    }

    /// Registers an agent. Body: data of `agent.registered`, and `agent_id` if the caller wants to
    /// choose it.
    pub async fn register(&self, by: By<'_>, body: &[u8]) -> Result<AgentDone, CommandError> {
        let event_type = EventType::AgentRegistered;
        let mut body = CommandBody::parse(body, event_type, &["agent_id"])?;
        let ids = Identity::of("register", "", &by);
        let agent = body.take_id("agent_id", AgentId::parse)?;
        let agent = agent.unwrap_or_else(|| ids.agent());
        let step = Step::new(by, event_type, agent.as_str(), &ids);
        let outcome = self.give_on_agent(step, body).await?;
        Ok(AgentDone { agent, outcome })
    }

    /// Changes an agent, or its status. Body: data of the event.
    pub async fn change_agent(
        &self,
        by: By<'_>,
        change: AgentChange,
        agent: AgentId,
        body: &[u8],
    ) -> Result<AgentDone, CommandError> {
        let (event_type, name) = match change {
            AgentChange::Update => (EventType::AgentUpdated, "update"),
            AgentChange::Suspend => (EventType::AgentSuspended, "suspend"),
            AgentChange::Reinstate => (EventType::AgentReinstated, "reinstate"),
            AgentChange::Revoke => (EventType::AgentRevoked, "revoke"),
        };
        let body = CommandBody::parse(body, event_type, &[])?;
        body.refuse_nulls()?;
        if change == AgentChange::Update && body.is_empty() {
            let message = "must name at least one field to change";
            return Err(refused(Reason::Invalid, "", message).into());
        }
        let agent = self.known_agent(&by, &agent)?;
        let ids = Identity::of(name, agent.as_str(), &by);
        let step = Step::new(by, event_type, agent.as_str(), &ids);
        let outcome = self.give_on_agent(step, body).await?;
        Ok(AgentDone { agent, outcome })
    }

    /// Gives a command about an agent.
    async fn give_on_agent(
        &self,
        step: Step<'_>,
        body: CommandBody<'_>,
    ) -> Result<Outcome, CommandError> {
        // What an agent may do is for others to say.
        if step.by.agent.is_some() {
            return Err(CommandError::AgentBound);
        }
        self.give(step, body, &Private::default()).await
    }

    /// Gives a command that hands out new tokens for a session.
    async fn give_tokens(
        &self,
        step: Step<'_>,
        session: &SessionId,
        body: CommandBody<'_>,
        private: Private,
    ) -> Result<SessionDone, CommandError> {
        let tokens = self.secret.issue(step.by.tenant, session, step.event);
        let private = Private {
            tokens: Some(tokens.hashes()),
            ..private
        };
        Ok(SessionDone {
            session: session.clone(),
            outcome: self.give(step, body, &private).await?,
            tokens: Some(tokens),
        })
    }

    async fn give(
        &self,
        step: Step<'_>,
        body: CommandBody<'_>,
        private: &Private,
    ) -> Result<Outcome, CommandError> {
        let event = submission(self.ledger.rules(), step, body, private)?;
        let outcomes = self.ledger.append_and_wait(step.by.tenant, vec![event]);
        let outcome = outcomes.await?.into_iter().next();
        let outcome = outcome.ok_or(AppendError::Stopped)??;
        if let Some(Verdict::Duplicate(first)) = outcome.verdict.map(|row| row.verdict) {
            self.check_copy(first, private).await?;
        }
        Ok(outcome)
    }

    /// The fold tells copies by what everybody may see of them. A copy is answered with the tokens
    /// of the first, so it must have presented the same token for the same agent, and this node must
    /// make the same tokens.
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
}

/// The event of a step.
fn submission(
    rules: Rules,
    step: Step<'_>,
    body: CommandBody<'_>,
    private: &Private,
) -> Result<Submission, CommandError> {
    let By { tenant, actor, .. } = step.by;
    let event = Envelope {
        id: step.event,
        source: &Source::parse(source::API).expect("a constant that is a source"),
        event_type: step.event_type,
        subject: step.about,
        time: None,
        tenant: Some(tenant),
        actor,
        data: body.into_data(),
    };
    let subject = Subject::new(Writer::Ledger, tenant.clone(), step.event_type);
    let subject = subject.expect("the ledger may write events of any type");
    let private = Private {
        written_by: actor.filter(|_| Rules::V2 <= rules).map(Into::into),
        ..private.clone()
    };
    let submission = Submission::of_ledger(rules, &subject, &private, event.to_json().into());
    Ok(submission.map_err(of_request)?)
}

/// The caller knows of a request's fields, not of an event whose `data` they become.
fn of_request(mut refused: Refused) -> Refused {
    if let Refused::Undecodable(undecodable) = &mut refused {
        for error in &mut undecodable.errors {
            if let Some(field) = error.field.strip_prefix("data.") {
                error.field = field.to_owned();
            }
        }
    }
    refused
}

/// How a command changes an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentChange {
    /// Some of its fields.
    Update,
    /// It may not act until it is reinstated.
    Suspend,
    /// It may act again.
    Reinstate,
    /// It may never act again.
    Revoke,
}

/// Which event, about whom, on whose behalf.
#[derive(Clone, Copy)]
struct Step<'a> {
    by: By<'a>,
    event_type: EventType,
    about: &'a str,
    event: &'a EventId,
}

impl<'a> Step<'a> {
    fn new(by: By<'a>, event_type: EventType, about: &'a str, ids: &'a Identity) -> Self {
        Self {
            by,
            event_type,
            about,
            event: &ids.event,
        }
    }
}
