//! Events about sessions.

use crate::domain::event::{Created, HandedOff};
use crate::domain::{
    Agent, AgentId, EventKey, Reason, Rules, Scopes, Session, SessionEvent, SessionId, Verdict,
};
use crate::projection::error::{Rejection, StoreError};
use crate::projection::fold::decision::{Decision, Step, copy_or_reuse};
use crate::projection::fold::parking;
use crate::projection::keys::Entity;
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::working::Working;

/// Folds an event about a session that has not opened.
pub(crate) fn on_unknown_session(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
    happened: &SessionEvent,
) -> Result<Decision, StoreError> {
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
) -> Result<Decision, StoreError> {
    let known = working.find_agent(step.tenant, &created.agent_id)?;
    match open(working, step, id, created, known) {
        Ok((session, agent)) => Ok(Decision::new(Verdict::Applied).about(session, agent)),
        Err(refused) => Ok(Decision {
            agent: known,
            ..Decision::rejected(refused.reason()?)
        }),
    }
}

/// Opens a session, and adds its agent if that is not known yet.
fn open(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &SessionId,
    created: &Created,
    known: Option<AgentNumber>,
) -> Result<(Entity, AgentNumber), Rejection> {
    step.private.check_agent(&created.agent_id)?;
    let scopes = match &created.scopes {
        Some(scopes) => scopes.clone(),
        None => agent_scopes(working, known)?,
    };
    check_agent(working, known, step, &scopes)?;
    let mut session = Session::open(&step.at, created, scopes, step.private)?;
    if let Some(parent) = &created.parent {
        let parent = working.find_session(step.tenant, parent)?;
        let parent = &working
            .session(parent.ok_or(Reason::UnknownParent)?)?
            .session;
        // A credential that is bound to an agent must not attach a session to one of another agent,
        // nor learn that this one exists.
        if Rules::V2 <= step.at.rules && step.private.check_agent(&parent.agent_id).is_err() {
            return Err(Reason::UnknownParent.into());
        }
        session.cap_deadline(parent.expires_at)?;
    }
    let agent = find_or_add_agent(working, step, known, &created.agent_id)?;
    let opened = Entity::Session(working.add_session(step.tenant, id, agent, session)?);
    working.remember(opened, &step.at, step.key)?;
    working.opened.push_back((step.tenant, id.clone()));
    Ok((opened, agent))
}

/// Folds an event about a session that has opened, whether or not it has ended.
pub(crate) fn on_open_session(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    happened: &SessionEvent,
) -> Result<Decision, StoreError> {
    let entity = Entity::Session(ordinal);
    let stored = working.session(ordinal)?;
    let agent = stored.agent;
    let decision = match stored.history.find(entity, step.key, &working.tables)? {
        Some(first) => Decision::new(copy_or_reuse(working, step, first)?),
        None => Decision::of(change(working, step, ordinal, happened))?,
    };
    Ok(decision.about(entity, agent))
}

fn change(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    happened: &SessionEvent,
) -> Result<(), Rejection> {
    let (at, private) = (&step.at, step.private);
    match happened {
        SessionEvent::Created(_) => return Err(Reason::AlreadyExists.into()),
        SessionEvent::HandedOff(handed_off) => hand_off(working, step, ordinal, handed_off)?,
        SessionEvent::Refreshed(refreshed) => {
            // While an agent is suspended, the refresh tokens of its sessions do not work either.
            if private.refresh_token.is_some() {
                check_own_agent(working, step, ordinal)?;
            }
            let with_metadata = refreshed.metadata.is_some();
            let session = &mut working.session_mut(ordinal, with_metadata)?.session;
            session.refresh(at, refreshed, private)?;
        }
        SessionEvent::Terminated(terminated) => {
            let session = &mut working.session_mut(ordinal, false)?.session;
            session.terminate(at, *terminated, private)?;
        }
        SessionEvent::Expired { expires_at } => {
            let session = &mut working.session_mut(ordinal, false)?.session;
            session.expire(at, *expires_at)?;
        }
    }
    Ok(working.remember(Entity::Session(ordinal), at, step.key)?)
}

