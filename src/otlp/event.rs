//! Writes the events that spans mean. What an event says depends on its span only, so that a span which is
//! exported again means copies.

use serde_json::{Map, Value, json};

use crate::domain::session::Outcome;
use crate::domain::time::SECOND_US;
use crate::domain::{AgentId, EventType, ProjectId, SessionId, Timestamp};
use crate::hooks::{Emission, Envelope, Run, members};
use crate::otlp::conversation::Step;
use crate::otlp::span::Agent;

/// The source of all events that are made from spans.
const SOURCE: &str = "/otlp";

/// What the user decides about the sessions of traces.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent of sessions whose spans name neither an agent nor a service.
    pub agent: AgentId,
    /// The project of the sessions.
    pub project: Option<ProjectId>,
    /// The time to live of the sessions, in seconds, counted from their last span.
    pub ttl_seconds: u64,
}

impl Options {
    /// The deadline of a session that shows a sign of life.
    pub(super) fn deadline(&self, after: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.ttl_seconds).unwrap_or(i64::MAX);
        after.plus_micros(seconds.saturating_mul(SECOND_US))
    }

    /// The opening of a session. The span shows that it is alive until the span ends.
    pub(super) fn opened(
        &self,
        session: &SessionId,
        step: Step<'_>,
        agent: Option<Agent>,
        resumes: Option<(&SessionId, Run)>,
    ) -> Emission {
        let mut metadata = members([("runtime", json!("opentelemetry"))]);
        if let Some(service) = &step.span.service {
            metadata.insert("service".to_owned(), json!(service));
        }
        if let Some((first, run)) = resumes {
            metadata.insert("run".to_owned(), json!(run.number));
            metadata.insert("resumes".to_owned(), json!(first));
        }
        let agent = agent.unwrap_or_else(|| Agent {
            id: self.agent.clone(),
            name: None,
        });
        let mut data = members([
            ("agent_id", json!(agent.id)),
            ("expires_at", json!(self.deadline(step.span.end))),
            ("metadata", Value::Object(metadata)),
        ]);
        let name = agent
            .name
            .map(|name| ("agent_name".to_owned(), json!(name)));
        data.extend(name);
        let project = self.project.as_ref();
        data.extend(project.map(|project| ("project_id".to_owned(), json!(project))));
        event(session, EventType::SessionCreated, (step, "created"), &data)
    }

    /// A sign of life. A session without a deadline gets none.
    pub(super) fn refreshed(
        &self,
        session: &SessionId,
        step: Step<'_>,
        has_deadline: bool,
    ) -> Emission {
        let ttl = has_deadline.then(|| ("ttl_seconds".to_owned(), json!(self.ttl_seconds)));
        let data = ttl.into_iter().collect();
        event(
            session,
            EventType::SessionRefreshed,
            (step, step.edge.word()),
            &data,
        )
    }

    /// A hand-off.
    pub(super) fn handed_off(
        &self,
        session: &SessionId,
        step: Step<'_>,
        to: &Agent,
        child: &SessionId,
    ) -> Emission {
        let data = members([
            ("to_agent_id", json!(to.id)),
            ("session_id", json!(child)),
            ("ttl_seconds", json!(self.ttl_seconds)),
            ("metadata", json!({"runtime": "opentelemetry"})),
        ]);
        event(
            session,
            EventType::SessionHandedOff,
            (step, "handed_off"),
            &data,
        )
    }
}

/// The end of a session whose root span failed.
pub(super) fn failed(session: &SessionId, step: Step<'_>) -> Emission {
    let data = members([("outcome", json!(Outcome::Error.as_str()))]);
    event(
        session,
        EventType::SessionTerminated,
        (step, "failed"),
        &data,
    )
}

fn event(
    session: &SessionId,
    event_type: EventType,
    (step, what): (Step<'_>, &str),
    data: &Map<String, Value>,
) -> Emission {
    let traceparent = step.span.id.traceparent();
    let trace = hex::encode(step.span.id.trace);
    let envelope = Envelope {
        event_type,
        id: &format!("{trace}/{}/{what}", step.span.id.name()),
        source: SOURCE,
        time: step.at,
        traceparent: Some(&traceparent),
    };
    Emission::new(session, envelope, data)
}
