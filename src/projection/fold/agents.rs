//! Events about agents.

use crate::domain::{Agent, AgentEvent, AgentId, Reason, Verdict};
use crate::projection::error::{Rejection, StoreError};
use crate::projection::fold::decision::{Decision, Step, copy_or_reuse};
use crate::projection::keys::Entity;
use crate::projection::numbers::AgentNumber;
use crate::projection::working::Working;

/// Folds an event about an agent.
pub(crate) fn on_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &AgentId,
    happened: &AgentEvent,
) -> Result<Decision, StoreError> {
    let Some(number) = working.find_agent(step.tenant, id)? else {
        return match register(working, step, id, happened) {
            Ok(number) => Ok(Decision::new(Verdict::Applied).about(Entity::Agent(number), number)),
            Err(refused) => Ok(Decision::rejected(refused.reason()?)),
        };
    };
    let entity = Entity::Agent(number);
    let history = &working.agent(number)?.history;
    let decision = match history.find(entity, step.key, &working.tables)? {
        Some(first) => Decision::new(copy_or_reuse(working, step, first)?),
        None => Decision::of(change(working, step, number, happened))?,
    };
    Ok(decision.about(entity, number))
}

/// Adds an agent that is not known yet.
fn register(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &AgentId,
    happened: &AgentEvent,
) -> Result<AgentNumber, Rejection> {
    let AgentEvent::Registered(profile) = happened else {
        return Err(Reason::NotFound.into());
    };
    let agent = Agent::register(&step.at, (**profile).clone())?;
    let number = working.add_agent(step.tenant, id, agent)?;
    working.remember(Entity::Agent(number), &step.at, step.key)?;
    Ok(number)
}

fn change(
    working: &mut Working<'_>,
    step: &Step<'_>,
    number: AgentNumber,
    happened: &AgentEvent,
) -> Result<(), Rejection> {
    working.change_agent(number, |agent| match happened {
        AgentEvent::Registered(profile) => agent.adopt(&step.at, profile),
        AgentEvent::Updated(changes) => agent.update(&step.at, changes),
        AgentEvent::Suspended => agent.suspend(&step.at),
        AgentEvent::Reinstated => agent.reinstate(&step.at),
        AgentEvent::Revoked => agent.revoke(&step.at),
    })?;
    Ok(working.remember(Entity::Agent(number), &step.at, step.key)?)
}
