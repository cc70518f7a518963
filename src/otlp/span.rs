//! Spans that were checked: their ids, their times, and what they say of a conversation.

use crate::domain::limits::{
    OTLP_CONVERSATION_CHARS_MAX, OTLP_SPANS_MAX, TEXT_CHARS_MAX, TIME_AHEAD_US_MAX,
    TIME_EARLIEST_US,
};
use crate::domain::{AgentId, SessionId, Timestamp};
use crate::otlp::raw::{Attributes, RawSpan, Text};
use crate::otlp::rejected::{Rejected, shortened};
use crate::otlp::{json, protobuf};

/// Why spans beyond the bound are rejected.
const TOO_MANY: &str = "the request has too many spans; export smaller batches";

/// Tools with this prefix pass a conversation on to another agent.
const TRANSFER: &str = "transfer_to_";

/// The spans of a request.
#[derive(Debug, Default)]
pub struct Spans {
    pub(super) all: Vec<Span>,
    pub(super) rejected: Rejected,
}

/// Why a body has no spans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSpans {
    /// It is not a message of protobuf.
    #[error("the body is no ExportTraceServiceRequest in protobuf: it {0}")]
    Protobuf(String),
    /// It is not the JSON of such a message.
    #[error("the body is no ExportTraceServiceRequest in JSON: {0}")]
    Json(String),
}

impl From<serde_json::Error> for NotSpans {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(shortened(&error.to_string()).to_owned())
    }
}

impl Spans {
    /// Reads a body in protobuf. `now` tells times that cannot be right.
    pub fn from_protobuf(body: &[u8], now: Timestamp) -> Result<Self, NotSpans> {
        let mut collector = Collector::new(now);
        protobuf::read(body, &mut collector)?;
        Ok(collector.spans)
    }

    /// Reads a body in JSON. `now` tells times that cannot be right.
    pub fn from_json(body: &[u8], now: Timestamp) -> Result<Self, NotSpans> {
        let mut collector = Collector::new(now);
        json::read(body, &mut collector)?;
        Ok(collector.spans)
    }
}

/// The ids of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SpanId {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

impl SpanId {
    /// The span as `traceparent` names it. It was exported, so it is sampled.
    pub(super) fn traceparent(self) -> String {
        format!("00-{}-{}-01", hex::encode(self.trace), self.name())
    }

    pub(super) fn name(self) -> String {
        hex::encode(self.span)
    }
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) start: Timestamp,
    /// Not before the start.
    pub(super) end: Timestamp,
    pub(super) failed: bool,
    pub(super) conversation: Option<SessionId>,
    pub(super) agent: Option<Agent>,
    pub(super) service: Option<AgentId>,
    pub(super) kind: Kind,
}

/// The agent of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) name: Option<String>,
}

/// What a span does, as far as that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An agent runs.
    InvokeAgent,
    /// A tool passes the conversation on to the agent of this name.
    Transfer(Option<AgentId>),
    /// Anything else.
    Other,
}

/// Takes the spans of a body one after another, and checks them.
pub(super) struct Collector {
    spans: Spans,
    service: Option<AgentId>,
    latest: Timestamp,
    /// How many spans were taken or rejected.
    seen: usize,
}

impl Collector {
    fn new(now: Timestamp) -> Self {
        Self {
            spans: Spans::default(),
            service: None,
            latest: now.plus_micros(TIME_AHEAD_US_MAX),
            seen: 0,
        }
    }

    /// The spans that follow are of this resource.
    pub(super) fn begin_resource(&mut self, attributes: &Attributes<'_>) {
        self.service = agent_id(&attributes.service);
    }

    /// Whether to read another span. One too many counts as rejected, and is not read: a body may have
    /// millions.
    pub(super) fn takes_another(&mut self) -> bool {
        let takes = self.seen < OTLP_SPANS_MAX;
        if takes {
            self.seen += 1;
        } else {
            self.reject(TOO_MANY);
        }
        takes
    }

    /// Counts spans that are not read, because a list has too many.
    pub(super) fn too_many(&mut self, spans: u64) {
        if 0 < spans {
            self.spans.rejected.add(spans, TOO_MANY);
        }
    }