/// Ends a session and opens its child.
fn hand_off(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    handed_off: &HandedOff,
) -> Result<(), Rejection> {
    // First, because the state of the parent is the better answer if several things are wrong.
    let parent = &working.session(ordinal)?.session;
    parent.check_step(&step.at, step.private)?;
    check_own_agent(working, step, ordinal)?;
    let id = &handed_off.child;
    if working.find_session(step.tenant, id)?.is_some() {
        return Err(Reason::AlreadyExists.into());
    }
    let known = working.find_agent(step.tenant, &handed_off.to)?;
    let scopes = match &handed_off.scopes {
        Some(scopes) => scopes.clone(),
        None => inherited_scopes(working, step, ordinal, known)?,
    };
    check_agent(working, known, step, &scopes)?;
    let with_scopes = HandedOff {
        scopes: Some(scopes),
        ..handed_off.clone()
    };
    let parent = working.session_mut(ordinal, false)?;
    let child = parent
        .session
        .hand_off(&step.at, &parent.id, &with_scopes, step.private)?;
    let agent = find_or_add_agent(working, step, known, &handed_off.to)?;
    let child = working.add_session(step.tenant, id, agent, child)?;
    working.remember(Entity::Session(child), &step.at, EventKey::OPENING)?;
    working.opened.push_back((step.tenant, id.clone()));
    Ok(())
}

/// Checks that the agent of an open session may act.
fn check_own_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
) -> Result<(), Rejection> {
    let stored = working.session(ordinal)?;
    let (number, id) = (stored.agent, stored.session.agent_id.clone());
    working.find_agent(step.tenant, &id)?;
    let agent = &working.agent(number)?.agent;
    Ok(agent.check_may_act(step.at.time)?)
}

/// Checks that an agent may act, and that it has these scopes.
fn check_agent(
    working: &Working<'_>,
    known: Option<AgentNumber>,
    step: &Step<'_>,
    scopes: &Scopes,
) -> Result<(), Rejection> {
    let Some(number) = known else {
        return if step.private.agent_registered {
            Err(Reason::AgentNotRegistered.into())
        } else {
            Ok(())
        };
    };
    let agent = &working.agent(number)?.agent;
    agent.check_may_act(step.at.time)?;
    if !agent.allows(scopes) {
        return Err(Reason::ScopeExceeded.into());
    }
    Ok(())
}

/// The scopes of the child of a hand-off that names no scopes: those of its parent that its own agent
/// has too.
fn inherited_scopes(
    working: &Working<'_>,
    step: &Step<'_>,
    parent: Ordinal,
    agent: Option<AgentNumber>,
) -> Result<Scopes, StoreError> {
    let parents = &working.session(parent)?.session.scopes;
    let agent = agent.filter(|_| Rules::V2 <= step.at.rules);
    let bound = match agent {
        Some(number) => working.agent(number)?.agent.profile.scopes.as_ref(),
        None => None,
    };
    Ok(bound.map_or_else(|| parents.clone(), |bound| parents.narrowed_to(bound)))
}

/// The scopes of a new session that names no scopes: those of its agent.
fn agent_scopes(working: &Working<'_>, known: Option<AgentNumber>) -> Result<Scopes, StoreError> {
    let Some(number) = known else {
        return Ok(Scopes::default());
    };
    let profile = &working.agent(number)?.agent.profile;
    Ok(profile.scopes.clone().unwrap_or_default())
}

fn find_or_add_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    known: Option<AgentNumber>,
    id: &AgentId,
) -> Result<AgentNumber, StoreError> {
    match known {
        Some(number) => Ok(number),
        None => working.add_agent(step.tenant, id, Agent::implicit(&step.at)),
    }
}
