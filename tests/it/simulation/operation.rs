//! What clients of the simulated nodes do, and what they learn.

use bytes::Bytes;
use fastrand::Rng;
use session_ledger::domain::agent::{AgentProfile, AgentTexts};
use session_ledger::domain::command::{
    AgentChange, HandOff, KeepOpen, NewAgent, NewSession, PresentedToken, Refresh, Terminate,
};
use session_ledger::domain::event::{Created, Deadline, Refreshed, Renewal};
use session_ledger::domain::session::{Outcome, Profile};
use session_ledger::domain::{AgentId, Metadata, Position, SessionId, TenantId, Verdict};
use session_ledger::ledger::command::{CommandError, SessionDone};
use session_ledger::ledger::{
    AppendError, By, ClientKind, Commands, Emitter, IdempotencyKey, Ledger, Receipt, Submission,
};
use session_ledger::log::{EventLog, LogError, NewRecord};

use crate::fold::history::TICK_US;

/// An operation that a client can repeat at any node.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A runtime publishes on the log itself.
    Publish(NewRecord),
    /// A runtime sends an event through a node.
    Emit(TenantId, Bytes),
    /// A client gives a command, with an idempotency key.
    Command(TenantId, IdempotencyKey, Box<Command>),
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Create(NewSession, ClientKind),
    Refresh(SessionId, Refresh),
    KeepOpen(SessionId, KeepOpen),
    HandOff(SessionId, HandOff),
    Terminate(SessionId, Terminate),
    End(SessionId, Terminate),
    Register(NewAgent),
    Change(AgentId, AgentChange),
}

/// What a client has learned in the end.
#[derive(Debug, Clone)]
pub(crate) enum Learned {
    /// The event is on the log.
    Stored(Position),
    /// The event is on the log, with this verdict.
    Judged(Position, Verdict, Option<Token>),
    /// The client does not know, or knows that nothing was written.
    Nothing(#[expect(dead_code, reason = "the trace prints it")] String),
    /// An answer that no fault of the log explains.
    Wrong(String),
}

/// The refresh token of a session.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) session: SessionId,
    pub(crate) refresh: String,
}

impl Operation {
    /// The body of the event, if the client made it.
    pub(crate) fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Publish(record) => Some(&record.body),
            Self::Emit(_, body) => Some(body),
            Self::Command(..) => None,
        }
    }

    pub(crate) async fn publish(record: NewRecord, log: &dyn EventLog) -> Learned {
        match log.append(vec![record]).await.pop() {
            Some(Ok(position)) => Learned::Stored(position),
            Some(Err(error)) => Learned::Nothing(error.to_string()),
            None => Learned::Wrong("the log gave no answer".to_owned()),
        }
    }

    /// Performs an operation at a node.
    pub(crate) async fn perform(self, ledger: Ledger, commands: Commands) -> Learned {
        match self {
            Self::Publish(record) => Learned::Wrong(format!("not at a node: {record:?}")),
            Self::Emit(tenant, body) => emit(&ledger, &tenant, body).await,
            Self::Command(tenant, key, command) => {
                let by = By {
                    tenant: &tenant,
                    actor: Some("key-1"),
                    agent: None,
                    retry: Some(&key),
                };
                match command.give(&commands, by).await {
                    Ok((receipt, token)) => learned(&receipt, token),
                    Err(error) => refused(&error),
                }
            }
        }
    }
}

async fn emit(ledger: &Ledger, tenant: &TenantId, body: Bytes) -> Learned {
    let emitter = Emitter {
        tenant,
        credential: Some("key-1"),
    };
    let event = match Submission::check(ledger.rules(), emitter, body) {
        Ok(event) => event,
        Err(error) => return Learned::Wrong(format!("a valid event was rejected: {error}")),
    };
    let turn = match ledger.turn().await {
        Ok(turn) => turn,
        Err(error) => return refused(&CommandError::Append(error)),
    };
    match turn.append_and_wait(tenant, vec![event]).await {
        Ok(mut receipts) => match receipts.pop() {
            Some(Ok(receipt)) => learned(&receipt, None),
            Some(Err(error)) => Learned::Nothing(error.to_string()),
            None => Learned::Wrong("the ledger gave no answer".to_owned()),
        },
        Err(error) => refused(&CommandError::Append(error)),
    }
}

fn learned(receipt: &Receipt, token: Option<Token>) -> Learned {
    match receipt.verdict {
        Some(row) => Learned::Judged(receipt.position, row.verdict, token),
        None => Learned::Stored(receipt.position),
    }
}

fn refused(error: &CommandError) -> Learned {
    let text = format!("{error:?}");
    match error {
        CommandError::Log(
            LogError::Unavailable(_) | LogError::Unconfirmed(_) | LogError::Refusing(_),
        )
        | CommandError::Append(
            AppendError::Behind(_) | AppendError::Starting | AppendError::Stopped,
        ) => Learned::Nothing(text),
        _ => Learned::Wrong(text),
    }
}