    /// Takes a span, or says why not.
    pub(super) fn push(&mut self, raw: &RawSpan<'_>) {
        match self.checked(raw) {
            Ok(span) => self.spans.all.push(span),
            Err(reason) => self.reject(&reason),
        }
    }

    /// Counts a span that the ledger cannot take.
    pub(super) fn reject(&mut self, reason: &str) {
        self.spans.rejected.add(1, reason);
    }

    fn checked(&self, raw: &RawSpan<'_>) -> Result<Span, String> {
        let id = id(raw.trace_id, raw.span_id);
        let id = id.ok_or("trace_id must have 16 bytes and span_id 8, not all of them zero")?;
        let in_span = |what: &str| format!("{what} (span {})", id.name());
        let conversation = conversation(&raw.attributes.conversation);
        let conversation = conversation.map_err(|wrong| in_span(&wrong))?;
        let start = timestamp(raw.start_ns);
        let end = timestamp(raw.end_ns).max(start);
        if conversation.is_some() {
            if start.micros() < TIME_EARLIEST_US {
                return Err(in_span("start_time_unix_nano is missing or before 2000"));
            }
            if self.latest < end {
                let wrong = "the span ends more than 5 min ahead of the ledger's clock";
                return Err(in_span(wrong));
            }
        }
        let parent = raw.parent_id.filter(|parent| *parent != [0; 8]);
        let trace = id.trace;
        Ok(Span {
            id,
            parent: parent.map(|span| SpanId { trace, span }),
            start,
            end,
            failed: raw.failed,
            conversation,
            agent: agent(&raw.attributes),
            service: self.service.clone(),
            kind: kind(raw),
        })
    }
}

fn id(trace: Option<[u8; 16]>, span: Option<[u8; 8]>) -> Option<SpanId> {
    let trace = trace.filter(|trace| *trace != [0; 16])?;
    let span = span.filter(|span| *span != [0; 8])?;
    Some(SpanId { trace, span })
}

fn timestamp(unix_ns: u64) -> Timestamp {
    let micros = i64::try_from(unix_ns / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_micros_clamped(micros)
}

/// The id of a conversation leaves room for what the ledger adds to it.
fn conversation(text: &Text<'_>) -> Result<Option<SessionId>, String> {
    let of = "gen_ai.conversation.id";
    match text {
        Text::Absent => Ok(None),
        // Some frameworks write this for a run without a conversation.
        Text::Is(text) if text.is_empty() => Ok(None),
        Text::Other => Err(format!("{of} must be a text in UTF-8")),
        Text::Is(text) if OTLP_CONVERSATION_CHARS_MAX < text.chars().count() => Err(format!(
            "{of} must have 1 to {OTLP_CONVERSATION_CHARS_MAX} characters"
        )),
        Text::Is(text) => {
            let id = SessionId::parse(text).map_err(|wrong| format!("{of} {wrong}"))?;
            Ok(Some(id))
        }
    }
}

/// The agent by its id, else by its name.
fn agent(attributes: &Attributes<'_>) -> Option<Agent> {
    let name = agent_id(&attributes.agent_name);
    let id = agent_id(&attributes.agent_id).or(name)?;
    let name = attributes.agent_name.get().filter(|name| is_plain(name));
    let name = name.map(str::to_owned);
    Some(Agent { id, name })
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

fn agent_id(text: &Text<'_>) -> Option<AgentId> {
    AgentId::parse(text.get()?).ok()
}

fn kind(raw: &RawSpan<'_>) -> Kind {
    match raw.attributes.operation.get() {
        Some("invoke_agent") => Kind::InvokeAgent,
        Some("execute_tool") => {
            let named = || raw.name.get()?.strip_prefix("execute_tool ");
            let tool = raw.attributes.tool.get().or_else(named);
            match tool.and_then(|tool| tool.strip_prefix(TRANSFER)) {
                Some(agent) => Kind::Transfer(AgentId::parse(agent).ok()),
                None => Kind::Other,
            }
        }
        _ => Kind::Other,
    }
}
