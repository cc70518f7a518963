//! The fold: each record in log order changes the read model and gets a verdict.
//!
//! Nothing here reads a clock or depends on how records are batched. Who may do what to a session or
//! agent is decided in `domain`; this file looks things up, tells copies, and remembers.

use redb::ReadableTable;

use crate::domain::event::Created;
use crate::domain::limits::RULES_VERSION;
use crate::domain::{
    Agent, AgentEvent, AgentId, Event, EventKey, EventType, Moment, Payload, Position, Private,
    Reason, Scopes, Session, SessionEvent, SessionId, Timestamp, Verdict,
};
use crate::projection::chain;
use crate::projection::error::{FoldError, StoreError};
use crate::projection::history::Entry;
use crate::projection::keys::{self, Entity, Ordinal, TenantNumber};
use crate::projection::parking;
use crate::projection::prepare::Prepared;
use crate::projection::verdict_row::VerdictRow;
use crate::projection::working::Working;
use crate::wire::Decoded;

/// Records of the ledger itself belong to no tenant.
const NO_TENANT: TenantNumber = 0;
/// Code under which parked events are listed beside the rejected ones.
pub(crate) const PARKED_CODE: u8 = u8::MAX;

/// What a fold step decided, and about whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) subject: Option<Entity>,
    pub(crate) agent: Option<u32>,
}

/// An event in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) tenant: TenantNumber,
    pub(crate) at: Moment,
    pub(crate) key: EventKey,
    pub(crate) private: &'a Private,
    pub(crate) prepared: &'a Prepared,
}

impl Decision {
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            subject: None,
            agent: None,
        }
    }

    fn rejected(reason: Reason) -> Self {
        Self::new(Verdict::Rejected(reason))
    }

    fn about(self, subject: Entity, agent: u32) -> Self {
        Self {
            subject: Some(subject),
            agent: Some(agent),
            ..self
        }
    }
}

impl From<Result<(), Reason>> for Decision {
    fn from(result: Result<(), Reason>) -> Self {
        result.map_or_else(Self::rejected, |()| Self::new(Verdict::Applied))
    }
}

/// Folds one record.
pub(crate) fn record(working: &mut Working<'_>, prepared: &Prepared) -> Result<Verdict, FoldError> {
    let record = &prepared.record;
    let expected = working.progress.position.next();
    if record.position != expected {
        return Err(FoldError::OutOfOrder {
            expected,
            found: record.position,
        });
    }
    parking::expire(working, record.recorded_at)?;
    let (tenant, decision) = match &prepared.decoded {
        Ok(Decoded {
            tenant: Some(tenant),
            event,
        }) => {
            let tenant = working.tenant(tenant)?;
            (tenant, decide(working, tenant, event, prepared)?)
        }
        Ok(Decoded {
            tenant: None,
            event,
        }) => (NO_TENANT, rules(working, event, prepared)?),
        Err(undecodable) => {
            let tenant = match &undecodable.tenant {
                Some(tenant) => working.tenant(tenant)?,
                None => NO_TENANT,
            };
            (tenant, Decision::rejected(undecodable.reason))
        }
    };
    note(working, tenant, prepared, decision)?;
    let by = (record.position, record.recorded_at);
    // A queue, not recursion: hand-offs that waited may open a chain of sessions of any length.
    while let Some((tenant, id)) = working.opened.pop_front() {
        parking::release(working, tenant, &id, by)?;
    }
    let progress = &mut working.progress;
    progress.chain_before = progress.chain;
    progress.chain = chain::link(&progress.chain, record, &prepared.hashes);
    progress.position = record.position;
    progress.recorded_at = record.recorded_at;
    Ok(decision.verdict)
}

