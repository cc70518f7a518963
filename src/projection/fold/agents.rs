//! Events about agents.

use crate::domain::{Agent, AgentEvent, AgentId, Reason, Verdict};
use crate::projection::error::StoreError;
use crate::projection::fold::decision::{Decision, Step, copy_or_reuse};
use crate::projection::keys::Entity;
use crate::projection::working::Working;

/// An event about an agent.
pub(crate) fn on_agent(
    working: &mut Working<'_>,
    step: &Step<'_>,
    id: &AgentId,
    happened: &AgentEvent,
) -> Result<Decision, StoreError> {
    let Some(number) = working.find_agent(step.tenant, id)? else {
        let AgentEvent::Registered(profile) = happened else {
            return Ok(Decision::rejected(Reason::NotFound));
        };
        let agent = match Agent::register(&step.at, (**profile).clone()) {
            Ok(agent) => agent,
            Err(reason) => return Ok(Decision::rejected(reason)),
        };
        let number = working.add_agent(step.tenant, id, agent)?;
        working.remember(Entity::Agent(number), &step.at, step.key)?;
        return Ok(Decision::new(Verdict::Applied).about(Entity::Agent(number), number));
    };
    let entity = Entity::Agent(number);
    let history = &working.agent(number)?.history;
    if let Some(first) = history.find(entity, step.key, &working.tables)? {
        return Ok(Decision::new(copy_or_reuse(working, step, first)?).about(entity, number));
    }
    let changed = working.change_agent(number, |agent| match happened {
        AgentEvent::Registered(profile) => agent.adopt(&step.at, profile),
        AgentEvent::Updated(changes) => agent.update(&step.at, changes),
        AgentEvent::Suspended => agent.suspend(&step.at),
        AgentEvent::Reinstated => agent.reinstate(&step.at),
        AgentEvent::Revoked => agent.revoke(&step.at),
    })?;
    let decision = Decision::from(changed);
    if decision.verdict == Verdict::Applied {
        working.remember(entity, &step.at, step.key)?;
    }
    Ok(decision.about(entity, number))
}
