//! The agents of the naive model: their changes, and which sessions they may have.

use serde_json::Value;

use crate::fold::history::{Logged, Sent};
use crate::fold::model::{At, Model, Verdict, copy_of, instant, list, text};

#[derive(Debug)]
pub(crate) struct ModelAgent {
    pub(crate) tenant: String,
    pub(crate) id: String,
    pub(crate) status: &'static str,
    pub(crate) registered: bool,
    pub(crate) created: i64,
    pub(crate) recorded: i64,
    pub(crate) updated: i64,
    pub(crate) suspended: Option<i64>,
    pub(crate) revoked: Option<i64>,
    pub(crate) agent_type: Option<String>,
    pub(crate) trust_level: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) expires: Option<i64>,
    seen: Vec<Logged>,
}

impl ModelAgent {
    fn sleeps(&self, time: i64) -> Option<Verdict> {
        let reason = match self.status {
            "suspended" => "agent_suspended",
            "revoked" => "agent_revoked",
            _ if self.expires.is_some_and(|end| end <= time) => "agent_expired",
            _ => return None,
        };
        Some(reason.to_owned())
    }

    fn new(recorded: &Logged, id: &str, at: &At) -> Self {
        Self {
            tenant: recorded.sent.tenant.to_owned(),
            id: id.to_owned(),
            status: "active",
            registered: false,
            created: at.time,
            recorded: recorded.recorded_at,
            updated: at.time,
            suspended: None,
            revoked: None,
            agent_type: Some("unknown".to_owned()),
            trust_level: None,
            scopes: None,
            expires: None,
            seen: Vec::new(),
        }
    }

    /// Replaces all fields with those of the event.
    fn register(&mut self, data: &Value) {
        self.registered = true;
        self.agent_type = text(data, "agent_type");
        self.trust_level = text(data, "trust_level");
        self.scopes = list(data, "scopes");
        self.expires = instant(data, "expires_at");
    }
}

impl At {
    /// Returns why an agent may not have the deadline of an event, from the second rules on.
    fn passed(&self, data: &Value) -> Option<Verdict> {
        let passed = instant(data, "expires_at").is_some_and(|end| end <= self.time);
        (passed && self.rules == 2).then(|| "deadline_not_after_time".to_owned())
    }
}

impl Model {
    pub(crate) fn on_agent(&mut self, recorded: &Logged, at: &At) -> Verdict {
        let sent = &recorded.sent;
        let Some(index) = self.find_agent(sent.tenant, &sent.subject) else {
            if sent.kind != "agent.registered" {
                return "not_found".to_owned();
            }
            if let Some(reason) = at.passed(&sent.data) {
                return reason;
            }
            let mut agent = ModelAgent::new(recorded, &sent.subject, at);
            agent.register(&sent.data);
            agent.seen.push(recorded.clone());
            self.agents.push(agent);
            return "applied".to_owned();
        };
        let agent = &mut self.agents[index];
        if let Some(verdict) = copy_of(&agent.seen.iter().collect::<Vec<_>>(), sent) {
            return verdict;
        }
        let reason = match (sent.kind, agent.status) {
            ("agent.registered", "active") if !agent.registered => None,
            ("agent.registered", _) => Some("already_exists"),
            ("agent.revoked", "revoked") => Some("already_revoked"),
            (_, "revoked") => Some("agent_revoked"),
            ("agent.suspended", "suspended") => Some("already_suspended"),
            ("agent.reinstated", "active") => Some("not_suspended"),
            _ => None,
        };
        if let Some(reason) = reason {
            return reason.to_owned();
        }
        if let Some(reason) = at.passed(&sent.data) {
            return reason;
        }
        let time = at.since(agent.created);
        match sent.kind {
            "agent.registered" => agent.register(&sent.data),
            "agent.updated" => {
                let data = &sent.data;
                agent.agent_type = text(data, "agent_type").or(agent.agent_type.take());
                agent.trust_level = text(data, "trust_level").or(agent.trust_level.take());
                agent.scopes = list(data, "scopes").or(agent.scopes.take());
                agent.expires = instant(data, "expires_at").or(agent.expires);
            }
            "agent.suspended" => (agent.status, agent.suspended) = ("suspended", Some(time)),
            "agent.reinstated" => (agent.status, agent.suspended) = ("active", None),
            _ => (agent.status, agent.revoked) = ("revoked", Some(time)),
        }
        agent.updated = agent.updated.max(at.time);
        agent.seen.push(recorded.clone());
        "applied".to_owned()
    }

    pub(crate) fn refuses(
        &self,
        sent: &Sent,
        agent: &str,
        scopes: &[String],
        time: i64,
    ) -> Option<Verdict> {
        let Some(agent) = self.agent(sent.tenant, agent) else {
            let asked = sent.asked().agent_registered;
            return asked.then(|| "agent_not_registered".to_owned());
        };
        if let Some(reason) = agent.sleeps(time) {
            return Some(reason);
        }
        let bound = agent.scopes.as_ref()?;
        let exceeds = !scopes.iter().all(|scope| bound.contains(scope));
        exceeds.then(|| "scope_exceeded".to_owned())
    }

    /// Returns why a known agent may not act.
    pub(crate) fn sleeps(&self, tenant: &str, agent: &str, time: i64) -> Option<Verdict> {
        self.agent(tenant, agent)?.sleeps(time)
    }

    /// Adds an agent that a session names, if it is unknown.
    pub(crate) fn know_agent(&mut self, recorded: &Logged, agent: &str, at: &At) {
        if self.find_agent(recorded.sent.tenant, agent).is_none() {
            self.agents.push(ModelAgent::new(recorded, agent, at));
        }
    }

    pub(crate) fn agent(&self, tenant: &str, id: &str) -> Option<&ModelAgent> {
        self.find_agent(tenant, id).map(|index| &self.agents[index])
    }

    fn find_agent(&self, tenant: &str, id: &str) -> Option<usize> {
        self.agents
            .iter()
            .position(|agent| agent.tenant == tenant && agent.id == id)
    }
}
