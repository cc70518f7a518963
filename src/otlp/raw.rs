//! A span as it stands in a request, before anything in it is checked.

use std::borrow::Cow;

/// A span of either encoding.
#[derive(Debug, Default)]
pub(super) struct RawSpan<'a> {
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    pub(super) parent_id: Option<[u8; 8]>,
    pub(super) name: Text<'a>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) failed: bool,
    pub(super) attributes: Attributes<'a>,
}

/// The value of an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// It is not there.
    #[default]
    Absent,
    /// A text.
    Is(Cow<'a, str>),
    /// Something else.
    Other,
}

impl Text<'_> {
    /// The text, if it is one that says something.
    pub(super) fn get(&self) -> Option<&str> {
        match self {
            Self::Is(text) if !text.is_empty() => Some(text),
            Self::Is(_) | Self::Absent | Self::Other => None,
        }
    }
}

/// An attribute that the ledger reads. All others are dropped unread.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute {
    Conversation,
    AgentId,
    AgentName,
    Operation,
    Tool,
    Service,
}

impl Attribute {
    /// The attribute with this key.
    pub(super) fn named(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"gen_ai.conversation.id" => Self::Conversation,
            b"gen_ai.agent.id" => Self::AgentId,
            b"gen_ai.agent.name" => Self::AgentName,
            b"gen_ai.operation.name" => Self::Operation,
            b"gen_ai.tool.name" => Self::Tool,
            b"service.name" => Self::Service,
            _ => return None,
        })
    }
}

/// The attributes of a span or of its resource that the ledger reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes<'a> {
    pub(super) conversation: Text<'a>,
    pub(super) agent_id: Text<'a>,
    pub(super) agent_name: Text<'a>,
    pub(super) operation: Text<'a>,
    pub(super) tool: Text<'a>,
    pub(super) service: Text<'a>,
}

impl<'a> Attributes<'a> {
    /// Sets an attribute. If it is given twice, the last one counts.
    pub(super) fn set(&mut self, attribute: Attribute, value: Text<'a>) {
        let field = match attribute {
            Attribute::Conversation => &mut self.conversation,
            Attribute::AgentId => &mut self.agent_id,
            Attribute::AgentName => &mut self.agent_name,
            Attribute::Operation => &mut self.operation,
            Attribute::Tool => &mut self.tool,
            Attribute::Service => &mut self.service,
        };
        *field = value;
    }
}
