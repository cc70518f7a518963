//! Writes the events that a call of a hook means.

use serde_json::{Map, Value, json};

use crate::domain::session::{Outcome, Phase};
use crate::domain::{AgentId, EventType, ProjectId, SessionId, Timestamp};
use crate::hooks::call::Call;
use crate::hooks::run::Run;

/// What the user decides about the sessions of a runtime.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent of its sessions; `None` for one that is named like the runtime.
    pub agent: Option<AgentId>,
    /// The project of its sessions.
    pub project: Option<ProjectId>,
    /// The time to live of its sessions, in seconds, from the last start, prompt or end of a turn.
    pub ttl_seconds: u64,
}

/// An event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// The session that it is about.
    pub session: SessionId,
    /// The event as JSON text, without line ends.
    pub json: String,
}

/// What an event says beside its data.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// What happened.
    pub event_type: EventType,
    /// The id, which is unique among all events of the source.
    pub id: &'a str,
    /// Who emits it.
    pub source: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// The span of the runtime that it comes from, as `traceparent`.
    pub traceparent: Option<&'a str>,
}

impl Emission {
    /// Writes an event of a session.
    pub fn new(session: &SessionId, envelope: Envelope<'_>, data: &Map<String, Value>) -> Self {
        let mut event = members([
            ("specversion", json!("1.0")),
            ("id", json!(envelope.id)),
            ("source", json!(envelope.source)),
            ("type", json!(envelope.event_type.as_str())),
            ("subject", json!(session)),
            ("time", json!(envelope.time.to_string())),
            ("datacontenttype", json!("application/json")),
        ]);
        let trace = envelope.traceparent;
        event.extend(trace.map(|trace| ("traceparent".to_owned(), json!(trace))));
        event.insert("data".to_owned(), json!(data));
        Self {
            session: session.clone(),
            json: Value::Object(event).to_string(),
        }
    }
}

/// Writes the events of one call.
pub(super) struct Writer<'a> {
    pub(super) call: &'a Call,
    pub(super) options: &'a Options,
}

impl Writer<'_> {
    /// The opening of the session of a run.
    pub(super) fn opened(&self, session: &SessionId, run: Run) -> Emission {
        let call = self.call;
        let mut metadata = self.metadata();
        if run.number != 1 {
            metadata.insert("run".to_owned(), json!(run.number));
            metadata.insert("resumes".to_owned(), json!(call.session));
        }
        let own = || AgentId::parse(call.runtime.as_str()).expect("the words for runtimes are ids");
        let agent = self.options.agent.clone().unwrap_or_else(own);
        let mut data = self.opening(&agent, metadata);
        data.insert("phase".to_owned(), json!(Phase::Ready.as_str()));
        self.event(session, EventType::SessionCreated, "created", &data)
    }

    /// The opening of the session of a subagent.
    pub(super) fn child_opened(&self, session: &SessionId, parent: &SessionId) -> Emission {
        let call = self.call;
        let agent = call.child_agent.clone();
        let own = || AgentId::parse(call.runtime.as_str()).expect("the words for runtimes are ids");
        let agent = agent.or_else(|| self.options.agent.clone());
        let mut data = self.opening(&agent.unwrap_or_else(own), self.metadata());
        data.insert("phase".to_owned(), json!(Phase::Running.as_str()));
        data.insert("parent_session_id".to_owned(), json!(parent));
        self.event(session, EventType::SessionCreated, "created", &data)
    }

    /// A sign of life.
    pub(super) fn refreshed(&self, session: &SessionId, phase: Phase) -> Emission {
        let data = members([("extend", json!(true)), ("phase", json!(phase.as_str()))]);
        let id = format!("{}-{}", self.call.hook.name, self.call.mark);
        self.event(session, EventType::SessionRefreshed, &id, &data)
    }

    /// The end.
    pub(super) fn ended(&self, session: &SessionId) -> Emission {
        let Call { table, reason, .. } = self.call;
        let mut data = Map::new();
        if let Some(reason) = reason {
            let is_in = |words: &[&str]| words.contains(&reason.as_str());
            let outcome = match () {
                () if is_in(table.completed) => Some(Outcome::Completed),
                () if is_in(table.failed) => Some(Outcome::Error),
                () => None,
            };
            let outcome = outcome.map(|outcome| ("outcome".to_owned(), json!(outcome.as_str())));
            data.extend(outcome);
            data.insert("reason".to_owned(), json!(reason));
        }
        self.event(session, EventType::SessionTerminated, "ended", &data)
    }

    /// The end of a subagent, which runs until it has done its work.
    pub(super) fn child_ended(&self, session: &SessionId) -> Emission {
        let data = members([("outcome", json!(Outcome::Completed.as_str()))]);
        self.event(session, EventType::SessionTerminated, "ended", &data)
    }

    fn metadata(&self) -> Map<String, Value> {
        let mut metadata = members([("runtime", json!(self.call.runtime.as_str()))]);
        let texts = [("source", &self.call.source), ("model", &self.call.model)];
        for (name, text) in texts {
            metadata.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        metadata
    }

    fn opening(&self, agent: &AgentId, metadata: Map<String, Value>) -> Map<String, Value> {
        let mut data = members([
            ("agent_id", json!(agent)),
            ("ttl_seconds", json!(self.options.ttl_seconds)),
            ("metadata", Value::Object(metadata)),
        ]);
        let project = self.options.project.as_ref();
        data.extend(project.map(|project| ("project_id".to_owned(), json!(project))));
        data
    }

    fn event(
        &self,
        session: &SessionId,
        event_type: EventType,
        id: &str,
        data: &Map<String, Value>,
    ) -> Emission {
        let envelope = Envelope {
            event_type,
            id: &format!("{session}/{id}"),
            source: &format!("/hooks/{}", self.call.runtime.as_str()),
            time: self.call.at,
            traceparent: None,
        };
        Emission::new(session, envelope, data)
    }
}

/// An object with these members.
pub(crate) fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    members.into_iter().collect()
}
