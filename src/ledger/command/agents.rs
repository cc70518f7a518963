//! Commands about agents. A credential that is bound to an agent gives none: others say what an
//! agent may do.

use crate::domain::command::{AgentChange, NewAgent};
use crate::domain::{AgentEvent, AgentId, Payload, Private};
use crate::ledger::command::give::Step;
use crate::ledger::command::identity::Identity;
use crate::ledger::command::{AgentDone, By, CommandError, Commands};

impl Commands {
    /// Registers an agent.
    pub async fn register_agent(
        &self,
        by: By<'_>,
        new: NewAgent,
    ) -> Result<AgentDone, CommandError> {
        refuse_bound(&by)?;
        let ids = Identity::of("register", "", &by);
        let agent = new.id.unwrap_or_else(|| ids.agent());
        let event = AgentEvent::Registered(Box::new(new.profile));
        let payload = Payload::Agent(agent.clone(), event);
        let step = Step::new(by, ids, payload, Private::default());
        let receipt = self.give(step).await?;
        let revocation = None;
        Ok(AgentDone {
            agent,
            receipt,
            revocation,
        })
    }

    /// Changes fields of an agent, or its status. After a revocation, waits until the sessions of the
    /// agent have ended.
    pub async fn change_agent(
        &self,
        by: By<'_>,
        agent: &AgentId,
        change: AgentChange,
    ) -> Result<AgentDone, CommandError> {
        refuse_bound(&by)?;
        let (name, event, reason) = match change {
            AgentChange::Update(profile) => ("update", AgentEvent::Updated(profile), None),
            AgentChange::Suspend { reason } => ("suspend", AgentEvent::Suspended, reason),
            AgentChange::Reinstate { reason } => ("reinstate", AgentEvent::Reinstated, reason),
            AgentChange::Revoke { reason } => ("revoke", AgentEvent::Revoked, reason),
        };
        let revokes = matches!(event, AgentEvent::Revoked);
        let turn = self.ledger.turn().await?;
        let agent = self.known_agent(&by, agent)?;
        let ids = Identity::of(name, agent.as_str(), &by);
        let payload = Payload::Agent(agent.clone(), event);
        let step = Step::new(by, ids, payload, Private::default()).because(reason);
        let receipt = self.give_in(&turn, step).await?;
        let revocation = if revokes {
            self.endings(by.tenant, &agent, &receipt).await?
        } else {
            None
        };
        Ok(AgentDone {
            agent,
            receipt,
            revocation,
        })
    }
}

fn refuse_bound(by: &By<'_>) -> Result<(), CommandError> {
    match by.agent {
        Some(_) => Err(CommandError::AgentBound),
        None => Ok(()),
    }
}
