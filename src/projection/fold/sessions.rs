//! Events about sessions.

use crate::domain::event::{Created, HandedOff};
use crate::domain::{
    Agent, AgentId, EventKey, Reason, Rules, Scopes, Session, SessionEvent, SessionId, Verdict,
};
use crate::projection::error::StoreError;
use crate::projection::fold::decision::{Decision, Step, copy_or_reuse};
use crate::projection::fold::parking;
use crate::projection::keys::Entity;
use crate::projection::numbers::{AgentNumber, Ordinal};
use crate::projection::working::Working;

/// An event about a session that has not opened.
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
    let refuse = |reason| {
        let rejected = Decision::rejected(reason);
        Ok(Decision {
            agent: known,
            ..rejected
        })
    };
    if let Err(reason) = step.private.check_agent(&created.agent_id) {
        return refuse(reason);
    }
    let scopes = match &created.scopes {
        Some(scopes) => scopes.clone(),
        None => agent_scopes(working, known)?,
    };
    if let Err(reason) = check_agent(working, known, step, &scopes)? {
        return refuse(reason);
    }
    let mut session = match Session::open(&step.at, created, scopes, step.private) {
        Ok(session) => session,
        Err(reason) => return refuse(reason),
    };
    if let Some(parent) = &created.parent {
        let Some(parent) = working.find_session(step.tenant, parent)? else {
            return refuse(Reason::UnknownParent);
        };
        let parent = &working.session(parent)?.session;
        // A credential that is bound to an agent may not attach to what another agent does, nor learn
        // that it is there.
        if Rules::V2 <= step.at.rules && step.private.check_agent(&parent.agent_id).is_err() {
            return refuse(Reason::UnknownParent);
        }
        if let Err(reason) = session.cap_deadline(parent.expires_at) {
            return refuse(reason);
        }
    }
    let agent = find_or_add_agent(working, step, known, &created.agent_id)?;
    let ordinal = working.add_session(step.tenant, id, agent, session)?;
    working.remember(Entity::Session(ordinal), &step.at, step.key)?;
    working.opened.push_back((step.tenant, id.clone()));
    Ok(Decision::new(Verdict::Applied).about(Entity::Session(ordinal), agent))
}

/// An event about a session that has opened, whether or not it has ended.
pub(crate) fn on_open_session(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    happened: &SessionEvent,
) -> Result<Decision, StoreError> {
    let entity = Entity::Session(ordinal);
    let stored = working.session(ordinal)?;
    let agent = stored.agent;
    if let Some(first) = stored.history.find(entity, step.key, &working.tables)? {
        return Ok(Decision::new(copy_or_reuse(working, step, first)?).about(entity, agent));
    }
    let decision = match happened {
        SessionEvent::Created(_) => Decision::rejected(Reason::AlreadyExists),
        SessionEvent::HandedOff(handed_off) => {
            return on_handed_off(working, step, ordinal, handed_off);
        }
        SessionEvent::Refreshed(refreshed) => {
            // A suspended agent's tokens sleep, those to refresh with as well.
            if step.private.refresh_token.is_some()
                && let Err(reason) = check_own_agent(working, step, ordinal)?
            {
                return Ok(Decision::rejected(reason).about(entity, agent));
            }
            let stored = working.session_mut(ordinal)?;
            stored
                .session
                .refresh(&step.at, refreshed, step.private)
                .into()
        }
        SessionEvent::Terminated(terminated) => {
            let stored = working.session_mut(ordinal)?;
            let session = &mut stored.session;
            session
                .terminate(&step.at, *terminated, step.private)
                .into()
        }
        SessionEvent::Expired { expires_at } => {
            let stored = working.session_mut(ordinal)?;
            stored.session.expire(&step.at, *expires_at).into()
        }
    };
    if decision.verdict == Verdict::Applied {
        working.remember(entity, &step.at, step.key)?;
    }
    Ok(decision.about(entity, agent))
}

fn on_handed_off(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
    handed_off: &HandedOff,
) -> Result<Decision, StoreError> {
    let entity = Entity::Session(ordinal);
    let parent_agent = working.session(ordinal)?.agent;
    let refuse = |reason| Ok(Decision::rejected(reason).about(entity, parent_agent));
    // The parent's own state is the better answer when more than one thing is wrong.
    let parent = &working.session(ordinal)?.session;
    if let Err(reason) = parent.check_step(&step.at, step.private) {
        return refuse(reason);
    }
    if let Err(reason) = check_own_agent(working, step, ordinal)? {
        return refuse(reason);
    }
    if working
        .find_session(step.tenant, &handed_off.child)?
        .is_some()
    {
        return refuse(Reason::AlreadyExists);
    }
    let known = working.find_agent(step.tenant, &handed_off.to)?;
    let scopes = match &handed_off.scopes {
        Some(scopes) => scopes.clone(),
        None => inherited_scopes(working, step, ordinal, known)?,
    };
    if let Err(reason) = check_agent(working, known, step, &scopes)? {
        return refuse(reason);
    }
    let settled = HandedOff {
        scopes: Some(scopes),
        ..handed_off.clone()
    };
    let stored = working.session_mut(ordinal)?;
    let id = stored.id.clone();
    let child = match stored
        .session
        .hand_off(&step.at, &id, &settled, step.private)
    {
        Ok(child) => child,
        Err(reason) => return refuse(reason),
    };
    working.remember(entity, &step.at, step.key)?;
    let agent = find_or_add_agent(working, step, known, &handed_off.to)?;
    let child = working.add_session(step.tenant, &handed_off.child, agent, child)?;
    working.remember(Entity::Session(child), &step.at, EventKey::OPENING)?;
    working
        .opened
        .push_back((step.tenant, handed_off.child.clone()));
    Ok(Decision::new(Verdict::Applied).about(entity, parent_agent))
}

/// Whether the agent of an open session may act.
fn check_own_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    ordinal: Ordinal,
) -> Result<Result<(), Reason>, StoreError> {
    let stored = working.session(ordinal)?;
    let (number, id) = (stored.agent, stored.session.agent_id.clone());
    working.find_agent(step.tenant, &id)?;
    let agent = &working.agent(number)?.agent;
    Ok(agent.check_may_act(step.at.time))
}

fn check_agent(
    working: &Working<'_>,
    known: Option<AgentNumber>,
    step: &Step<'_>,
    scopes: &Scopes,
) -> Result<Result<(), Reason>, StoreError> {
    let Some(number) = known else {
        let refused = step
            .private
            .agent_registered
            .then_some(Reason::AgentNotRegistered);
        return Ok(refused.map_or(Ok(()), Err));
    };
    let agent = &working.agent(number)?.agent;
    Ok(agent.check_may_act(step.at.time).and_then(|()| {
        if agent.allows(scopes) {
            Ok(())
        } else {
            Err(Reason::ScopeExceeded)
        }
    }))
}

/// What the child of a hand-off may do that asks for nothing in particular: what its parent may, as
/// far as its own agent may do that.
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

/// What a session may do that asks for nothing in particular.
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