impl Command {
    async fn give(
        self,
        commands: &Commands,
        by: By<'_>,
    ) -> Result<(Receipt, Option<Token>), CommandError> {
        let of_session = |done: SessionDone| {
            let SessionDone {
                session,
                receipt,
                tokens,
            } = done;
            let token = tokens.map(|tokens| Token {
                session,
                refresh: tokens.refresh.reveal().to_owned(),
            });
            (receipt, token)
        };
        Ok(match self {
            Self::Create(new, kind) => of_session(commands.create(by, new, kind).await?),
            Self::Refresh(id, refresh) => of_session(commands.refresh(by, &id, refresh).await?),
            Self::KeepOpen(id, keep) => of_session(commands.keep_open(by, &id, keep).await?),
            Self::HandOff(id, to) => of_session(commands.hand_off(by, &id, to).await?),
            Self::Terminate(id, end) => of_session(commands.terminate(by, &id, end).await?),
            Self::End(id, end) => of_session(commands.end(by, &id, end).await?),
            Self::Register(new) => (commands.register_agent(by, new).await?.receipt, None),
            Self::Change(id, change) => {
                let done = commands.change_agent(by, &id, change).await?;
                if let Some(revocation) = done.revocation
                    && revocation
                        .settled_position
                        .is_some_and(|at| at < done.receipt.position)
                    && done
                        .receipt
                        .verdict
                        .is_some_and(|row| row.verdict == Verdict::Applied)
                {
                    panic!("a revocation that had settled before it was written");
                }
                (done.receipt, None)
            }
        })
    }

    /// Draws a command.
    pub(crate) fn draw(rng: &mut Rng, token: impl FnOnce(&SessionId) -> Option<String>) -> Self {
        let session = session(rng);
        match rng.u8(..20) {
            0..7 => {
                let kind = if rng.u8(..3) == 0 {
                    ClientKind::Full
                } else {
                    ClientKind::Simple
                };
                Self::Create(new_session(rng, session), kind)
            }
            7..10 => match token(&session) {
                Some(token) => {
                    let presented = PresentedToken::new(token).unwrap();
                    let refreshed = refreshed(rng);
                    Self::Refresh(
                        session,
                        Refresh {
                            presented,
                            refreshed,
                        },
                    )
                }
                None => Self::KeepOpen(
                    session,
                    KeepOpen {
                        refreshed: refreshed(rng),
                    },
                ),
            },
            10..12 => Self::KeepOpen(
                session,
                KeepOpen {
                    refreshed: refreshed(rng),
                },
            ),
            12 => {
                let child = SessionId::parse(&format!("c{}", rng.u8(..6))).unwrap();
                Self::HandOff(
                    session,
                    HandOff {
                        to: agent(rng),
                        child: Some(child),
                        scopes: None,
                        metadata: Metadata::default(),
                        deadline: deadline(rng),
                        reason: None,
                    },
                )
            }
            13 => Self::Terminate(session, terminate(rng)),
            14 => Self::End(session, terminate(rng)),
            15 | 16 => Self::Register(NewAgent {
                id: Some(agent(rng)),
                profile: profile(rng),
            }),
            17 => Self::Change(agent(rng), AgentChange::Update(Box::new(profile(rng)))),
            18 => {
                let reason = None;
                let change = if rng.bool() {
                    AgentChange::Suspend { reason }
                } else {
                    AgentChange::Reinstate { reason }
                };
                Self::Change(agent(rng), change)
            }
            _ => Self::Change(agent(rng), AgentChange::Revoke { reason: None }),
        }
    }
}

fn session(rng: &mut Rng) -> SessionId {
    SessionId::parse(&format!("s{}", rng.u8(..12))).unwrap()
}

fn agent(rng: &mut Rng) -> AgentId {
    AgentId::parse(&format!("a{}", rng.u8(..6))).unwrap()
}

fn new_session(rng: &mut Rng, id: SessionId) -> NewSession {
    let created = Created {
        deadline: deadline(rng),
        // The naive model knows only this user.
        profile: Profile {
            user_id: Some("u1".into()),
            ..Profile::default()
        },
        ..Created::new(agent(rng))
    };
    NewSession {
        id: Some(id),
        created,
    }
}

fn deadline(rng: &mut Rng) -> Option<Deadline> {
    let ticks = rng.i64(1..6);
    rng.bool().then_some(Deadline::After(ticks * TICK_US))
}

fn refreshed(rng: &mut Rng) -> Refreshed {
    let renewal = match rng.u8(..3) {
        0 => None,
        1 => Some(Renewal::ByTtl),
        _ => deadline(rng).map(Renewal::To),
    };
    Refreshed {
        renewal,
        ..Refreshed::default()
    }
}

fn terminate(rng: &mut Rng) -> Terminate {
    let outcomes = [
        None,
        Some(Outcome::Completed),
        Some(Outcome::Error),
        Some(Outcome::Deleted),
    ];
    Terminate {
        outcome: outcomes[rng.usize(..outcomes.len())],
        reason: None,
    }
}

fn profile(rng: &mut Rng) -> AgentProfile {
    let texts = AgentTexts {
        agent_type: rng.bool().then(|| "worker".into()),
        trust_level: rng.bool().then(|| "low".into()),
        ..AgentTexts::default()
    };
    AgentProfile {
        texts,
        ..AgentProfile::default()
    }
}