/// Applies an event that waited for its session, and settles its verdict.
pub(crate) fn settle(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    prepared: &Prepared,
    by: (Position, Timestamp),
) -> Result<(), FoldError> {
    let position = prepared.record.position;
    let decision = match &prepared.decoded {
        _ if parking::is_overdue(prepared.record.recorded_at, by.1) => {
            Decision::rejected(Reason::ParkingExpired)
        }
        Ok(Decoded { event, .. }) => decide(working, tenant, event, prepared)?,
        Err(undecodable) => Decision::rejected(undecodable.reason),
    };
    parking::settle_verdict(working, (tenant, position), decision, by.0)?;
    Ok(())
}

fn decide(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    event: &Event,
    prepared: &Prepared,
) -> Result<Decision, FoldError> {
    let record = &prepared.record;
    let step = Step {
        tenant,
        at: Moment::new(record.position, event.time, record.recorded_at),
        key: event.key(),
        private: &event.private,
        prepared,
    };
    match &event.payload {
        Payload::Session(id, happened) => match working.find_session(tenant, id)? {
            Some(ordinal) => on_open_session(working, &step, ordinal, happened),
            None => on_unknown_session(working, &step, id, happened),
        },
        Payload::Agent(id, happened) => on_agent(working, &step, id, happened),
        // The rules have no tenant, so decoding refuses a tenant that sends any.
        Payload::Rules { .. } => Ok(Decision::rejected(Reason::SubjectMismatch)),
    }
}

fn on_unknown_session(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
    happened: &SessionEvent,
) -> Result<Decision, FoldError> {
    if let Some(verdict) = parking::find_copy(working, step, id)? {
        return Ok(Decision::new(verdict));
    }
    match happened {
        SessionEvent::Created(created) => on_created(working, step, id, created),
        SessionEvent::Expired { .. } => Ok(Decision::rejected(Reason::NotFound)),
        SessionEvent::Refreshed(_) | SessionEvent::HandedOff(_) | SessionEvent::Terminated(_) => {
            if step.private.existing {
                return Ok(Decision::rejected(Reason::NotFound));
            }
            Ok(Decision::new(parking::park(working, step, id)?))
        }
    }
}

fn on_created(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
    created: &Created,
) -> Result<Decision, FoldError> {
    let known = working.find_agent(step.tenant, &created.agent_id)?;
    if let Err(reason) = check_agent(working, known, step.private, &created.scopes)? {
        return Ok(Decision {
            agent: known,
            ..Decision::rejected(reason)
        });
    }
    let mut session = match Session::open(&step.at, created, step.private) {
        Ok(session) => session,
        Err(reason) => {
            return Ok(Decision {
                agent: known,
                ..Decision::rejected(reason)
            });
        }
    };
    if let Some(parent) = &created.parent {
        let Some(parent) = working.find_session(step.tenant, parent)? else {
            return Ok(Decision::rejected(Reason::UnknownParent));
        };
        let parent = &working.session(parent)?.session;
        if let Err(reason) = session.cap_deadline(parent.expires_at) {
            return Ok(Decision {
                agent: known,
                ..Decision::rejected(reason)
            });
        }
    }
    let agent = find_or_add_agent(working, step, known, &created.agent_id)?;
    let ordinal = working.add_session(step.tenant, id, agent, session)?;
    remember(working, ordinal, step.at, step.key)?;
    working.opened.push_back((step.tenant, id.clone()));
    Ok(Decision::new(Verdict::Applied).about(Entity::Session(ordinal), agent))
}

fn on_open_session(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    happened: &SessionEvent,
) -> Result<Decision, FoldError> {
    let entity = Entity::Session(ordinal);
    let stored = working.session(ordinal)?;
    let agent = stored.agent;
    if let Some(first) = stored.history.find(entity, step.key, &working.tables)? {
        return Ok(Decision::new(copy_or_reuse(working, step, first)?).about(entity, agent));
    }
    let decision = match happened {
        SessionEvent::Created(_) => Decision::rejected(Reason::AlreadyExists),
        SessionEvent::HandedOff(_) => return on_handed_off(working, step, ordinal, happened),
        SessionEvent::Refreshed(refreshed) => {
            let (stored, _) = working.session_mut(ordinal)?;
            stored
                .session
                .refresh(&step.at, refreshed, step.private)
                .into()
        }
        SessionEvent::Terminated(terminated) => {
            let (stored, _) = working.session_mut(ordinal)?;
            stored.session.terminate(&step.at, *terminated).into()
        }
        SessionEvent::Expired { expires_at } => {
            let (stored, _) = working.session_mut(ordinal)?;
            stored.session.expire(&step.at, *expires_at).into()
        }
    };
    if decision.verdict == Verdict::Applied {
        remember(working, ordinal, step.at, step.key)?;
    }
    Ok(decision.about(entity, agent))
}

