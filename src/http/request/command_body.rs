//! The bodies of the API's commands as values. What is wrong with a body is a problem that names
//! every wrong field.

use crate::domain::agent::AgentProfile;
use crate::domain::command::{HandOff, NewAgent, NewSession, Refresh, Terminate};
use crate::http::problem::Problem;
use crate::http::request::command::CommandRequest;
use crate::ledger::command::CommandError;
use crate::wire::{Undecodable, command};

impl CommandRequest {
    /// A session to open. It is of the agent that the credential is bound to, unless the body names
    /// one.
    pub(crate) fn new_session(&self) -> Result<NewSession, Problem> {
        read(command::new_session(&self.body, self.by().agent))
    }

    pub(crate) fn refresh(&self) -> Result<Refresh, Problem> {
        read(command::refresh(&self.body))
    }

    pub(crate) fn hand_off(&self) -> Result<HandOff, Problem> {
        read(command::hand_off(&self.body))
    }

    pub(crate) fn terminate(&self) -> Result<Terminate, Problem> {
        read(command::terminate(&self.body))
    }

    /// An agent to register.
    pub(crate) fn new_agent(&self) -> Result<NewAgent, Problem> {
        read(command::new_agent(&self.body))
    }

    /// The fields of an agent that change.
    pub(crate) fn agent_update(&self) -> Result<AgentProfile, Problem> {
        read(command::agent_update(&self.body))
    }

    /// Why the status of an agent changes.
    pub(crate) fn agent_reason(&self) -> Result<Option<Box<str>>, Problem> {
        read(command::agent_reason(&self.body))
    }
}

fn read<T>(read: Result<T, Undecodable>) -> Result<T, Problem> {
    read.map_err(|undecodable| CommandError::from(undecodable).into())
}
