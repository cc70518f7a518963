//! Builds an event from options. The ledger checks whether the options fit together.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cli::Usage;
use crate::cli::change::object;
use crate::domain::EventType;
use crate::domain::event::Writer;
use crate::wire::source;

/// The parts of an event.
#[derive(Debug, Args)]
#[command(next_help_heading = "The event")]
pub(super) struct EventArgs {
    /// Type of the event
    #[arg(value_name = "TYPE", value_parser = types(), required_unless_present = "file")]
    #[arg(requires = "subject")]
    event_type: Option<String>,

    /// Id of the session, or of the agent for the types agent.*
    #[arg(value_name = "ID", required_unless_present = "file")]
    subject: Option<String>,

    /// Id of the event; generated if omitted
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// Source of the event: who emits it
    #[arg(long, value_name = "URI", default_value = source::COMMAND_LINE)]
    source: String,

    /// Time of the event (RFC 3339); by default the time at which the ledger receives it
    #[arg(long, value_name = "TIME")]
    time: Option<String>,

    /// Agent of the session (`session.created`)
    #[arg(long, value_name = "ID")]
    agent: Option<String>,

    /// Seconds until the session expires
    #[arg(long, value_name = "SECONDS", conflicts_with = "expires_at")]
    ttl: Option<u64>,

    /// Time at which the session or agent expires (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,

    /// Scope of the session or agent; repeat it for several
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// Data of the runtime, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,

    /// Phase of the session: initializing, ready, running or paused
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,

    /// Parent of the session (`session.created`)
    #[arg(long, value_name = "ID")]
    parent: Option<String>,

    /// Project of the session (`session.created`)
    #[arg(long, value_name = "ID")]
    project: Option<String>,

    /// Agent that takes over (`session.handed_off`)
    #[arg(long, value_name = "ID")]
    to_agent: Option<String>,

    /// Id of the child session, which that agent continues in (`session.handed_off`)
    #[arg(long, value_name = "ID")]
    child: Option<String>,

    /// Outcome: completed, error, deleted or revoked (`session.terminated`)
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,

    /// Reason: any text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// More data, a JSON object; the options above take precedence
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<Map<String, Value>>,
}

impl EventArgs {
    /// The event as JSON text.
    pub(super) fn build(self) -> Result<String, Usage> {
        let (Some(event_type), Some(subject)) = (&self.event_type, &self.subject) else {
            return Err(Usage("give the event's TYPE and ID".to_owned()));
        };
        let id = self
            .id
            .clone()
            .unwrap_or_else(|| Uuid::now_v7().to_string());
        let mut event = json!({
            "specversion": "1.0",
            "id": id,
            "source": self.source,
            "type": event_type,
            "subject": subject,
            "datacontenttype": "application/json",
        });
        if let Some(time) = &self.time {
            event["time"] = json!(time);
        }
        event["data"] = Value::Object(self.into_data());
        Ok(event.to_string())
    }

    fn into_data(self) -> Map<String, Value> {
        let mut data = self.data.unwrap_or_default();
        let texts = [
            ("agent_id", self.agent),
            ("expires_at", self.expires_at),
            ("phase", self.phase),
            ("parent_session_id", self.parent),
            ("project_id", self.project),
            ("to_agent_id", self.to_agent),
            ("session_id", self.child),
            ("outcome", self.outcome),
            ("reason", self.reason),
        ];
        for (name, value) in texts {
            data.extend(value.map(|value| (name.to_owned(), Value::String(value))));
        }
        data.extend(self.ttl.map(|ttl| ("ttl_seconds".to_owned(), json!(ttl))));
        if !self.scope.is_empty() {
            data.insert("scopes".to_owned(), json!(self.scope));
        }
        let metadata = self.metadata.map(Value::Object);
        data.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
        data
    }
}

fn types() -> PossibleValuesParser {
    let all = EventType::ALL.iter().copied();
    let emitted = all.filter(|event_type| event_type.allows(Writer::Runtime));
    PossibleValuesParser::new(emitted.map(EventType::as_str))
}