fn on_handed_off(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    happened: &SessionEvent,
) -> Result<Decision, FoldError> {
    let SessionEvent::HandedOff(handed_off) = happened else {
        return Ok(Decision::rejected(Reason::Invalid));
    };
    let entity = Entity::Session(ordinal);
    let parent_agent = working.session(ordinal)?.agent;
    let refuse = |reason| Ok(Decision::rejected(reason).about(entity, parent_agent));
    // The parent's own state is the better answer when more than one thing is wrong.
    if let Err(reason) = working.session(ordinal)?.session.check_usable(&step.at) {
        return refuse(reason);
    }
    if working
        .find_session(step.tenant, &handed_off.child)?
        .is_some()
    {
        return refuse(Reason::AlreadyExists);
    }
    let known = working.find_agent(step.tenant, &handed_off.to)?;
    let parent_scopes = &working.session(ordinal)?.session.scopes;
    let scopes = handed_off.scopes.as_ref().unwrap_or(parent_scopes).clone();
    if let Err(reason) = check_agent(working, known, step.private, &scopes)? {
        return refuse(reason);
    }
    let (stored, _) = working.session_mut(ordinal)?;
    let id = stored.id.clone();
    let child = match stored
        .session
        .hand_off(&step.at, &id, handed_off, step.private)
    {
        Ok(child) => child,
        Err(reason) => return refuse(reason),
    };
    remember(working, ordinal, step.at, step.key)?;
    let agent = find_or_add_agent(working, step, known, &handed_off.to)?;
    let child = working.add_session(step.tenant, &handed_off.child, agent, child)?;
    remember(working, child, step.at, EventKey::OPENING)?;
    working
        .opened
        .push_back((step.tenant, handed_off.child.clone()));
    Ok(Decision::new(Verdict::Applied).about(entity, parent_agent))
}

fn on_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &AgentId,
    happened: &AgentEvent,
) -> Result<Decision, FoldError> {
    let Some(number) = working.find_agent(step.tenant, id)? else {
        let AgentEvent::Registered(profile) = happened else {
            return Ok(Decision::rejected(Reason::NotFound));
        };
        let agent = Agent::register(&step.at, (**profile).clone());
        let number = working.add_agent(step.tenant, id, agent)?;
        remember_agent(working, number, step)?;
        return Ok(Decision::new(Verdict::Applied).about(Entity::Agent(number), number));
    };
    let entity = Entity::Agent(number);
    let history = &working.agent(number)?.history;
    if let Some(first) = history.find(entity, step.key, &working.tables)? {
        return Ok(Decision::new(copy_or_reuse(working, step, first)?).about(entity, number));
    }
    let (stored, _) = working.agent_mut(number)?;
    let agent = &mut stored.agent;
    let decision: Decision = match happened {
        AgentEvent::Registered(profile) => agent.adopt(&step.at, profile),
        AgentEvent::Updated(changes) => agent.update(&step.at, changes),
        AgentEvent::Suspended => agent.suspend(&step.at),
        AgentEvent::Reinstated => agent.reinstate(&step.at),
        AgentEvent::Revoked => agent.revoke(&step.at),
    }
    .into();
    if decision.verdict == Verdict::Applied {
        remember_agent(working, number, step)?;
    }
    Ok(decision.about(entity, number))
}

/// Switches to other rules, or stops a node that does not know them.
fn rules(
    working: &mut Working<'_>,
    event: &Event,
    prepared: &Prepared,
) -> Result<Decision, FoldError> {
    let Payload::Rules { version } = event.payload else {
        return Ok(Decision::rejected(Reason::TenantMismatch));
    };
    if RULES_VERSION < version {
        let at = prepared.record.position;
        return Err(FoldError::Rules {
            at,
            asked: version,
            known: RULES_VERSION,
        });
    }
    working.progress.rules_version = version;
    Ok(Decision::new(Verdict::Applied))
}

fn check_agent(
    working: &Working<'_>,
    known: Option<u32>,
    private: &Private,
    scopes: &Scopes,
) -> Result<Result<(), Reason>, StoreError> {
    let Some(number) = known else {
        let refused = private
            .agent_registered
            .then_some(Reason::AgentNotRegistered);
        return Ok(refused.map_or(Ok(()), Err));
    };
    let agent = &working.agent(number)?.agent;
    Ok(agent.check_may_act().and_then(|()| {
        if agent.allows(scopes) {
            Ok(())
        } else {
            Err(Reason::ScopeExceeded)
        }
    }))
}

fn find_or_add_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    known: Option<u32>,
    id: &AgentId,
) -> Result<u32, StoreError> {
    match known {
        Some(number) => Ok(number),
        None => working.add_agent(step.tenant, id, Agent::implicit(&step.at)),
    }
}

/// An event whose key was used before: a copy if its body is the same.
pub(crate) fn copy_or_reuse(
    working: &Working<'_>,
    step: &Step<'_>,
    first: Position,
) -> Result<Verdict, StoreError> {
    let same = working.verdict(step.tenant, first)?.body_hash == step.prepared.body_hash();
    Ok(if same {
        Verdict::Duplicate(first)
    } else {
        Verdict::Rejected(Reason::IdReused)
    })
}

fn remember(
    working: &mut Working<'_>,
    ordinal: Ordinal,
    at: Moment,
    key: EventKey,
) -> Result<(), StoreError> {
    let (stored, tables) = working.session_mut(ordinal)?;
    let entry = Entry {
        position: at.position,
        key,
    };
    stored.history.push(Entity::Session(ordinal), entry, tables)
}

fn remember_agent(
    working: &mut Working<'_>,
    number: u32,
    step: &Step<'_>,
) -> Result<(), StoreError> {
    let (stored, tables) = working.agent_mut(number)?;
    let entry = Entry {
        position: step.at.position,
        key: step.key,
    };
    stored.history.push(Entity::Agent(number), entry, tables)
}

/// Keeps what became of a record.
fn note(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    prepared: &Prepared,
    decision: Decision,
) -> Result<(), StoreError> {
    let event_type: Option<EventType> = prepared
        .decoded
        .as_ref()
        .ok()
        .map(|decoded| decoded.event.event_type());
    let row = VerdictRow {
        event_type,
        verdict: decision.verdict,
        settled_at: None,
        recorded_at: prepared.record.recorded_at,
        subject: decision.subject,
        agent: decision.agent,
        body_hash: prepared.body_hash(),
    };
    let position = prepared.record.position;
    working.set_verdict(tenant, position, row);
    match decision.verdict {
        Verdict::Applied | Verdict::Duplicate(_) => Ok(()),
        Verdict::Rejected(reason) => list_rejection(working, tenant, reason as u8, position),
        Verdict::Parked => list_rejection(working, tenant, PARKED_CODE, position),
    }
}

/// Lists an event among the rejected and parked ones.
pub(crate) fn list_rejection(
    working: &mut Working<'_>,
    tenant: TenantNumber,
    code: u8,
    position: Position,
) -> Result<(), StoreError> {
    let tables = &mut working.tables;
    tables
        .rejections
        .insert(&keys::rejection(tenant, code, position.get()), ())?;
    let key = keys::rejection_count(tenant, code);
    let total = tables
        .rejection_totals
        .get(&key)?
        .map_or(0, |total| total.value());
    tables.rejection_totals.insert(&key, total + 1)?;
    Ok(())
}
